"""Clients that leave, half leave, fall silent or stop listening: they cost nobody else anything."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack

import orjson
import pytest

from tests.integration.rest.conftest import Listen
from tests.integration.rest.speaking import Line, head, line, post
from tests.integration.rest.wired import HOST, Wire
from tests.servers import RedisServer

PATH = "/v1/models/embed/predict"
KEYED = post(b'{"keys": ["customer:1"]}', path="/v1/models/churn/predict")
HEALTH = head("GET /health/live HTTP/1.1", "Host: 127.0.0.1")
TENSORS = post(b'{"inputs": {"x": [[20, 0]]}}', path=PATH)
WAIT_SECONDS = 10.0


async def until(true: Callable[[], bool]) -> None:
    """Wait until something has come true."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not true():  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.005)


async def answered(wire: Wire) -> bool:
    """Whether somebody else is served."""
    async with line(wire.port) as one:
        await one.say(TENSORS)
        return [reply.status for reply in await one.hear()] == [200]


async def asked(stack: AsyncExitStack, wire: Wire, said: bytes, count: int) -> list[Line]:
    """Return connections that have asked something."""
    lines = [await stack.enter_async_context(line(wire.port)) for _ in range(count)]
    for one in lines:
        await one.say(said)
    await until(lambda: wire.connections == count)
    await asyncio.sleep(0.05)
    return lines


def reset(one: Line) -> None:
    """End a connection as a crash does."""
    told = one.writer.get_extra_info("socket")
    told.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.leave()


@pytest.mark.parametrize("leave", [Line.leave, reset])
@pytest.mark.parametrize("said", [KEYED, KEYED * 5, KEYED[:-4], KEYED + HEALTH + KEYED])
async def test_clients_that_leave_while_they_wait_leave_nothing_behind(
    listen: Listen, frozen: RedisServer, leave: Callable[[Line], None], said: bytes
) -> None:
    wire = await listen(redis_url=frozen.url, redis_timeout_ms=300)
    assert await answered(wire)
    await until(lambda: wire.connections == 0)
    before = len(asyncio.all_tasks())

    async with AsyncExitStack() as stack:
        frozen.pause()
        for one in await asked(stack, wire, said, 20):
            leave(one)
        assert await answered(wire)
        frozen.resume()

        await until(lambda: wire.connections == 0)
        await until(lambda: wire.tasks == 0)
    await until(lambda: len(asyncio.all_tasks()) <= before)
    assert await answered(wire)


async def test_a_client_that_has_said_all_still_hears_the_answer(listen: Listen, frozen: RedisServer) -> None:
    wire = await listen(redis_url=frozen.url)

    async with line(wire.port) as one:
        frozen.pause()
        await one.say(KEYED)
        one.writer.write_eof()
        await asyncio.sleep(0.05)
        frozen.resume()

        assert [reply.status for reply in await one.hear()] == [200]
        assert await one.end() == b""
    await until(lambda: wire.connections == 0)


async def test_a_client_that_has_said_many_things_still_hears_every_answer(
    listen: Listen, frozen: RedisServer
) -> None:
    wire = await listen(redis_url=frozen.url)

    async with line(wire.port) as one:
        await one.say(KEYED * 100)
        one.writer.write_eof()

        assert [reply.status for reply in await one.hear(100)] == [200] * 100
        assert await one.end() == b""


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("said", [b"", KEYED[:-1], KEYED[:20], b"\r\n"])
async def test_a_client_that_has_said_half_is_hung_up_on(listen: Listen, said: bytes) -> None:
    wire = await listen()

    async with line(wire.port) as one:
        await one.say(said)
        one.writer.write_eof()

        assert await one.end() == b""
    await until(lambda: wire.connections == 0)


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("said", [b"", TENSORS, HEALTH, TENSORS + HEALTH, HEALTH + TENSORS])
async def test_a_connection_that_says_nothing_more_is_closed(listen: Listen, said: bytes) -> None:
    wire = await listen(idle_seconds=0.2)
    loop = asyncio.get_running_loop()

    async with line(wire.port) as one:
        await one.say(said)
        replies = await one.hear(said.count(b"HTTP/1.1"))
        at = loop.time()

        assert await one.end() == b""
        assert [reply.status for reply in replies] == [200] * said.count(b"HTTP/1.1")
        assert 0.1 < loop.time() - at < 2.0


async def test_a_connection_that_waits_for_its_answer_is_not_idle(
    listen: Listen, frozen: RedisServer
) -> None:
    wire = await listen(redis_url=frozen.url, idle_seconds=0.1, redis_timeout_ms=5000)

    async with line(wire.port) as one:
        await one.say(KEYED)
        assert len(await one.hear()) == 1
        frozen.pause()
        await one.say(KEYED)
        await asyncio.sleep(0.4)
        frozen.resume()

        assert [reply.status for reply in await one.hear()] == [200]


@pytest.mark.usefixtures("stocked")
async def test_a_client_that_asks_now_and_then_is_kept(listen: Listen) -> None:
    wire = await listen(idle_seconds=1)

    async with line(wire.port) as one:
        for _ in range(8):
            await asyncio.sleep(0.2)
            await one.say(TENSORS)
            assert len(await one.hear()) == 1


@pytest.mark.usefixtures("stocked")
async def test_a_client_that_reads_no_answers_is_asked_no_more(listen: Listen) -> None:
    wire = await listen()
    rows = [[number, number] for number in range(400)]
    said = post(orjson.dumps({"inputs": {"x": rows}}), path=PATH)

    with socket.create_connection((HOST, wire.port)) as deaf:
        deaf.setblocking(False)
        sent = await pushed(deaf, said * 50)

        assert sent < 64 << 20
        assert await answered(wire)
        heard = await pulled(deaf)
    assert heard.startswith(b"HTTP/1.1 200 OK")
    await until(lambda: wire.connections == 0)


async def pushed(deaf: socket.socket, said: bytes, quiet_seconds: float = 0.5) -> int:
    """Send the same over and over, until the server takes no more; return how much it took."""
    loop, sent = asyncio.get_running_loop(), 0
    at = loop.time()
    while sent < 64 << 20 and loop.time() - at < quiet_seconds:
        try:
            sent += deaf.send(said[sent % len(said) :])
            at = loop.time()
        except BlockingIOError:
            pass
        await asyncio.sleep(0.001)
    return sent


async def pulled(deaf: socket.socket) -> bytes:
    """Read for a while."""
    loop, heard = asyncio.get_running_loop(), b""
    for _ in range(20):
        heard += await loop.sock_recv(deaf, 1 << 20)
    return heard
