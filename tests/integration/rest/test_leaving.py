"""Clients that leave, half leave, fall silent or stop listening: they cost nobody else anything."""

import asyncio
import http.client
import socket
import struct
from collections.abc import Callable
from contextlib import AsyncExitStack

import httpx
import orjson
import pytest

from models.store import ModelStore
from server.rest.departures import ASK_SECONDS
from tests.graphs import bundle, looping
from tests.integration.rest.conftest import Listen
from tests.integration.rest.speaking import Line, chunked, head, line, post
from tests.integration.rest.wired import HOST, Wire
from tests.servers import RedisServer

PATH = "/v1/models/embed/predict"
KEYED = post(b'{"keys": ["customer:1"]}', path="/v1/models/churn/predict")
HEALTH = head("GET /health/live HTTP/1.1", "Host: 127.0.0.1")
TENSORS = post(b'{"inputs": {"x": [[20, 0]]}}', path=PATH)
WAIT_SECONDS = 10.0
ENDLESS = 1 << 50  # turns
LOOP_V1, LOOP_V2 = "/v1/models/loop/predict", "/v2/models/loop/infer"


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


def turning(path: str, turns: int) -> bytes:
    """The body of a request that takes so many turns."""
    if path == LOOP_V1:
        return orjson.dumps({"inputs": {"x": [[1]], "turns": [turns]}})
    x = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}
    return orjson.dumps(
        {"inputs": [x, {"name": "turns", "shape": [1], "datatype": "INT64", "data": [turns]}]}
    )


def in_chunks(path: str, body: bytes) -> bytes:
    """A request that our short road leaves to uvicorn."""
    lines = ("Host: 127.0.0.1", "Content-Type: application/json", "Transfer-Encoding: chunked")
    return head(f"POST {path} HTTP/1.1", *lines, body=chunked([body]))


@pytest.fixture
async def looped(store: ModelStore, listen: Listen) -> Wire:
    """A server that runs row by row, whose model takes as many turns as it is told."""
    await store.publish(bundle(looping(), "loop"))
    wire = await listen(max_batch_rows=1)
    async with line(wire.port) as one:
        await one.say(post(turning(LOOP_V1, 1), path=LOOP_V1))
        assert [reply.status for reply in await one.hear()] == [200]
    return wire


async def served_soon(wire: Wire) -> bool:
    """Whether a run is short again: nothing of those who have gone is run or waits."""
    async with line(wire.port) as one:
        await one.say(post(turning(LOOP_V1, 1), path=LOOP_V1))
        return [reply.status for reply in await one.hear(seconds=WAIT_SECONDS / 2)] == [200]


async def leave_soon(wire: Wire, said: bytes, clients: int, leave: Callable[[Line], None]) -> None:
    """Ask as so many clients, which leave before they are answered: nothing of theirs goes on."""
    async with AsyncExitStack() as stack:
        for one in await asked(stack, wire, said, clients):
            leave(one)

        assert await served_soon(wire)
    await until(lambda: wire.connections == 0)
    await until(lambda: wire.tasks == 0)


@pytest.mark.parametrize("leave", [Line.leave, reset])
@pytest.mark.parametrize("path", [LOOP_V1, LOOP_V2])
@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_what_clients_that_have_gone_wait_for_is_not_run(
    looped: Wire, path: str, framing: str, leave: Callable[[Line], None]
) -> None:
    body = turning(path, ENDLESS)
    said = post(body, path=path) if framing == "length" else in_chunks(path, body)

    await leave_soon(looped, said, 5, leave)


@pytest.mark.parametrize("leave", [Line.leave, reset])
@pytest.mark.parametrize("later", [in_chunks(LOOP_V1, turning(LOOP_V1, ENDLESS)), HEALTH])
async def test_what_such_a_client_had_asked_later_keeps_nothing_running(
    looped: Wire, caplog: pytest.LogCaptureFixture, later: bytes, leave: Callable[[Line], None]
) -> None:
    said = in_chunks(LOOP_V1, turning(LOOP_V1, ENDLESS)) + later * 2

    await leave_soon(looped, said, 3, leave)
    assert not caplog.text


@pytest.mark.parametrize("path", [LOOP_V1, LOOP_V2])
async def test_a_model_that_is_loaded_for_clients_that_have_gone_is_not_run(
    store: ModelStore, listen: Listen, path: str
) -> None:
    await store.publish(bundle(looping(), "loop"))
    wire = await listen(max_batch_rows=1, preload_models=0)

    async with AsyncExitStack() as stack:
        for one in await asked(stack, wire, post(turning(path, ENDLESS), path=path), 3):
            one.leave()

        assert await served_soon(wire)


@pytest.mark.usefixtures("stocked")
async def test_a_body_that_nobody_has_asked_for_is_refused_within_its_bounds(
    listen: Listen, frozen: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    wire = await listen(redis_url=frozen.url, redis_timeout_ms=5000, max_body_bytes=1 << 16)
    asking = head(
        "GET /v1/models/churn/predict?key=customer:1 HTTP/1.1",
        "Host: 127.0.0.1",
        "Transfer-Encoding: chunked",
        body=chunked([b" " * (1 << 15)] * 3),
    )

    async with line(wire.port) as one:
        await one.say(KEYED)
        assert [reply.status for reply in await one.hear()] == [200]
        caplog.clear()  # a slow machine was told of while models were loaded
        frozen.pause()
        await one.say(asking)

        assert [(reply.status, reply.code) for reply in await one.hear()] == [(413, "body_too_large")]
        frozen.resume()
    assert not caplog.text


@pytest.mark.parametrize("path", [LOOP_V1, LOOP_V2])
async def test_what_a_client_gives_up_at_its_own_time_is_not_run(looped: Wire, path: str) -> None:
    async with httpx.AsyncClient(timeout=0.3) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post(looped.url + path, content=turning(path, ENDLESS))

        assert await served_soon(looped)


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_client_that_has_only_listened_for_a_while_may_go_too(looped: Wire, framing: str) -> None:
    body = turning(LOOP_V1, ENDLESS)

    async with line(looped.port) as one:
        await one.say(post(body, path=LOOP_V1) if framing == "length" else in_chunks(LOOP_V1, body))
        one.writer.write_eof()
        assert [reply.status for reply in await one.hear()] == [100]
        one.leave()

        assert await served_soon(looped)
    await until(lambda: looped.connections == 0)


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_client_that_only_listens_hears_a_late_answer_after_an_interim_one(
    listen: Listen, frozen: RedisServer, framing: str
) -> None:
    wire = await listen(redis_url=frozen.url, redis_timeout_ms=5000)
    path, body = "/v1/models/churn/predict", b'{"keys": ["customer:1"]}'

    async with line(wire.port) as one:
        await one.say(post(body, path=path))
        assert [reply.status for reply in await one.hear()] == [200]
        frozen.pause()
        await one.say(post(body, path=path) if framing == "length" else in_chunks(path, body))
        await asyncio.sleep(0.05)
        one.writer.write_eof()
        await asyncio.sleep(ASK_SECONDS + 0.3)
        frozen.resume()

        assert [reply.status for reply in await one.hear(2)] == [100, 200]
        assert await one.end() == b""


@pytest.mark.usefixtures("stocked")
async def test_nothing_is_said_in_the_middle_of_an_answer(listen: Listen) -> None:
    wire = await listen()
    job = post(b'{"job": "slow", "max_rate": 0.001}', path="/v1/models/churn/jobs")
    events = head("GET /v1/jobs/slow/events HTTP/1.1", "Host: 127.0.0.1")

    async with line(wire.port) as one:
        await one.say(job)
        assert [reply.status for reply in await one.hear()] == [201]
        await one.say(events + HEALTH)
        await asyncio.sleep(0.2)
        one.writer.write_eof()
        while one.rest.count(b"data: ") < 3:
            assert await one.more()

    assert one.rest.count(b"HTTP/1.1") == 1


async def test_a_client_of_pythons_own_passes_over_the_interim_answer(
    listen: Listen, frozen: RedisServer
) -> None:
    wire = await listen(redis_url=frozen.url, redis_timeout_ms=5000)

    def ask() -> int:
        connection = http.client.HTTPConnection(HOST, wire.port, timeout=WAIT_SECONDS)
        connection.request("POST", "/v1/models/churn/predict", b'{"keys": ["customer:1"]}')
        connection.sock.shutdown(socket.SHUT_WR)
        status = connection.getresponse().status
        connection.close()
        return status

    async with line(wire.port) as one:
        await one.say(KEYED)
        await one.hear()
    frozen.pause()
    asking = asyncio.create_task(asyncio.to_thread(ask))
    await asyncio.sleep(ASK_SECONDS + 0.3)
    frozen.resume()

    assert await asking == 200
