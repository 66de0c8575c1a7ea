"""The rows of the scoring case: 200,000 keys of each kind, over the same 10,000 rows of numbers again and again."""

from typing import Any

import numpy as np
from redis import Redis

from benchmarks.features import FIELDS
from benchmarks.networks import WIDTH

COUNT = 200_000
DISTINCT = 10_000
ROWS_A_TRIP = 1000
KEYS = {"vector": "bulk-vec:{id}", "hash": "bulk-item:{id}"}


def key(kind: str, row: int) -> str:
    """Return the key of one row; redis-benchmark writes its random numbers with twelve digits too."""
    return KEYS[kind].format(id=f"{row:012d}")


def keys(kind: str, count: int) -> list[str]:
    """Return the first keys."""
    return [key(kind, row) for row in range(count)]


def view(kind: str) -> dict[str, Any]:
    """Return the feature view, as data."""
    form = (
        {"as": "hash", "fields": list(FIELDS)}
        if kind == "hash"
        else {"as": "vector", "dtype": "float32", "shape": [WIDTH]}
    )
    return {"inputs": [{"name": "x", "sources": [{"key": KEYS[kind], **form}]}]}


def write(redis: Redis, count: int) -> None:
    """Write the rows under both kinds of key."""
    numbers = np.random.default_rng(1).normal(0, 1, (DISTINCT, WIDTH))
    texts: list[dict[Any, Any]] = [
        dict(zip(FIELDS, [f"{value:.6f}" for value in row], strict=True)) for row in numbers
    ]
    vectors = [row.tobytes() for row in numbers.astype(np.float32)]
    for start in range(0, count, ROWS_A_TRIP):
        pipeline = redis.pipeline(transaction=False)
        for row in range(start, min(start + ROWS_A_TRIP, count)):
            pipeline.hset(key("hash", row), mapping=texts[row % DISTINCT])
            pipeline.set(key("vector", row), vectors[row % DISTINCT])
        pipeline.execute()
