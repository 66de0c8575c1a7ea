"""What `insitu check` makes of what it finds."""

import shutil
from pathlib import Path

import pytest

from cli.checks.findings import Finding
from cli.checks.installation import check_extra, check_installation
from cli.checks.kept_models import check_model_cache
from cli.checks.redis_side import check_chunks, check_eviction, check_persistence, check_version, check_writes
from cli.checks.server_side import check_exposure

HASH = "ab" * 32


@pytest.mark.parametrize(
    ("finding", "state"),
    [
        (check_eviction({"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}), "ok"),
        (check_eviction({"maxmemory": 100, "maxmemory_policy": "noeviction"}), "ok"),
        (check_eviction({"maxmemory": 100, "maxmemory_policy": "volatile-lru"}), "ok"),
        (check_eviction({"maxmemory": 100, "maxmemory_policy": "allkeys-lfu"}), "fail"),
        (check_persistence({"aof_enabled": 1}, ""), "ok"),
        (check_persistence({"aof_enabled": 0}, "3600 1"), "warn"),
        (check_persistence({"aof_enabled": 0}, None), "warn"),
        (check_persistence({"aof_enabled": 0}, ""), "fail"),
        (check_writes({"role": "master"}, cannot_save=False), "ok"),
        (check_writes({"role": "slave"}, cannot_save=False), "fail"),
        (check_writes({"role": "master"}, cannot_save=True), "fail"),
        (check_writes({"maxmemory": 9, "used_memory": 10, "maxmemory_policy": "noeviction"}, False), "fail"),
        (check_writes({"maxmemory": 9, "used_memory": 10, "maxmemory_policy": "volatile-lru"}, False), "ok"),
        (check_writes({"maxmemory": 9, "used_memory": 8, "maxmemory_policy": "noeviction"}, False), "ok"),
        (check_chunks(None), "ok"),
        (check_chunks("536870912"), "ok"),
        (check_chunks("1048576"), "warn"),
        (check_version({"redis_version": "8.0.1"}, "redis://h"), "ok"),
        (check_version({"redis_version": "7.2.4", "valkey_version": "9.1.0"}, "unix:///s"), "ok"),
        (check_version({"redis_version": "5.0.14"}, "redis://h"), "fail"),
        (check_extra("none", ("no-such-package",)), "warn"),
        (check_extra("tests", ("pytest",)), "ok"),
    ],
)
def test_each_state_of_affairs_is_judged(finding: Finding, state: str) -> None:
    assert finding.state == state
    assert bool(finding.cure) is (state != "ok")


def test_a_password_is_not_shown() -> None:
    assert "secret" not in check_version({"redis_version": "8.0.1"}, "redis://u:secret@h:6379").what


def test_this_environment_is_looked_at() -> None:
    assert [one.what for one in check_installation() if one.state == "fail"] == []


def test_a_cache_of_models_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_model_cache(None, 1000) == []

    (empty,) = check_model_cache(tmp_path / "not" / "there", 1000)
    assert (empty.state, "keeps 0 models in 0 B of 1.0 kB" in empty.what) == ("ok", True)

    (full,) = check_model_cache(tmp_path, 1 << 62)
    assert (full.state, "the disk has" in full.what) == ("warn", True)

    (tmp_path / "file").touch()
    (wrong,) = check_model_cache(tmp_path / "file", 1000)
    assert (wrong.state, f"{tmp_path / 'file'} takes no files" in wrong.what) == ("warn", True)

    def refused(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "disk_usage", refused)
    (closed,) = check_model_cache(tmp_path, 1000)
    assert (closed.state, "Permission denied" in closed.what) == ("warn", True)

    monkeypatch.setenv("INSITU_MODEL_CACHE", str(tmp_path / "file"))
    assert [one.area for one in check_exposure()] == ["settings", "model cache"]


@pytest.mark.parametrize(
    ("environment", "states"),
    [
        ({}, ["ok"]),
        ({"HOST": "192.0.2.1"}, ["fail"]),
        ({"HOST": "192.0.2.1", "ALLOW_ANONYMOUS": "true"}, ["warn", "warn"]),
        ({"HOST": "192.0.2.1", "TOKENS": f"predict:{HASH}"}, ["ok", "warn"]),
        (
            {"HOST": "::", "TOKENS": f"admin:{HASH}", "TLS_CERT": "/c.pem", "TLS_KEY": "/k.pem"},
            ["ok"],
        ),
    ],
)
def test_a_server_that_others_reach_is_told(
    environment: dict[str, str], states: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"INSITU_{name}", value)

    assert [one.state for one in check_exposure()] == states
