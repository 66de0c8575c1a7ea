"""stored: what the number of stored models costs, and how long the first request of one takes."""

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx

from benchmarks.claims import Claim, figure, ratio
from benchmarks.contenders import INSITU, Server, insitu
from benchmarks.faults import BenchmarkFailed
from benchmarks.features import key
from benchmarks.measurements import Series
from benchmarks.options import Options
from benchmarks.run import LATENCY, RATE, Case, Column, Run, loads_seconds
from benchmarks.stage import Stored
from benchmarks.wrk import Load

NAME = "stored"
COUNTS = (1, 100, 1000)
COLD = 40  # the last ones: a server loads 64 models beforehand
FIRST = f"first request of each of {COLD} models"
START_SECONDS = 20.0


def run(run: Run) -> None:
    """Serve 1, 100 and 1,000 models, each from a prefix of its own, and measure in turns."""
    onnx = run.stage.model.read_bytes()
    for count in COUNTS:
        run.watch.doing(f"{NAME}: publishing {count:,} models")
        run.stage.publish([Stored(model(number), onnx, "vector") for number in range(count)], prefix(count))
    with ExitStack() as stack:
        servers = {
            count: stack.enter_context(insitu(run.stage, settings=prefixed(count))) for count in COUNTS
        }
        run.watch.done(START_SECONDS)
        first_requests(run, servers[COUNTS[-1]])
        for number in range(1, run.options.rounds + 1):
            for count, server in servers.items():
                load = Load(server.url(model(0)), run.stage.bodies("vector"), 1, run.options.seconds)
                run.time(Series(NAME, INSITU, setting(count)), number, load)


def model(number: int) -> str:
    """Return the name of one of the models."""
    return f"m{number:04d}"


def prefix(count: int) -> str:
    """Return the key prefix of so many models."""
    return f"bench-{count}"


def prefixed(count: int) -> dict[str, str]:
    """Return the settings of a server of so many models."""
    return {"INSITU_PREFIX": prefix(count)}


def setting(count: int) -> str:
    """Return a condition in words."""
    return f"{count:,} stored model{'s' * (count > 1)}"


def first_requests(run: Run, server: Server) -> None:
    """Ask models that are not loaded yet once, one after the other.

    Raises: BenchmarkFailed, one was not answered.
    """
    run.watch.doing(f"{NAME}: {FIRST}")
    times: list[float] = []
    with httpx.Client(timeout=30.0) as client:
        for number in range(COUNTS[-1] - COLD, COUNTS[-1]):
            begun = time.perf_counter()
            answer = client.post(server.url(model(number)), json={"keys": [key("vector", number)]})
            times.append((time.perf_counter() - begun) * 1e3)
            if answer.status_code != 200:
                raise BenchmarkFailed(
                    f"{model(number)} was answered with {answer.status_code}: {answer.text[:300]}"
                )
    figures = {
        "p50_ms": statistics.median(times),
        "p99_ms": statistics.quantiles(times, n=100)[98],
        "max_ms": max(times),
    }
    run.add(Series(NAME, INSITU, FIRST), 1, figures)


def seconds(options: Options) -> float:
    """Return about how long the case takes."""
    return START_SECONDS + loads_seconds(options, len(COUNTS))


def claims() -> Iterator[Claim]:
    """Give the claims."""
    few, many = (Series(NAME, INSITU, setting(count)) for count in (COUNTS[0], COUNTS[-1]))
    text = "median latency with 1,000 stored models over one"
    yield Claim(text, ratio((many, "p50_ms"), (few, "p50_ms")), most=1.1)
    cold = figure(Series(NAME, INSITU, FIRST), "max_ms")
    yield Claim("longest first request of a stored model", cold, most=150.0, unit="ms")


CASE = Case(
    NAME,
    "Latency at one connection with 1, 100 and 1,000 stored models, and the first request of models that were not "
    "loaded.",
    run,
    seconds,
    (RATE, *LATENCY, Column("longest ms", "max_ms", 1)),
    tuple(claims()),
)
