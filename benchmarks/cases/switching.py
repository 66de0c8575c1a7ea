"""switching: versions switched under full load; every answer is looked at for errors and for mixed versions."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from benchmarks import wrk
from benchmarks.claims import Claim, figure, ratio
from benchmarks.contenders import INSITU, Server, insitu
from benchmarks.measurements import Series
from benchmarks.networks import certain
from benchmarks.options import Options
from benchmarks.run import LATENCY, RATE, WRK_OVERHEAD_SECONDS, Case, Column, Run
from benchmarks.stage import Stage, Stored
from models.connecting import connect
from models.store import ModelStore

NAME = "switching"
MODEL = "switched"
SWITCHES = 100
PUBLISHED = 10
ROWS_A_REQUEST = 2  # an answer that mixed versions would show in its rows
CONNECTIONS = 64
LEAST_SECONDS = 5
ROUNDS = 3
SPARE_SECONDS = 60.0
STEADY, PROMOTED, NEW = "no switch", f"{SWITCHES} switches between two versions", f"{PUBLISHED} new versions"


def run(run: Run) -> None:
    """Measure without switches, with them, and while new versions are published, in turns."""
    run.watch.doing(f"{NAME}: starting the server")
    run.stage.publish([Stored(MODEL, certain(version), "vector") for version in (1, 2)])
    with insitu(run.stage) as server:
        for number in range(1, min(ROUNDS, run.options.rounds) + 1):
            timed(run, server, STEADY, number)
            with promoting(run.stage, length(run.options)):
                timed(run, server, PROMOTED, number)
            with publishing(run.stage, length(run.options)):
                timed(run, server, NEW, number)


def length(options: Options) -> int:
    """Return the seconds of one measurement: long enough that switches do not pile up."""
    return options.seconds + 1 if options.quick else max(LEAST_SECONDS, options.seconds)


def timed(run: Run, server: Server, setting: str, number: int) -> None:
    """Measure once and count the answers that were wrong, instead of stopping at them."""
    series = Series(NAME, INSITU, setting)
    run.doing(series, number)
    bodies = run.stage.bodies("vector", ROWS_A_REQUEST)
    load = wrk.Load(server.url(MODEL), bodies, CONNECTIONS, length(run.options), check="version")
    seen = wrk.attempt(load)
    if seen.errors:
        run.notes.append(f"{NAME}: {seen.errors} wrong answers, {seen.faults}; the first: {seen.sample}")
    run.add(series, number, {**seen.figures, "errors": seen.errors})
    run.watch.done(load.seconds + WRK_OVERHEAD_SECONDS)


@contextmanager
def promoting(stage: Stage, seconds: float) -> Iterator[None]:
    """Move the alias to and fro, evenly over the time, until it is over."""

    async def promote() -> None:
        async with connect(stage.url) as client:
            store = ModelStore(client)
            begun = time.monotonic()
            for number in range(SWITCHES):
                await store.promote(MODEL, 1 + number % 2)
                await asyncio.sleep(max(0.0, begun + (number + 1) * seconds / SWITCHES - time.monotonic()))

    with beside(promote):
        yield


@contextmanager
def publishing(stage: Stage, seconds: float) -> Iterator[None]:
    """Publish new versions, evenly over the time, until it is over."""

    async def publish() -> None:
        async with connect(stage.url) as client:
            begun = time.monotonic()
            newest = max(await ModelStore(client).versions(MODEL))
            for number in range(PUBLISHED):
                version = newest + 1 + number
                await asyncio.to_thread(stage.publish, [Stored(MODEL, certain(version), "vector")])
                await asyncio.sleep(max(0.0, begun + (number + 1) * seconds / PUBLISHED - time.monotonic()))

    with beside(publish):
        yield


@contextmanager
def beside(work: Callable[[], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Run something in a thread beside the block and wait for its end; what it raises is raised here."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lambda: asyncio.run(work()))
        yield
        running.result(SPARE_SECONDS)


def seconds(options: Options) -> float:
    """Return about how long the case takes."""
    return 2.0 + 3 * min(ROUNDS, options.rounds) * (length(options) + WRK_OVERHEAD_SECONDS)


def claims() -> Iterator[Claim]:
    """Give the claims."""
    steady = Series(NAME, INSITU, STEADY)
    for setting in (PROMOTED, NEW):
        series = Series(NAME, INSITU, setting)
        yield Claim(
            f"p99 during {setting} over without", ratio((series, "p99_ms"), (steady, "p99_ms")), most=2.0
        )
        yield Claim(
            f"failed or mixed answers during {setting}", figure(series, "errors"), most=0.0, unit="answers"
        )


CASE = Case(
    NAME,
    f"Full load over {CONNECTIONS} connections while the alias moves {SWITCHES} times, and while {PUBLISHED} new "
    "versions are published; every answer must be whole and of one version.",
    run,
    seconds,
    (
        RATE,
        *LATENCY,
        Column("longest ms", "max_ms", 1),
        Column("switches seen", "changes"),
        Column("wrong", "errors"),
    ),
    tuple(claims()),
)
