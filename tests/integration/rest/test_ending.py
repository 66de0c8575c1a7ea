"""A server that is told to end while it answers: what was asked is answered, and says that it is the last."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from tests.integration.rest.conftest import Serve
from tests.integration.rest.speaking import Line, head, line, post
from tests.servers import RedisServer

KEYED = post(b'{"keys": ["customer:1"]}', path="/v1/models/churn/predict")
HEALTH = head("GET /health/live HTTP/1.1", "Host: 127.0.0.1")
HALVES = KEYED[:-8], KEYED[-8:]
SAID = [KEYED, KEYED * 2, KEYED * 5, KEYED + HEALTH + KEYED, HEALTH + KEYED, KEYED + HEALTH]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as one:
        yield one


async def opened(stack: AsyncExitStack, port: int, count: int) -> list[Line]:
    return [await stack.enter_async_context(line(port)) for _ in range(count)]


async def test_everything_asked_before_the_end_is_answered(
    serve: Serve, frozen: RedisServer, stack: AsyncExitStack
) -> None:
    server = serve(frozen.url, INSITU_REDIS_TIMEOUT_MS="10000")
    lines = await opened(stack, server.port, 40)
    for one in lines:
        await one.say(KEYED)
        assert len(await one.hear()) == 1

    frozen.pause()
    said = [SAID[number % len(SAID)] for number in range(40)]
    for one, words in zip(lines, said, strict=True):
        await one.say(words)
    await asyncio.sleep(0.2)
    server.terminate()
    await asyncio.sleep(0.5)
    frozen.resume()

    for one, words in zip(lines, said, strict=True):
        count = words.count(b"HTTP/1.1")
        replies = await one.hear(count)
        assert [reply.status for reply in replies] == [200] * count
        assert [reply.last for reply in replies] == [False] * (count - 1) + [True]
        assert await one.end() == b""
    assert await asyncio.to_thread(server.wait) == 0
    assert "Traceback" not in server.log


async def test_what_was_said_at_the_last_moment_is_answered(
    serve: Serve, frozen: RedisServer, stack: AsyncExitStack
) -> None:
    server = serve(frozen.url)
    lines = await opened(stack, server.port, 40)
    for one in lines:
        await one.say(KEYED)
        assert len(await one.hear()) == 1

    for one in lines:
        await one.say(KEYED)
    server.terminate()

    for one in lines:
        assert [reply.status for reply in await one.hear()] == [200]
        assert await one.end() == b""
    assert await asyncio.to_thread(server.wait) == 0


async def test_connections_that_wait_for_nothing_are_closed_at_once(
    serve: Serve, frozen: RedisServer, stack: AsyncExitStack
) -> None:
    server = serve(frozen.url)
    kept, silent, half = await opened(stack, server.port, 3)
    await kept.say(KEYED)
    assert len(await kept.hear()) == 1
    await half.say(KEYED[:50])
    loop = asyncio.get_running_loop()

    server.terminate()
    at = loop.time()

    assert [await one.end() for one in (kept, silent, half)] == [b""] * 3
    assert await asyncio.to_thread(server.wait) == 0
    assert loop.time() - at < 3


async def test_a_body_that_was_on_its_way_is_waited_for(
    serve: Serve, frozen: RedisServer, stack: AsyncExitStack
) -> None:
    server = serve(frozen.url)
    (one,) = await opened(stack, server.port, 1)
    await one.say(HALVES[0])
    await asyncio.sleep(0.2)

    server.terminate()
    await asyncio.sleep(0.5)
    await one.say(HALVES[1])

    (reply,) = await one.hear()
    assert (reply.status, reply.last) == (200, True)
    assert await one.end() == b""
    assert await asyncio.to_thread(server.wait) == 0


async def test_an_end_is_not_put_off_by_clients_that_go_on_asking(
    serve: Serve, frozen: RedisServer, stack: AsyncExitStack
) -> None:
    server = serve(frozen.url)
    lines = await opened(stack, server.port, 8)

    async def ask(one: Line) -> list[int]:
        statuses: list[int] = []
        while not one.ended:
            await one.say(KEYED)
            statuses += [reply.status for reply in await one.hear()]
        return statuses

    asking = [asyncio.create_task(ask(one)) for one in lines]
    await asyncio.sleep(0.3)
    server.terminate()
    answers = await asyncio.gather(*asking)

    assert {status for statuses in answers for status in statuses} == {200}
    assert await asyncio.to_thread(server.wait) == 0


async def test_a_client_that_never_reads_does_not_hold_up_the_end_for_long(
    serve: Serve, frozen: RedisServer, stack: AsyncExitStack
) -> None:
    server = serve(frozen.url, INSITU_SHUTDOWN_SECONDS="1")
    (deaf,) = await opened(stack, server.port, 1)
    deaf.writer.write(KEYED * 20_000)
    await asyncio.sleep(0.3)
    loop = asyncio.get_running_loop()

    server.terminate()
    at = loop.time()

    assert await asyncio.to_thread(server.wait) == 0
    assert loop.time() - at < 6
