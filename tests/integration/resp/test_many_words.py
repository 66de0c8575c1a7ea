"""Commands of very many words hold nobody up: others have their turn while they come and while they are read."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from redis.exceptions import ResponseError

from models.store import ModelStore
from tests.graphs import bundle, scaled
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
    """The longest that the loop worked without a turn for anybody else, in seconds of the processor's."""
    longest, before = 0.0, time.thread_time()
    while not under_way.done():
        await asyncio.sleep(0.001)
        now = time.thread_time()
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
    started = time.thread_time()
    asked = asyncio.create_task(line.ask(sent, reply))

    longest = await longest_wait(asked)

    await asked
    assert longest < (time.thread_time() - started) / 2


KEYS = [b"k%d" % number for number in range(MANY)]
WRONG_COUNT = b"-Number of keys given as INPUTS here does not match model definition\r\n"
NO_TENSOR = b"-ERR tensor key is empty or in a different shard\r\n"
SET_X = ("AI.TENSORSET", "x", "FLOAT", 1, 2)
GETS = [word for _ in range(MANY // 4) for word in ("|>", "AI.TENSORGET", "x", "META")]


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        (command("AI.MODELEXECUTE", "m", "INPUTS", MANY, *KEYS, "OUTPUTS", 1, "y"), WRONG_COUNT),
        (command("AI.MODELRUN", "m", "INPUTS", *KEYS, "OUTPUTS", "y"), WRONG_COUNT),
        (
            command("AI.DAGEXECUTE", "LOAD", MANY, *["there"] * (MANY - 1), "no", "|>", "AI.TENSORGET", "no"),
            NO_TENSOR,
        ),
        (
            command("AI.DAGEXECUTE", "LOAD", 1, "there", "ROUTING", "a", "|>", *SET_X, *GETS),
            b"*%d\r\n+OK\r\n*4\r\n" % (MANY // 4 + 1),
        ),
        (
            command(
                "AI.DAGEXECUTE",
                "LOAD",
                MANY,
                *KEYS,
                "PERSIST",
                MANY,
                *KEYS,
                "|>",
                "AI.TENSORGET",
                "k1",
                "META",
            ),
            b"*1\r\n*4\r\n",
        ),
    ],
    ids=["execute", "run", "load", "gets", "persist"],
)
async def test_others_have_their_turn_while_many_keys_are_read(
    store: ModelStore, door: OpenedDoor, sent: bytes, reply: bytes
) -> None:
    await store.publish(bundle(scaled()))
    client = door.client()
    await client.execute_command("AI.TENSORSET", "there", "FLOAT", 1, "VALUES", 1)
    if b"PERSIST" in sent:
        stored: Any = await client.get("there")
        await client.mset(dict.fromkeys(KEYS, stored))
    line = await door.line()
    started = time.thread_time()
    asked = asyncio.create_task(line.ask(sent, reply))

    longest = await longest_wait(asked)

    await asked
    assert longest < (time.thread_time() - started) / 6


async def test_many_keys_mean_what_few_mean(door: OpenedDoor) -> None:
    client, many = door.client(), 3000
    keys = [f"t{number}" for number in range(many)]
    for number, key in enumerate(keys):
        await client.execute_command("AI.TENSORSET", key, "FLOAT", 1, "VALUES", number)
    ends = ["|>", "AI.TENSORGET", "t0", "VALUES", "|>", "AI.TENSORGET", "t2999", "VALUES"]

    told = await client.execute_command("AI.DAGEXECUTE_RO", "LOAD", 2 * many, *keys, *keys, *ends)

    assert told == [[b"0"], [b"2999"]]
    await client.delete("t1500")
    with pytest.raises(ResponseError, match="tensor key is empty"):
        await client.execute_command("AI.DAGEXECUTE_RO", "LOAD", many, *keys, *ends)


async def test_a_tensor_that_is_named_often_is_read_once(door: OpenedDoor) -> None:
    client, often = door.client(), 500
    await client.execute_command("AI.TENSORSET", "x", "FLOAT", 1, "VALUES", 1)
    before = (await client.info("commandstats"))["cmdstat_get"]["calls"] if await client.get("x") else 0

    await client.execute_command("AI.DAGEXECUTE_RO", "LOAD", often, *["x"] * often, "|>", "AI.TENSORGET", "x")

    assert (await client.info("commandstats"))["cmdstat_get"]["calls"] == before + 1


async def test_the_replies_of_a_dag_have_a_bound(door: OpenedDoor) -> None:
    client, size = door.client(), 1 << 20
    await client.execute_command("AI.TENSORSET", "x", "UINT8", size, "BLOB", bytes(size))
    gets = ["|>", "AI.TENSORGET", "x", "BLOB"] * 600

    with pytest.raises(ResponseError, match="the replies of a DAG take more than 536870912 bytes together"):
        await client.execute_command("AI.DAGEXECUTE_RO", "LOAD", 1, "x", *gets)


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
