"""Walks of sources, as a job takes them."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from models.assembly import Plan
from models.features import FeatureView
from models.jobs import RowSource
from models.store import Client
from server.batch.parts import Step
from server.batch.sources.opening import open_source

PLAN = Plan(
    FeatureView.read(
        {"inputs": [{"name": "x", "sources": [{"key": "k:{id}", "as": "hash", "fields": ["a"]}]}]}
    )
)


async def steps_of(spec: RowSource, redis: Client, position: str = "") -> list[Step]:
    """Walk to the end."""
    return [step async for step in open_source(spec, redis, PLAN).steps(position)]


async def dropped_after(steps: AsyncIterator[Step], count: int) -> list[Step]:
    """Walk so many steps, as a process that dies then."""
    taken = [await anext(steps) for _ in range(count)]
    await steps.aclose()  # type: ignore[attr-defined]  # a generator, as every source gives
    return taken


def found(steps: Iterable[Step]) -> set[bytes]:
    """Return every key of steps."""
    return {key for step in steps for key in step.part.keys}


async def write(redis: Any, keys: Iterable[bytes]) -> None:
    """Write a hash a key."""
    pipeline = redis.pipeline(transaction=False)
    for key in keys:
        pipeline.hset(key, "a", 1)
    await pipeline.execute()
