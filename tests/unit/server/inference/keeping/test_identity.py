"""What kept files are of: one Redis and prefix, however its URL is written, and no other."""

import pytest

from server.inference.keeping.identity import FOLDER, Identity


@pytest.mark.parametrize(
    ("url", "redis"),
    [
        ("redis://127.0.0.1", "redis://127.0.0.1:6379/0"),
        ("redis:///1", "redis://localhost:6379/1"),
        ("redis://user:secret@Host:6380/3?client_name=x", "redis://host:6380/3"),
        ("rediss://:secret@host", "redis://host:6379/0"),
        ("redis://host?db=2", "redis://host:6379/2"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
        ("unix://u:secret@/run/redis.sock", "unix:///run/redis.sock?db=0"),
        ("redis+sentinel://:pw@b:1,a/main/2", "redis+sentinel://a:26379,b:1/main/2"),
        ("redis+cluster://:pw@b:2,a", "redis+cluster://a:6379,b:2"),
    ],
)
def test_a_redis_is_told_by_its_place_without_a_password(url: str, redis: str) -> None:
    assert Identity.of(url, "insitu") == Identity(redis, "insitu")


def test_another_redis_database_or_prefix_has_another_folder() -> None:
    every = [
        Identity.of("redis://host/0", "insitu"),
        Identity.of("redis://host/1", "insitu"),
        Identity.of("redis://staging/0", "insitu"),
        Identity.of("redis://host/0", "other"),
    ]

    assert len({one.folder for one in every}) == len(every)
    assert all(FOLDER.fullmatch(one.folder) for one in every)
