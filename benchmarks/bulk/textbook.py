"""Textbook: the loop one writes by hand to score many keys: a pipeline, float(), a run, and a pipeline back.

python -m benchmarks.bulk.textbook URL MODEL KIND COUNT [write]
"""

import json
import sys
import time

import numpy as np
import onnxruntime as ort
from redis import Redis

from benchmarks.bulk.rows import keys
from benchmarks.features import FIELDS

ROWS_A_TRIP = 1000


def read(redis: "Redis", kind: str, part: list[str]) -> "np.typing.NDArray[np.float32]":
    """Read the features of some keys."""
    pipeline = redis.pipeline(transaction=False)
    for key in part:
        if kind == "hash":
            pipeline.hmget(key, *FIELDS)
        else:
            pipeline.get(key)
    replies = pipeline.execute()
    if kind == "hash":
        return np.array([[float(value) for value in row] for row in replies], np.float32)
    return np.stack([np.frombuffer(row, np.float32) for row in replies])


def score(url: str, model: str, kind: str, count: int, write: bool) -> float:
    """Score the keys, and return the seconds it took."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    every = keys(kind, count)
    with Redis.from_url(url) as redis:
        started = time.perf_counter()
        for start in range(0, count, ROWS_A_TRIP):
            part = every[start : start + ROWS_A_TRIP]
            (values,) = session.run(None, {"x": read(redis, kind, part)})
            if write:
                pipeline = redis.pipeline(transaction=False)
                for key, value in zip(part, values, strict=True):
                    pipeline.set(f"textbook:{key}", json.dumps({"key": key, "value": float(value[0])}))
                pipeline.execute()
        return time.perf_counter() - started


def main() -> None:
    """Score, and write rows and seconds as JSON."""
    url, model, kind, count, *write = sys.argv[1:]
    seconds = score(url, model, kind, int(count), bool(write))
    sys.stdout.write(json.dumps({"rows": int(count), "seconds": seconds}) + "\n")


if __name__ == "__main__":
    main()
