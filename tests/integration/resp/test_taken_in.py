"""A Redis that takes no more clients says so through the door; nobody is left in a database that they did not mean."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from server.inference.reading.places import Place
from tests.integration.resp.conftest import OpenDoor
from tests.integration.resp.doors import command
from tests.servers import RedisServer

FULL = b"max number of clients reached"


@pytest.fixture
def full(redis_server: Callable[..., RedisServer]) -> RedisServer:
    """A Redis that takes nobody in."""
    server = redis_server()
    with server.connect() as client:
        client.config_set("maxclients", 1)
        client.close()
    return server


@pytest.mark.parametrize("pause_seconds", [0, 0.05])
@pytest.mark.parametrize(
    "asked",
    [command("PING"), command("HELLO", 3), command("SUBSCRIBE", "c"), command("MONITOR"), command("MULTI"),
     command("AI.TENSORGET", "x"), command("T.GET", "x"), command("AI.CONFIG", "BACKENDSPATH", "x")],
)  # fmt: skip
async def test_that_redis_takes_no_more_clients_is_said_in_its_words(
    full: RedisServer,
    open_door: OpenDoor,
    monkeypatch: pytest.MonkeyPatch,
    asked: bytes,
    pause_seconds: float,
) -> None:
    late_to_speak(monkeypatch, pause_seconds)
    door = await open_door(clients_url=full.url)
    with full.connect() as there:
        there.ping()
        one = await door.line()

        await one.say(asked)

        assert await one.line() == b"-ERR " + FULL + b"\r\n"
    if pause_seconds == 0:
        return
    other = await door.line()
    await other.ask(command("PING"), b"+PONG\r\n")


@pytest.mark.parametrize("pause_seconds", [0, 0.05])
async def test_it_is_said_too_where_the_door_speaks_to_redis_first(
    full: RedisServer, open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch, pause_seconds: float
) -> None:
    late_to_speak(monkeypatch, pause_seconds)
    door = await open_door(clients_url=f"{full.url}?db=3")
    with full.connect() as there:
        there.ping()
        for asked in (command("PING"), command("T.GET", "x")):
            one = await door.line()

            await one.say(asked)

            assert FULL in await one.line()


def late_to_speak(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let Redis have its say before a new connection is spoken to."""
    reached = Place.reached

    async def late(place: Place, make: Callable[[], Any]) -> Any:
        spoken = await reached(place, make)
        await asyncio.sleep(seconds)
        return spoken

    monkeypatch.setattr(Place, "reached", late)


@asynccontextmanager
async def kept_busy(server: RedisServer) -> AsyncIterator[Redis]:
    """Have a script keep a Redis busy."""
    with server.connect() as client, server.connect() as other:
        client.config_set("busy-reply-threshold", 1)
        script = asyncio.create_task(asyncio.to_thread(client.eval, "while true do end", 0))
        await asyncio.sleep(0.1)
        try:
            yield other
        finally:
            await asyncio.to_thread(other.script_kill)
            with pytest.raises(ResponseError, match="killed"):
                await script


async def test_nobody_is_let_into_another_database_than_the_urls(
    redis_server: Callable[..., RedisServer], open_door: OpenDoor
) -> None:
    server = redis_server()
    door = await open_door(redis_url=f"{server.url}?db=5")
    async with kept_busy(server):
        plain, named = await door.line(), await door.line()
        await plain.say(command("SET", "key", 1))
        await named.say(command("HELLO", 2, "AUTH", "default", "any") + command("SET", "key", 1))
        told = await plain.line() + await named.line()
        await asyncio.sleep(0.05)

    assert b"BUSY" in told
    for one in (plain, named, await door.line()):  # some of them may have ended
        with suppress(ConnectionError):
            await one.say(command("SET", "key", 1))
            await one.until_quiet()
    with server.connect() as client:
        assert client.get("key") is None


async def test_a_database_that_redis_has_not_is_told_and_nothing_goes_to_another(
    redis_binary: Path, open_door: OpenDoor
) -> None:
    server = RedisServer(redis_binary, ("--databases", "2"))
    try:
        door = await open_door(clients_url=f"{server.start().url}?db=5")
        one = await door.line()

        await one.say(command("SET", "key", 1))

        assert b"DB index is out of range" in await one.until_end()
        with server.connect() as client:
            assert client.dbsize() == 0
    finally:
        server.close()


async def test_whoever_may_not_choose_the_urls_database_is_told_at_auth(
    redis_server: Callable[..., RedisServer], open_door: OpenDoor
) -> None:
    server = redis_server()
    with server.connect() as client:
        client.acl_setuser("kept", enabled=True, passwords=["+k"], keys=["*"], commands=["+@all", "-select"])
        client.acl_setuser("default", enabled=True, passwords=["+d"], keys=["*"], commands=["+@all"])
        door = await open_door(redis_url=f"unix://:d@{server.socket}?db=5")
        one = await door.line()

        await one.say(command("AUTH", "kept", "k"))

        assert b"NOPERM" in await one.line()
        await one.say(command("SET", "key", 1))
        assert (await one.line()).startswith(b"-NOAUTH ")
        await one.ask(
            command("AUTH", "d") + command("AUTH", "kept", "k"), b"+OK\r\n" * 2
        )  # it is there by then
        await one.ask(command("SET", "key", 1), b"+OK\r\n")
        assert client.get("key") is None


async def test_auth_in_a_transaction_keeps_the_places_of_replies(open_door: OpenDoor, redis_url: str) -> None:
    door = await open_door(redis_url=f"{redis_url}?db=5")
    one = await door.line()
    await one.ask(command("AI.TENSORSET", "x", "INT64", 1, "VALUES", 7), b"+OK\r\n")

    await one.say(command("MULTI"), command("AUTH", "default", "any"), command("AI.TENSORGET", "x", "VALUES"))
    await one.ask(command("EXEC"), b"+OK\r\n" + b"+QUEUED\r\n" * 2 + b"*2\r\n+OK\r\n*1\r\n:7\r\n")


async def test_a_token_is_enough_to_configure_where_the_server_itself_may_run_no_scripts(
    redis_server: Callable[..., RedisServer], open_door: OpenDoor
) -> None:
    server = redis_server()
    with server.connect() as client:
        client.acl_setuser("serving", enabled=True, passwords=["+s"], keys=["*"], commands=["+@all", "-eval"])
    token = f"admin:{sha256(b'token').hexdigest()}"
    door = await open_door(redis_url=f"unix://serving:s@{server.socket}", tokens=(token,))
    one = await door.line()

    await one.ask(command("AUTH", "token"), b"+OK\r\n")
    await one.ask(command("AI.CONFIG", "MODEL_CHUNK_SIZE", 1), b"+OK\r\n")
