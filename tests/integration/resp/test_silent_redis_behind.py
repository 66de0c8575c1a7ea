"""A Redis that says nothing, or takes what it is sent slowly, behind commands of ours: told in time, not too soon."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from models.errors import RedisUnavailable
from server.resp import upstream
from tests.integration.resp.conftest import OpenDoor
from tests.integration.resp.doors import command
from tests.integration.resp.test_faults_of_redis import odd_redis
from tests.servers import RedisServer

MIB = 1 << 20
A_FEW_SECONDS = 8.0
OURS = (
    ("AI.TENSORGET", "t"),
    ("AI.TENSORSET", "t", "FLOAT", "1"),
    ("AI.MODELGET", "m", "META"),
    ("AI.MODELDEL", "m"),
    ("AI.MODELEXECUTE", "m", "INPUTS", "1", "t", "OUTPUTS", "1", "o"),
    ("AI._MODELSCAN",),
    ("HELLO", "3"),
    ("INFO",),
)


async def test_our_commands_are_told_within_seconds_that_redis_is_silent(
    redis_server: Callable[..., RedisServer], open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = redis_server()
    door = await open_door(redis_url=server.url)
    lines = [await door.line() for _ in OURS]
    for one in lines:
        await one.ask(command("GET", "a"), b"$-1\r\n")
    assert upstream.REPLY_SECONDS == 5
    monkeypatch.setattr(upstream, "REPLY_SECONDS", 0.2)
    server.pause()
    at = time.monotonic()

    for one, words in zip(lines, OURS, strict=True):
        await one.say(command(*words))
    told = await asyncio.gather(*(one.line() for one in lines))
    server.resume()

    assert time.monotonic() - at < A_FEW_SECONDS
    assert all(one.startswith(b"-LOADING Redis does not answer (no reply within 0.2 s)") for one in told)


class Alone:
    """Nobody's connection."""

    def replied(self, data: bytes) -> None:
        """Nothing is the client's."""

    pushed = replied

    def lost(self, reason: str) -> None:
        """Whoever waits is told."""

    def hold(self) -> None:
        """There is nothing to hold."""

    let = hold

    def finds_place(self, size: int) -> None:
        """There is room."""


async def test_a_redis_that_takes_what_it_is_sent_slowly_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "REPLY_SECONDS", 0.2)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken = 0
        while taken < 3 * MIB:
            await asyncio.sleep(0.05)
            taken += len(await reader.read(MIB // 2))
        writer.write(b"+OK\r\n")
        await reader.read()

    async with odd_redis(slow, tmp_path / "odd.sock") as url:
        loop, place = asyncio.get_running_loop(), url.removeprefix("unix://")
        _, one = await loop.create_unix_connection(lambda: upstream.Upstream(Alone()), place)
        at = time.monotonic()

        assert await one.frames([("SET", "t", bytes(3 * MIB))]) == [b"+OK\r\n"]
        assert time.monotonic() - at > 2 * 0.2
        with pytest.raises(RedisUnavailable, match=r"no reply within 0.2 s"):
            await one.frames([("GET", "t")])


async def test_a_transaction_that_takes_long_is_waited_for(
    redis_server: Callable[..., RedisServer], open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = redis_server()
    door = await open_door(redis_url=server.url)
    one = await door.line()
    await one.ask(command("MULTI"), b"+OK\r\n")
    await one.ask(command("AI.TENSORGET", "t", "META"), b"+QUEUED\r\n")
    monkeypatch.setattr(upstream, "REPLY_SECONDS", 0.1)
    server.pause()

    await one.say(command("EXEC"))
    await asyncio.sleep(0.5)
    server.resume()

    assert await one.line() == b"*1\r\n"
