"""Commands of Redis and ours in one pipeline, cut anywhere: the replies of one after the other, in the same order."""

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from models.store import ModelStore
from tests.graphs import bundle, constant, scaled
from tests.integration.resp.doors import Line, OpenedDoor, command

VIEW = {"inputs": [{"name": "x", "sources": [{"key": "k:{id}", "as": "hash", "fields": ["a", "b"]}]}]}
KEYS = st.sampled_from(["a", "b", "k:1"])
TENSOR = st.integers(-3, 3)


def said(*texts: str) -> st.SearchStrategy[bytes]:
    return st.sampled_from([command(*text.split()) for text in texts])


PLAIN = st.one_of(
    said(
        "PING",
        "INCR n",
        "GET n",
        "GET t",
        "DEL t u",
        "RPUSH l x",
        "LRANGE l 0 2",
        "STRLEN t",
        "GET none",
        "NOSUCH",
        "SET t text",
    ),
    said(
        "SELECT 1",
        "SELECT 0",
        "EXPIRE t 100",
        "HGETALL k:1",
        "HSET k:1 a 5",
        "COPY t u REPLACE",
        "TYPE t",
        "EXISTS t u",
        "DBSIZE",
    ),
    st.just(b"PING\r\n"),
    st.just(b"ai.tensorget t meta\r\n"),
)
TESTS = said("T.SAY x", "T.GET n", "T.PUT n 5", "T.WAIT 1 a", "T.WAIT 0 b", "T.GET", "T.GET l")
TENSORS = st.one_of(
    TENSOR.map(lambda one: command("AI.TENSORSET", "t", "FLOAT", 1, 2, "VALUES", one, 1)),
    said(
        "AI.TENSORGET t VALUES",
        "AI.TENSORGET u BLOB",
        "AI.TENSORGET t META",
        "AI.TENSORGET none",
        "AI.TENSORSET t FLOAT 1",
    ),
)
MODELS = said(
    "AI.MODELEXECUTE m INPUTS 1 t OUTPUTS 1 u", "AI.MODELEXECUTE none INPUTS 1 t OUTPUTS 1 u",
    "AI.MODELRUN m INPUTS u OUTPUTS t",
    "AI.DAGEXECUTE LOAD 1 t PERSIST 1 u |> AI.MODELEXECUTE m INPUTS 1 t OUTPUTS 1 u |> AI.TENSORGET u VALUES",
    "AI.DAGEXECUTE_RO LOAD 1 t |> AI.MODELEXECUTE m INPUTS 1 t OUTPUTS 1 z |> AI.TENSORGET z VALUES",
    "AI.DAGEXECUTE_RO ROUTING t |> AI.TENSORSET a FLOAT 1 2 VALUES 3 4 |> AI.MODELEXECUTE m INPUTS 1 a OUTPUTS 1 z "
    "|> AI.TENSORGET z VALUES",
)  # fmt: skip
PREDICTIONS = said(
    "INSITU.PREDICT c k:1",
    "INSITU.PREDICT c k:1",
    "INSITU.PREDICT c k:1 k:1",
    "INSITU.PREDICT c none",
    "INSITU.PREDICT none k:1",
)
STATEFUL = st.lists(st.one_of(PLAIN, TENSORS, MODELS, TESTS), max_size=4).map(
    lambda held: command("MULTI") + b"".join(held) + command("EXEC")
)


@pytest.fixture
async def stocked(redis: Redis, door: OpenedDoor) -> OpenedDoor:
    store = ModelStore(redis)
    await store.publish(bundle(scaled(), "m"))
    await store.publish(bundle(constant(7), "c", view=VIEW, task="regression"))
    return door


async def begun(redis: Redis, door: OpenedDoor, protocol: int) -> Line:
    """A connection, and a Redis with nothing but models and features."""
    for number in (0, 1):
        await redis.execute_command("SELECT", number)
        await redis.delete("n", "t", "u", "l", "k:1", "none")
    await redis.execute_command("SELECT", 0)
    await redis.hset("k:1", mapping={"a": 1, "b": 2})
    one = await door.line()
    await one.say(command("HELLO", protocol))
    await one.until_quiet()
    return one


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    parts=st.lists(st.one_of(PLAIN, TESTS, TENSORS, MODELS, PREDICTIONS, STATEFUL), min_size=1, max_size=16),
    cuts=st.lists(st.floats(0, 1), max_size=6),
    protocol=st.sampled_from([2, 3]),
)
async def test_a_pipeline_says_what_one_after_the_other_says(
    stocked: OpenedDoor, redis: Redis, parts: list[bytes], cuts: list[float], protocol: int
) -> None:
    one = await begun(redis, stocked, protocol)
    expected = b""
    for part in parts:
        await one.say(part)
        expected += (await one.until_quiet()).removesuffix(b"MARK")
    data = b"".join(parts)
    places = sorted({0, len(data), *(int(place * len(data)) for place in cuts)})
    other = await begun(redis, stocked, protocol)

    await other.say(*(data[start:end] for start, end in pairwise(places)))

    assert (await other.until_quiet()).removesuffix(b"MARK") == expected
    one.writer.close()
    other.writer.close()
