"""Walks of sources that read files; no Redis is asked."""

from collections.abc import Iterable
from typing import Any

from redis.asyncio import Redis

from models.assembly import Plan
from models.features import FeatureView
from models.jobs import FromFile, FromInstances
from server.batch.parts import Source, Step
from server.batch.sources.opening import open_source

NO_REDIS = Redis()  # nothing is sent

KEYED = Plan(
    FeatureView.read(
        {"inputs": [{"name": "x", "sources": [{"key": "k:{id}", "as": "hash", "fields": ["a"]}]}]}
    )
)


def keys_in(path: object, column: str | None = None) -> Source:
    return open_source(FromFile(path=str(path), column=column), NO_REDIS, KEYED)


def instances_in(path: object, view: dict[str, Any], missing: Any = None) -> Source:
    plan = Plan(FeatureView.read(view))
    return open_source(FromInstances(path=str(path)), NO_REDIS, plan, missing)


async def steps_of(source: Source, position: str = "") -> list[Step]:
    return [step async for step in source.steps(position)]


async def into(steps: list[Step], source: Source) -> None:
    """Keep the steps of a walk that ends badly."""
    async for step in source.steps(""):
        steps.append(step)  # noqa: PERF401  # a comprehension would lose them


def keys_of(steps: Iterable[Step]) -> list[bytes]:
    return [key for step in steps for key in step.part.keys]


def rows_of(steps: Iterable[Step]) -> list[Any]:
    return [row for step in steps for row in step.part.instances]
