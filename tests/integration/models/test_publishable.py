"""Whether a model could be published: asked before one is made, and nothing is written by it."""

from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from models.errors import RedisRefused
from models.keys import Keys
from models.publishable import check_publishable
from models.store import ModelStore

PUBLISHER = "~insitu:* &insitu:events -@all +@read +@write +@connection +eval +publish"  # docs/redis-keys.md


async def test_where_it_could_be_nothing_is_written(store: ModelStore) -> None:
    await check_publishable(store.redis, store.keys, "churn")

    assert await store.redis.dbsize() == 0


@pytest.mark.parametrize(
    ("rules", "lacks"),
    [
        (PUBLISHER, ""),
        (PUBLISHER.replace("+eval", ""), r"ACL SETUSER NAME \+eval allows it"),
        (PUBLISHER.replace("+@write", ""), r"'set' command"),
        (PUBLISHER.replace("~", "%R~"), "ACL LOG of Redis names the key"),
        (PUBLISHER.replace("~insitu:*", "~insitu:{churn}*"), "ACL LOG of Redis names the key"),
    ],
)
async def test_a_user_without_the_right_is_told_which(
    lone_store: ModelStore, redis_url: str, rules: str, lacks: str
) -> None:
    await lone_store.redis.execute_command("ACL", "SETUSER", "guest", "reset", "on", ">pass", *rules.split())

    async with Redis.from_url(redis_url, username="guest", password="pass") as guest:
        if lacks:
            with pytest.raises(RedisRefused, match=lacks):
                await check_publishable(guest, Keys(), "churn")
        else:
            await check_publishable(guest, Keys(), "churn")

    assert await lone_store.redis.dbsize() == 0
    await lone_store.redis.execute_command("ACL", "DELUSER", "guest")


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [("maxmemory", 1, "raise its maxmemory"), ("min-replicas-to-write", 1, "bring its replicas back")],
)
async def test_a_redis_that_takes_no_writes_is_told_with_what_cures_it(
    lone_store: ModelStore,
    shared_server_settings: Callable[[str, object], None],
    name: str,
    value: int,
    cure: str,
) -> None:
    shared_server_settings(name, value)

    with pytest.raises(RedisRefused, match=cure):
        await check_publishable(lone_store.redis, lone_store.keys, "churn")
