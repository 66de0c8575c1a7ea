"""redis-benchmark: what answers to commands of Redis, the Redis of the run by itself or a server in front of it."""

import csv
import shutil
import subprocess
from collections.abc import Sequence

from benchmarks.faults import BenchmarkFailed, Missing
from benchmarks.features import FIELDS, KEY, ROWS
from benchmarks.measurements import Figures
from benchmarks.stage import Stage

PROGRAMS = ("redis-benchmark", "valkey-benchmark")
TRIAL_REQUESTS = {1: 2_000, 64: 20_000}
LIMIT_SECONDS = 120
PIPELINE = 256  # commands on their way at once, where pipelines are deep
GET_REDIS_BENCHMARK = (
    "redis-benchmark is not installed: `sudo apt install redis-tools` (Debian, Ubuntu), "
    "`brew install redis` (macOS)"
)


def find_program() -> str:
    """Return redis-benchmark, or Valkey's.

    Raises: Missing, with how to get it.
    """
    for name in PROGRAMS:
        found = shutil.which(name)
        if found:
            return found
    raise Missing(GET_REDIS_BENCHMARK)


def measure(stage: Stage, kind: str, connections: int, seconds: float) -> Figures:
    """Measure GET of a vector or HMGET of a hash for about this long.

    Raises: Missing; BenchmarkFailed.
    """
    trial = attempt(stage, kind, connections, TRIAL_REQUESTS[connections])
    return attempt(stage, kind, connections, max(1000, int(trial["rate"] * seconds)))


def attempt(stage: Stage, kind: str, connections: int, requests: int) -> Figures:
    """Measure a number of requests."""
    key = KEY[kind].format(id="__rand_int__")
    asked = ["HMGET", key, *FIELDS] if kind == "hash" else ["GET", key]
    return answered(of(stage), asked, requests, ["-c", str(connections), "-r", str(ROWS)])


def deep(stage: Stage, asked: Sequence[str], requests: int, keys: int) -> Figures:
    """Measure a command in deep pipelines over one connection; `__rand_int__` in it is one of so many keys.

    Raises: Missing; BenchmarkFailed.
    """
    return answered(of(stage), asked, requests, ["-c", "1", "-P", str(PIPELINE), "-r", str(keys)])


def of(stage: Stage) -> list[str]:
    """Return how the Redis of the run is found, by its unix socket."""
    return ["-s", str(stage.redis.socket)]


def answered(
    place: Sequence[str], asked: Sequence[str | bytes], requests: int, more: Sequence[str]
) -> Figures:
    """Measure a number of requests of one command at a place, as redis-benchmark is told of it.

    Raises: Missing; BenchmarkFailed.
    """
    options = [
        *place,
        "-n",
        str(requests),
        *more,
        "--csv",
    ]
    done = subprocess.run(
        [find_program(), *options, *asked],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
        start_new_session=True,
    )
    if done.returncode != 0:
        raise BenchmarkFailed(f"redis-benchmark ended with code {done.returncode}: {done.stderr.strip()}")
    return read(done.stdout)


def read(output: str) -> Figures:
    """Read the CSV: a heading since Redis 6.2, latencies in milliseconds.

    Raises: BenchmarkFailed, there is no heading.
    """
    rows = list(csv.DictReader(line for line in output.splitlines() if line.startswith('"')))
    if not rows or "rps" not in rows[0]:
        raise BenchmarkFailed(
            f"redis-benchmark said no numbers (6.2 or newer is wanted): {output.strip()[-300:]}"
        )
    row = rows[-1]
    return {
        "rate": float(row["rps"]),
        "p50_ms": float(row["p50_latency_ms"]),
        "p99_ms": float(row["p99_latency_ms"]),
        "max_ms": float(row["max_latency_ms"]),
    }
