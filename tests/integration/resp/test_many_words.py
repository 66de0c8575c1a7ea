"""Commands of very many words hold nobody up: others have their turn while they come and while they are read."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from tests.integration.resp.doors import OpenedDoor, command

MANY = 200_000
NUMBERS = [b"%d" % (number % 1000) for number in range(MANY)]
TENSOR = command("AI.TENSORSET", "big", "FLOAT", MANY, "VALUES", *NUMBERS)
QUEUED = b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n"
DAG: tuple[bytes | str | int, ...] = (
    "AI.DAGEXECUTE_RO",
    "ROUTING",
    "a",
    "|>",
    "AI.TENSORSET",
    "big",
    "FLOAT",
    MANY,
    "VALUES",
    *NUMBERS,
)


async def longest_wait(under_way: "asyncio.Task[Any]") -> float:
    """The longest time that everybody else waited meanwhile, in seconds."""
    longest, before = 0.0, time.perf_counter()
    while not under_way.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    return longest


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        (TENSOR, b"+OK\r\n"),
        (command("MULTI") + TENSOR + command("EXEC"), QUEUED),
        (command(*DAG, "|>", "AI.TENSORGET", "big", "META"), b"*2\r\n+OK\r\n*4\r\n"),
    ],
    ids=["tensor", "transaction", "dag"],
)
async def test_others_have_their_turn_while_many_words_are_read(
    door: OpenedDoor, sent: bytes, reply: bytes
) -> None:
    line = await door.line()
    started = time.perf_counter()
    asked = asyncio.create_task(line.ask(sent, reply))

    longest = await longest_wait(asked)

    await asked
    assert longest < (time.perf_counter() - started) / 2


async def test_many_words_mean_what_few_mean(door: OpenedDoor) -> None:
    client = door.client()

    assert await client.execute_command("AI.TENSORSET", "big", "FLOAT", MANY, "VALUES", *NUMBERS) == b"OK"

    stored = await client.execute_command("AI.TENSORGET", "big", "BLOB")
    assert np.array_equal(np.frombuffer(stored, "<f4"), np.array(NUMBERS).astype(np.float32))


async def test_what_follows_many_words_is_answered_after_them(door: OpenedDoor) -> None:
    line = await door.line()
    wrong = command("AI.TENSORSET", "big", "FLOAT", 5, "VALUES", *NUMBERS)

    await line.say(wrong + command("GET", "none") + TENSOR + command("AI.TENSORGET", "big", "META"))

    assert await line.line() == b"-ERR wrong number of values was given in 'AI.TENSORSET' command\r\n"
    await line.ask(b"", b"$-1\r\n+OK\r\n*4\r\n")
