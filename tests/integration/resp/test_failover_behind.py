"""Sentinels name another master behind clients: none is left with the one before, whatever that one does."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.guarded import Guard, start_guard
from tests.integration.resp.conftest import OpenDoor
from tests.integration.resp.doors import command

SUBSCRIBED = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"


@pytest.fixture
def guard(redis_binary: Path) -> Iterator[Guard]:
    with ExitStack() as stack:
        yield start_guard(redis_binary, stack, sentinels=1)


async def test_clients_of_a_master_that_hangs_are_let_go_once_it_is_replaced(
    guard: Guard, open_door: OpenDoor
) -> None:
    door = await open_door(redis_url=guard.url)
    subscriber, reader = await door.line(), await door.line()
    await subscriber.ask(command("SUBSCRIBE", "news"), SUBSCRIBED)
    await reader.ask(command("GET", "a"), b"$-1\r\n")

    guard.master.pause()
    await reader.say(command("GET", "a"))
    await asyncio.to_thread(guard.wait_for, guard.replica)

    moved = f"127.0.0.1:{guard.master.port} was replaced by 127.0.0.1:{guard.replica.port}"
    told = f"-LOADING Redis does not answer ({moved})".encode()
    assert (await reader.until_end()).startswith(told)
    assert await subscriber.until_end() == b""


async def test_clients_of_a_master_that_stays_are_left_alone(guard: Guard, open_door: OpenDoor) -> None:
    door = await open_door(redis_url=guard.url)
    line = await door.line()
    await line.ask(command("GET", "a"), b"$-1\r\n")
    heard = asyncio.Queue[object]()
    door.engine.follow_master(heard.put_nowait)

    async with asyncio.timeout(10):
        await heard.get()
        await heard.get()

    await line.ask(command("GET", "a"), b"$-1\r\n")
