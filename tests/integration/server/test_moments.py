"""Requests of one moment are asked together, and each is answered as if it had come alone."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis
from uvicorn.server import ServerState

from models.store import ModelStore
from server.inference import predictor as predicting
from server.inference.engine import Engine
from server.inference.requests import Request
from server.rest.heads import Head
from server.rest.turns import Turn, Turns
from tests.graphs import bundle, looked_up, scaled
from tests.integration.server.conftest import WAIT_SECONDS, StartEngine, until
from tests.integration.server.relay import Relay
from tests.servers import RedisServer

VIEW = {"inputs": [{"name": "x", "sources": [{"key": "v:{id}", "as": "vector", "shape": [2]}]}]}
LOOKED_UP = {
    "inputs": [{"name": "i", "sources": [{"key": "h:{id}", "as": "hash", "fields": ["i"]}], "shape": []}]
}
TABLE = np.arange(6, dtype=np.float32).reshape(3, 2)


def asked(turns: Turns, *keys: str) -> list[Turn]:
    """Ask for keys in one moment, each a request of its own."""
    state, each = ServerState(), []
    for key in keys:
        body = json.dumps({"keys": [key]}).encode()
        each.append(Turn(state, lambda: None))
        turns.take(each[-1], Head(("m", None), 0, len(body), None), body)
    return each


async def told(each: list[Turn]) -> list[tuple[int, Any]]:
    """Wait for their answers; return status and body of each."""
    await until(lambda: all(turn.reply is not None for turn in each))
    words = [(turn.reply or b"").partition(b"\r\n\r\n") for turn in each]
    return [(int(head.split()[1]), json.loads(body)) for head, _, body in words]


async def answered(engine: Engine, *keys: str) -> list[tuple[int, Any]]:
    """Ask for keys in one moment and wait for their answers.

    They are asked for twice: as many as came in one moment are waited for in the next.
    """
    turns = Turns(engine)
    await told(asked(turns, *keys))
    return await told(asked(turns, *keys))


def values(answers: list[tuple[int, Any]]) -> list[Any]:
    """Return the output of the only row of each answer, or the code of its error."""
    return [
        body["predictions"][0]["outputs"]["y"] if status == 200 else body["error"]["code"]
        for status, body in answers
    ]


@pytest.fixture
async def stored(store: ModelStore, redis: Redis) -> ModelStore:
    await redis.mset({f"v:{number}": np.full(2, number, "<f4").tobytes() for number in range(40)})
    await store.publish(bundle(scaled(), view=VIEW))
    return store


@pytest.mark.parametrize("rows", [1, 7, 1000])
async def test_each_gets_its_own_answer_in_order(stored: ModelStore, engine: StartEngine, rows: int) -> None:
    running = await engine(max_request_rows=rows)
    keys = [f"v:{number}" for number in range(30)]

    answers = await answered(running, *keys)

    assert values(answers) == [[2 * number, 2 * number] for number in range(30)]
    assert [body["predictions"][0]["key"] for _, body in answers] == keys


async def test_what_does_not_fit_the_queue_is_refused_and_the_rest_answered(
    stored: ModelStore, engine: StartEngine
) -> None:
    running = await engine(max_queue_rows=4)
    (serving,) = running.catalogue.loaded()

    serving.batcher.admit(2)
    answers = await answered(running, *(f"v:{number}" for number in range(30)))
    serving.batcher.release(2)

    assert values(answers) == [[0, 0], [2, 2], *["overloaded"] * 28]
    assert {status for status, _ in answers} == {200, 429}


async def test_what_is_too_much_at_once_is_asked_one_by_one(
    stored: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await engine()
    monkeypatch.setattr(predicting, "REQUEST_BYTES", 2 * 8)  # two rows

    answers = await answered(running, *(f"v:{number}" for number in range(5)))

    assert values(answers) == [[2 * number, 2 * number] for number in range(5)]


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"key": "v:{id}", "as": "vector", "shape": [2]}, "v:long"),
        ({"key": "v:{id}", "as": "vector", "shape": [2]}, "v:none"),
        ({"key": "v:{id}", "as": "vector", "shape": [2]}, "x:1"),
        ({"key": "h:{id}", "as": "hash", "fields": ["a", "b"]}, "h:text"),
    ],
)
async def test_a_row_that_fails_keeps_nothing_of_its_request(
    store: ModelStore, redis: Redis, engine: StartEngine, source: dict[str, Any], key: str
) -> None:
    await redis.set("v:long", bytes(1 << 20))
    await redis.hset("h:text", mapping={"a": "x" * (1 << 20), "b": "1"})
    await store.publish(bundle(scaled(), view={"inputs": [{"name": "x", "sources": [source]}]}))
    running = await engine()
    gc.collect()
    gc.disable()
    try:
        answers = await answered(running, key, key, key)
        left = [one for one in gc.get_objects() if isinstance(one, Request)]
    finally:
        gc.enable()

    assert {status for status, _ in answers} <= {400, 404, 422}
    assert len(left) <= 1  # whose replies came last


async def test_one_that_fails_leaves_the_others_of_its_moment_alone(
    stored: ModelStore, engine: StartEngine
) -> None:
    running = await engine()

    answers = await answered(running, "v:1", "x:1", "v:2", "v:none", "v:3")

    assert values(answers) == [[2, 2], "key_not_allowed", [4, 4], "key_missing", [6, 6]]


async def test_one_that_cannot_be_run_leaves_the_others_of_its_moment_alone(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    for number in range(120):
        await redis.hset(f"h:{number}", "i", "9" if number % 2 else "1")
    await store.publish(bundle(looked_up(TABLE), view=LOOKED_UP))
    running = await engine()

    answers = await answered(running, *(f"h:{number}" for number in range(120)))

    assert values(answers) == [TABLE[1].tolist(), "run_failed"] * 60


@pytest.fixture
async def own(redis_server: Callable[..., RedisServer]) -> AsyncIterator[RedisServer]:
    """A Redis of the test's own, to be paused, with a model and vectors."""
    server = redis_server()
    async with Redis.from_url(server.url) as client:
        await client.mset({f"v:{number}": np.full(2, number, "<f4").tobytes() for number in range(40)})
        await ModelStore(client).publish(bundle(scaled(), view=VIEW))
    yield server
    server.resume()


def trips(engine: Engine) -> float:
    """Return how often Redis was asked."""
    text = engine.metrics.exposition().decode()
    line = next(line for line in text.splitlines() if line.startswith("insitu_redis_round_trips_total"))
    return float(line.split()[1])


async def beside(own: RedisServer, engine: StartEngine) -> tuple[Engine, Turns]:
    """Start an engine, and ask until it has found its Redis to be near.

    One question is asked right after the other, and nothing sleeps between: a processor that wakes up
    for each may take longer over a round trip than what counts as near.
    """
    running = await engine(redis_url=own.url)
    turns = Turns(running)

    async def found() -> bool:
        [turn] = asked(turns, "v:1")
        near = running.reading()
        while turn.reply is None:  # noqa: ASYNC110  # nobody tells a test, and it is not to sleep
            await asyncio.sleep(0)
        return near

    async with asyncio.timeout(WAIT_SECONDS):
        while not await found():
            pass
    return running, turns


async def in_moments(turns: Turns, *keys: str) -> list[Turn]:
    """Ask for keys, each in a moment of its own."""
    each: list[Turn] = []
    for key in keys:
        each += asked(turns, key)
        await asyncio.sleep(0)
    return each


async def test_what_comes_while_others_are_read_for_is_asked_together(
    own: RedisServer, engine: StartEngine
) -> None:
    running, turns = await beside(own, engine)
    before = trips(running)

    own.pause()
    each = await in_moments(turns, *(f"v:{number}" for number in range(30)))
    own.resume()
    answers = await told(each)

    assert values(answers) == [[2 * number, 2 * number] for number in range(30)]
    assert trips(running) - before == 2


async def test_a_key_that_redis_refuses_to_give_is_the_affair_of_who_asked_for_it(
    own: RedisServer, engine: StartEngine
) -> None:
    running = await engine(redis_url=own.url)
    await running.catalogue.get("m")
    with own.connect() as client:
        client.execute_command("ACL", "SETUSER", "default", "resetkeys", "~insitu*", "~v:1*")

    answers = await answered(running, "v:1", "v:10", "v:2", "v:11")

    assert values(answers) == [[2, 2], [20, 20], "redis_refused_key", [22, 22]]
    assert [status for status, _ in answers] == [200, 200, 502, 200]


async def test_a_redis_that_is_held_up_holds_up_nobody_who_came_later(
    own: RedisServer, engine: StartEngine
) -> None:
    running, turns = await beside(own, engine)

    own.pause()
    each = await in_moments(turns, "v:1", "v:2", "v:3")
    await until(lambda: running.predictor.under_way == 3)
    late = await in_moments(turns, "v:4")
    await until(lambda: running.predictor.under_way == 4)
    own.resume()

    assert values(await told([*each, *late])) == [[2 * number, 2 * number] for number in (1, 2, 3, 4)]


async def test_those_who_waited_are_told_that_redis_is_lost(own: RedisServer, engine: StartEngine) -> None:
    _, turns = await beside(own, engine)

    own.pause()
    each = await in_moments(turns, "v:1", "v:2", "v:3")
    own.kill()

    assert values(await told(each)) == ["redis_unavailable"] * 3


async def test_nobody_waits_for_a_redis_that_is_far(
    own: RedisServer, engine: StartEngine, tmp_path: Path
) -> None:
    async with Relay(Path(own.url.removeprefix("unix://")), wait=0.002).running(tmp_path / "far") as far:
        running = await engine(redis_url=far)
        turns = Turns(running)
        await told(asked(turns, "v:1"))
        before = trips(running)

        answers = await told(await in_moments(turns, *(f"v:{number}" for number in range(5))))

        assert values(answers) == [[2 * number, 2 * number] for number in range(5)]
        assert trips(running) - before == 5
