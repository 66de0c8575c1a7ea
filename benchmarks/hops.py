"""Hash to prediction from redis-py: in one command of Insitu's, and as RedisAI's users do it, in turns.

python -m benchmarks.hops REDIS_PORT PORT MODEL SECONDS    prints one line of JSON

One command is INSITU.PREDICT with the key. Two are HMGET, its texts made numbers, and
AI.DAGEXECUTE_RO with them: both over one client, as a program does that moved here from RedisAI, and
with HMGET at Redis itself. One process, in turns, so that all meet the same machine.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from redis import Redis

from benchmarks.features import FIELDS, ROWS, key
from benchmarks.networks import WIDTH

WARM = 200
SAME = 1e-5


def main() -> None:
    """Measure for so many seconds."""
    redis: Any = Redis(port=int(sys.argv[1]), protocol=2)
    insitu: Any = Redis(port=int(sys.argv[2]), protocol=2)
    model, until = sys.argv[3], float(sys.argv[4])

    def one(name: str) -> float:
        return float(insitu.execute_command("INSITU.PREDICT", "hash", name)[0][1])

    def two(name: str, reads: Any = insitu) -> float:
        row = np.array(reads.hmget(name, FIELDS), np.float32)
        told = insitu.execute_command(
            "AI.DAGEXECUTE_RO", "ROUTING", "x", "|>", "AI.TENSORSET", "x", "FLOAT", 1, WIDTH, "BLOB", row.tobytes(),
            "|>", "AI.MODELEXECUTE", model, "INPUTS", 1, "x", "OUTPUTS", 1, "y", "|>", "AI.TENSORGET", "y", "BLOB",
        )  # fmt: skip
        return float(np.frombuffer(told[2], np.float32)[0])

    ways: dict[str, Callable[[str], float]] = {
        "INSITU.PREDICT": one,
        "HMGET, AI.DAGEXECUTE_RO": two,
        "HMGET at Redis, AI.DAGEXECUTE_RO": partial(two, reads=redis),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    begun, row = time.perf_counter(), 0
    while row < WARM or time.perf_counter() - begun < until:
        name, told = key("hash", row % ROWS), []
        for way, ask in ways.items():
            started = time.perf_counter()
            told.append(ask(name))
            times[way].append(time.perf_counter() - started)
        if max(told) - min(told) > SAME:
            sys.exit(f"{name} has these predictions: {told}")
        row += 1
    sys.stdout.write(json.dumps({way: figures(some[WARM // 2 :]) for way, some in times.items()}) + "\n")


def figures(seconds: list[float]) -> dict[str, float]:
    """Return what times say."""
    p50, p99 = np.percentile(seconds, (50, 99)) * 1e3
    return {"rate": len(seconds) / sum(seconds), "p50_ms": p50, "p99_ms": p99, "max_ms": max(seconds) * 1e3}


if __name__ == "__main__":
    main()
