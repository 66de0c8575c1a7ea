"""Requests of one moment are asked together, and each is answered as if it had come alone."""

import json
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis
from uvicorn.server import ServerState

from models.store import ModelStore
from server.inference import predictor as predicting
from server.inference.engine import Engine
from server.rest.heads import Head
from server.rest.turns import Turn, Turns
from tests.graphs import bundle, looked_up, scaled
from tests.integration.server.conftest import StartEngine, until

VIEW = {"inputs": [{"name": "x", "sources": [{"key": "v:{id}", "as": "vector", "shape": [2]}]}]}
LOOKED_UP = {
    "inputs": [{"name": "i", "sources": [{"key": "h:{id}", "as": "hash", "fields": ["i"]}], "shape": []}]
}
TABLE = np.arange(6, dtype=np.float32).reshape(3, 2)


async def answered(engine: Engine, *keys: str) -> list[tuple[int, Any]]:
    """Ask for keys in one moment, each a request of its own; return status and body of each."""
    turns, state = Turns(engine), ServerState()
    asked = []
    for key in keys:
        body = json.dumps({"keys": [key]}).encode()
        asked.append(Turn(state, lambda: None))
        turns.take(asked[-1], Head(("m", None), 0, len(body), None), body)
    await until(lambda: all(turn.reply is not None for turn in asked))
    told = [(turn.reply or b"").partition(b"\r\n\r\n") for turn in asked]
    return [(int(head.split()[1]), json.loads(body)) for head, _, body in told]


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
