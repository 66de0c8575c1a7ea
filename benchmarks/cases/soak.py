"""soak: memory of the server under full load, every second, for as long as one likes."""

import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from benchmarks import wrk
from benchmarks.agreement import agree
from benchmarks.claims import Claim, figure
from benchmarks.contenders import INSITU, Server, insitu
from benchmarks.features import KINDS
from benchmarks.measurements import Figures, Series
from benchmarks.options import Options
from benchmarks.processes import memory_bytes
from benchmarks.run import Case, Column, Run

NAME = "soak"
CONNECTIONS = 32  # for each kind of features
SAMPLE_SECONDS = 1.0
LEAST_SAMPLES = 30  # fewer show how a server warms up, not whether it grows
START_SECONDS = 2.0
SETTING = "full load"

Samples = list[tuple[float, float]]


def run(run: Run) -> None:
    """Keep the server busy with both kinds of features and look at its memory."""
    if not run.options.soak:
        run.notes.append(f"{NAME}: left out, --soak is 0")
        return
    run.watch.doing(f"{NAME}: starting the server")
    with insitu(run.stage) as server, ExitStack() as stack:
        for kind in KINDS:
            agree(run.stage, server, kind)
        loads = [load(run, server, kind) for kind in KINDS]
        working = [stack.enter_context(wrk.started(one)) for one in loads]
        samples = sampled(run, server, working)
        rate = sum(
            wrk.faultless(wrk.finished(process, one), one).figures["rate"]
            for process, one in zip(working, loads, strict=True)
        )
        run.add(Series(NAME, INSITU, SETTING), 1, {"rate": rate, **growth(samples)}, samples)


def load(run: Run, server: Server, kind: str) -> wrk.Load:
    """Return the load of one kind of features."""
    return wrk.Load(server.url(kind), run.stage.bodies(kind), CONNECTIONS, run.options.soak)


def sampled(run: Run, server: Server, working: Sequence[subprocess.Popen[str]]) -> Samples:
    """Return the server's memory in MB, every second until the load is over."""
    begun = time.monotonic()
    samples: Samples = []
    while any(process.poll() is None for process in working):
        elapsed = time.monotonic() - begun
        memory = memory_bytes(server.child.process.pid) / 1e6
        samples.append((round(elapsed, 1), memory))
        run.watch.doing(f"{NAME}: {elapsed:.0f} of {run.options.soak} s, {memory:.0f} MB")
        run.watch.done(SAMPLE_SECONDS)
        server.child.check()
        time.sleep(SAMPLE_SECONDS)
    return samples


def growth(samples: Samples) -> Figures:
    """Return how memory grew from the second tenth of the time, when all is warm, to the last; a short run has none."""
    values = [memory for _, memory in samples]
    tenth = max(1, len(values) // 10)
    before = statistics.median(values[tenth : 2 * tenth] or values)
    after = statistics.median(values[-tenth:])
    if len(values) < LEAST_SAMPLES or not before:
        return {"memory_mb": after}
    return {"memory_mb": after, "growth_mb": after - before, "growth": after / before - 1}


def seconds(options: Options) -> float:
    """Return about how long the case takes."""
    return START_SECONDS + options.soak


def claims() -> Iterator[Claim]:
    """Give the claims."""
    grown = figure(Series(NAME, INSITU, SETTING), "growth")
    yield Claim("growth of memory under full load", grown, most=0.02, unit="%")


CASE = Case(
    NAME,
    "Memory of the server at full load over --soak seconds, both kinds of features at once.",
    run,
    seconds,
    (
        Column("requests/s", "rate"),
        Column("memory MB", "memory_mb", 1),
        Column("growth MB", "growth_mb", 2),
        Column("growth", "growth", 4),
    ),
    tuple(claims()),
)
