"""The features in Redis: 10,000 rows, each once as a hash of 32 text numbers and once as a float32 vector.

The numbers in the keys have twelve digits, as redis-benchmark writes its random ones.
"""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from redis import Redis

from benchmarks.networks import WIDTH

ROWS = 10_000
FIELDS = tuple(f"f{number}" for number in range(WIDTH))
KEY = {"vector": "vec:{id}", "hash": "item:{id}"}
KINDS = tuple(KEY)
ROWS_A_TRIP = 500

Rows = NDArray[np.float32]


def key(kind: str, row: int) -> str:
    """Return the key of one row."""
    return KEY[kind].format(id=f"{row % ROWS:012d}")


def view(kind: str) -> dict[str, Any]:
    """Return the feature view, as data."""
    form = (
        {"as": "hash", "fields": list(FIELDS)}
        if kind == "hash"
        else {"as": "vector", "dtype": "float32", "shape": [WIDTH]}
    )
    return {"inputs": [{"name": "x", "sources": [{"key": KEY[kind], **form}]}]}


def written(redis: Redis) -> Rows:
    """Write the rows under both kinds of key and return them as the network sees them.

    Shape:  (ROWS, WIDTH)
    """
    generator = np.random.default_rng(0)
    texts = [[f"{value:.6f}" for value in row] for row in generator.normal(0, 1, (ROWS, WIDTH))]
    rows = np.array(texts, dtype=np.float32)
    for start in range(0, ROWS, ROWS_A_TRIP):
        pipeline = redis.pipeline(transaction=False)
        for row in range(start, start + ROWS_A_TRIP):
            pipeline.hset(key("hash", row), mapping=dict(zip(FIELDS, texts[row], strict=True)))
            pipeline.set(key("vector", row), rows[row].tobytes())
        pipeline.execute()
    return rows


def bodies(kind: str, rows_a_request: int = 1) -> list[str]:
    """Return request bodies that go through all rows in turns, so that no cache is flattered."""
    starts = range(0, ROWS, rows_a_request)
    return [
        json.dumps({"keys": [key(kind, start + row) for row in range(rows_a_request)]}) for start in starts
    ]
