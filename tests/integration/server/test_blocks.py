"""Blocks of keys say what the predictor says of each, and leave to it what is odd."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from models.store import ModelStore
from server.inference.asking import Ask
from server.inference.blocks import Scored
from server.inference.columns import columns_of
from server.inference.engine import Engine
from tests.graphs import bundle, dense, f32
from tests.integration.server.conftest import StartEngine
from tests.servers import RedisServer

Start = Callable[..., RedisServer]
HASH = {"key": "h:{id}", "as": "hash", "fields": ["a", "b", "c"]}
VECTOR = {"key": "v:{id}", "as": "vector", "shape": [3]}
WEIGHTS = dense(f32([[1], [2], [4]]))
SUM = {"task": "regression"}
COUNT = 700  # more than a piece


def view(*sources: Mapping[str, Any]) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "sources": [*sources]}]}


async def read(engine: Engine, keys: Sequence[str]) -> Scored:
    return await engine.blocks.read_and_run(await engine.catalogue.get("m"), keys)


async def agreed(engine: Engine, keys: Sequence[str]) -> Scored:
    """Read and run a block, and see that the predictor says the same of its rows."""
    scored = await read(engine, keys)
    assert sorted([*scored.at, *scored.odd]) == list(range(len(keys)))
    assert [*scored.rows.keys] == [keys[at] for at in scored.at]
    if scored.at:
        answer = await engine.predictor.predict(Ask("m", keys=[keys[at] for at in scored.at]))
        assert [row.error for row in answer.rows] == [None] * len(scored.at)
        assert [row.body for row in scored.rows] == [row.body for row in answer.rows]
    return scored


def numbers(scored: Scored) -> list[float]:
    found = columns_of(scored.rows)
    assert found is not None
    return [float(one) for one in found[1].numbers]


async def fill_hashes(redis: Any, count: int = COUNT, **more: Any) -> list[str]:
    pipeline = redis.pipeline(transaction=False)
    for at in range(count):
        pipeline.hset(f"h:{at}", mapping={"a": at, "b": f"{at}.5", "c": "1e-1", **more})
    await pipeline.execute()
    return [f"h:{at}" for at in range(count)]


async def fill_vectors(redis: Any, count: int = COUNT) -> list[str]:
    await redis.mset({f"v:{at}": f32([at, 1, 2]).tobytes() for at in range(count)})
    return [f"v:{at}" for at in range(count)]


async def test_vectors_are_answered_in_columns(store: ModelStore, engine: StartEngine, redis: Redis) -> None:
    keys = await fill_vectors(redis)
    await store.publish(bundle(WEIGHTS, view=view(VECTOR), **SUM))

    scored = await agreed(running := await engine(), keys)

    assert not scored.odd
    assert numbers(await read(running, keys)) == [at + 10.0 for at in range(COUNT)]


async def test_hashes_are_answered_in_columns(store: ModelStore, engine: StartEngine, redis: Redis) -> None:
    keys = await fill_hashes(redis)
    await store.publish(bundle(WEIGHTS, view=view(HASH), **SUM))

    scored = await agreed(await engine(), keys)

    assert not scored.odd
