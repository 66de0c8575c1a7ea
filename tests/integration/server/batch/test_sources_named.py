"""Members of a set, a sorted set, a list or a stream are the keys to score."""

from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster

from models.errors import BadRequest, RedisUnavailable
from models.jobs import Named
from models.shards import asked
from models.store import Client
from server.batch.parts import Step
from server.batch.sources import named
from server.batch.sources.opening import open_source
from tests.integration.server.batch.moving import Move
from tests.integration.server.batch.walks import PLAN, dropped_after, found, steps_of
from tests.servers import RedisNodes, RedisServer

pytestmark = pytest.mark.usefixtures("small")
Start = Callable[..., RedisServer]
ClientOf = Callable[[RedisServer], Redis]
KEYS = [b"k:%d" % number for number in range(1000)]
KINDS = pytest.mark.parametrize("kind", ["set", "zset", "list", "stream"])
CURSORS = pytest.mark.parametrize("kind", ["set", "zset"])
SPEC = Named(key="names")


async def name(redis: Any, kind: str, keys: list[bytes], into: str = "names") -> None:
    pipeline = redis.pipeline(transaction=False)
    for key in keys:
        if kind == "stream":
            pipeline.xadd(into, {"key": key, "other": "x"})
        elif kind == "zset":
            pipeline.zadd(into, {key: 1})
        else:
            pipeline.execute_command("SADD" if kind == "set" else "RPUSH", into, key)
    await pipeline.execute()


@KINDS
async def test_every_key_is_found(redis: Redis, kind: str) -> None:
    await name(redis, kind, KEYS)

    steps = await steps_of(SPEC, redis)

    assert found(steps) == set(KEYS)
    assert len(steps) > 5
    assert [step.share for step in steps] == sorted(step.share for step in steps)
    assert steps[-1].share == 1.0
    assert not any(step.anew for step in steps)
    assert await steps_of(SPEC, redis, steps[-1].position) == []
    assert open_source(SPEC, redis, PLAN).strict


@KINDS
async def test_a_walk_taken_up_finds_the_rest(redis: Redis, kind: str) -> None:
    await name(redis, kind, KEYS)

    taken = await dropped_after(open_source(SPEC, redis, PLAN).steps(""), 3)
    rest = await steps_of(SPEC, redis, taken[-1].position)

    assert found(taken) | found(rest) == set(KEYS)
    assert len(found(rest)) < len(KEYS)
    assert not rest[0].anew


@KINDS
async def test_few_names_come_at_once(redis: Redis, kind: str) -> None:
    await name(redis, kind, KEYS[:3])

    assert [(set(step.part.keys), step.share) for step in await steps_of(SPEC, redis)] == [
        (set(KEYS[:3]), 1.0)
    ]


@CURSORS
async def test_names_that_stay_are_found_while_others_come_and_go(redis: Redis, kind: str) -> None:
    await name(redis, kind, KEYS)
    await name(redis, kind, [b"k:old%d" % one for one in range(500)])
    steps: list[Step] = []

    async for step in open_source(SPEC, redis, PLAN).steps(""):
        old = [b"k:old%d" % one for one in range(50 * len(steps), 50 * len(steps) + 50)]
        await redis.execute_command("SREM" if kind == "set" else "ZREM", "names", *old)
        if len(steps) < 10:
            await name(redis, kind, [b"k:new%d:%d" % (len(steps), one) for one in range(200)])
        steps.append(step)

    assert found(steps) >= set(KEYS)


@pytest.mark.parametrize("kind", ["list", "stream"])
async def test_what_is_added_at_the_end_is_found(redis: Redis, kind: str) -> None:
    await name(redis, kind, KEYS)
    walk = open_source(SPEC, redis, PLAN).steps("")

    first = await anext(walk)
    await name(redis, kind, [b"k:late"])
    rest = [step async for step in walk]

    assert found([first, *rest]) == {*KEYS, b"k:late"}


async def test_a_stream_trimmed_meanwhile_loses_nothing_that_stays(redis: Redis) -> None:
    await name(redis, "stream", KEYS)
    walk = open_source(SPEC, redis, PLAN).steps("")

    first = await anext(walk)
    await redis.xtrim("names", maxlen=500, approximate=False)
    rest = [step async for step in walk]

    assert found([first, *rest]) >= set(KEYS[500:])


@KINDS
async def test_a_restart_loses_nothing(redis_server: Start, client_of: ClientOf, kind: str) -> None:
    server = redis_server(aof=True)
    redis = client_of(server)
    await name(redis, kind, KEYS)
    source = open_source(SPEC, redis, PLAN)
    walk = source.steps("")
    taken = [await anext(walk) for _ in range(2)]

    server.kill()
    server.start()
    rest = [step async for step in walk]
    again = await steps_of(SPEC, redis, taken[-1].position)

    bound = kind in ("set", "zset")  # to a process, by a cursor
    assert [step.anew for step in rest].count(True) == bound
    assert again[0].anew == bound
    for walked in (rest, again):
        assert found(walked if bound else taken + walked) == set(KEYS)


@CURSORS
async def test_a_restart_while_names_are_asked_for_loses_nothing(
    redis_server: Start, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    server = redis_server(aof=True)
    redis = client_of(server)
    await name(redis, kind, KEYS)
    walk = open_source(SPEC, redis, PLAN).steps("")
    first = await anext(walk)
    left = [1]

    async def restarted(*command: Any) -> Any:
        if command[2] in ("SSCAN", "ZSCAN") and left:
            left.pop()
            server.kill()
            server.start()
        return await asked(*command)

    monkeypatch.setattr(named, "asked", restarted)
    rest = [step async for step in walk]

    assert [step.anew for step in [first, *rest]] == [False, True] + [False] * (len(rest) - 1)
    assert found(rest) == set(KEYS)


async def test_redis_that_is_away_is_told(redis_server: Start, client_of: ClientOf) -> None:
    server = redis_server()
    redis = client_of(server)
    await name(redis, "set", KEYS)
    server.kill()

    with pytest.raises(RedisUnavailable):
        await steps_of(SPEC, redis)


async def test_the_field_of_a_stream_is_taken(redis: Redis) -> None:
    await redis.xadd("names", {"txn": "k:1", "key": "k:2"})

    assert found(await steps_of(Named(key="names", field="txn"), redis)) == {b"k:1"}


async def test_an_entry_without_the_field_is_refused(redis: Redis) -> None:
    await redis.xadd("names", {"key": "k:1"}, id="1-1")
    await redis.xadd("names", {"txn": "k:2", "time": "3"}, id="2-1")

    with pytest.raises(BadRequest, match=r"entry 2-1 of stream 'names' has no field 'key', it has txn, time"):
        await steps_of(SPEC, redis)


async def test_a_key_that_is_not_there_is_refused(redis: Redis) -> None:
    with pytest.raises(BadRequest, match="'names' is not in Redis; name a set, sorted set, list or stream"):
        await steps_of(SPEC, redis)


async def test_a_key_of_another_type_is_refused(redis: Redis) -> None:
    await redis.hset("names", "a", "1")

    with pytest.raises(BadRequest, match="'names' holds a hash, which names no keys; name a set"):
        await steps_of(SPEC, redis)


async def test_a_field_of_what_has_none_is_refused(redis: Redis) -> None:
    await name(redis, "set", KEYS[:1])

    with pytest.raises(BadRequest, match="`field` is 'txn', but 'names' is a set"):
        await steps_of(Named(key="names", field="txn"), redis)


@KINDS
async def test_a_name_with_a_nul_is_refused(redis: Redis, kind: str) -> None:
    await name(redis, kind, [b"k:1\0k:2"])

    with pytest.raises(BadRequest, match=r"a key that 'names' names is .* which has a NUL byte"):
        await steps_of(SPEC, redis)


async def test_without_info_cursors_are_refused(redis: Redis, redis_url: str) -> None:
    await name(redis, "set", KEYS)
    await name(redis, "list", KEYS, "list")
    rights = ("on", ">secret", "~*", "-@all", "+@read", "+@connection")
    await redis.execute_command("ACL", "SETUSER", "reader", *rights)
    try:
        async with Redis.from_url(redis_url, username="reader", password="secret") as reader:
            with pytest.raises(BadRequest, match=r"\+info"):
                await steps_of(SPEC, reader)
            assert found(await steps_of(Named(key="list"), reader)) == set(KEYS)
    finally:
        await redis.execute_command("ACL", "DELUSER", "reader")


@KINDS
async def test_names_in_a_cluster_are_found(cluster: Client, kind: str) -> None:
    await name(cluster, kind, KEYS)

    taken = await dropped_after(open_source(SPEC, cluster, PLAN).steps(""), 2)
    rest = await steps_of(SPEC, cluster, taken[-1].position)

    assert found(taken) | found(rest) == set(KEYS)
    assert not rest[0].anew


@KINDS
async def test_a_key_that_moves_loses_no_names(
    cluster: Client, module_cluster: RedisNodes, kind: str
) -> None:
    assert isinstance(cluster, RedisCluster)
    await name(cluster, kind, KEYS)
    walk = open_source(SPEC, cluster, PLAN).steps("")
    taken = [await anext(walk) for _ in range(2)]
    move = Move(module_cluster, b"names")
    bound = kind in ("set", "zset")

    move.begin()
    if bound:
        with pytest.raises(RedisUnavailable, match="moves to another node"):
            await steps_of(SPEC, cluster, taken[-1].position)
    move.end()
    rest = await steps_of(SPEC, cluster, taken[-1].position)

    assert rest[0].anew == bound
    assert found(rest if bound else taken + rest) == set(KEYS)
