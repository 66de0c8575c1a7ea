"""rows: requests of 100 keys, rows a second, Insitu and its rivals in turns."""

from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.agreement import agree
from benchmarks.claims import Claim, figure
from benchmarks.contenders import INSITU, Server
from benchmarks.lineup import lined_up
from benchmarks.measurements import Series
from benchmarks.options import Options
from benchmarks.run import LATENCY, Case, Column, Run, loads_seconds, warm_seconds
from benchmarks.wrk import Load

NAME = "rows"
ROWS_A_REQUEST = 100
CONNECTIONS = 16  # 1,600 rows on their way: enough to keep everybody busy
START_SECONDS = 8.0
TARGETS = {"vector": 300_000.0, "hash": 80_000.0}


def run(run: Run) -> None:
    """Start the servers, check them, measure them in turns."""
    with ExitStack() as stack:
        contests = list(lined_up(run, stack, NAME))
        for server, kind in contests:
            agree(run.stage, server, kind, ROWS_A_REQUEST)
            run.warm(Series(NAME, server.name, kind), load(run, server, kind))
        run.watch.done(START_SECONDS)
        for number in range(1, run.options.rounds + 1):
            for server, kind in contests:
                timed(run, server, kind, number)


def load(run: Run, server: Server, kind: str) -> Load:
    """Return the load of one kind of features."""
    return Load(server.url(kind), run.stage.bodies(kind, ROWS_A_REQUEST), CONNECTIONS, run.options.seconds)


def timed(run: Run, server: Server, kind: str, number: int) -> None:
    """Measure once, and keep rows a second beside requests a second."""
    figures = run.time(Series(NAME, server.name, kind), number, load(run, server, kind))
    figures["rows_rate"] = figures["rate"] * ROWS_A_REQUEST


def seconds(options: Options) -> float:
    """Return about how long the case takes."""
    return START_SECONDS + warm_seconds(options, 6) + loads_seconds(options, 6)


def claims() -> Iterator[Claim]:
    """Give the claims."""
    for kind, least in TARGETS.items():
        rows = figure(Series(NAME, INSITU, kind), "rows_rate")
        yield Claim(f"rows/s, {kind}, {ROWS_A_REQUEST} keys a request", rows, least, unit="rows/s")


CASE = Case(
    NAME,
    f"Requests of {ROWS_A_REQUEST} keys over {CONNECTIONS} connections: rows a second.",
    run,
    seconds,
    (Column("rows/s", "rows_rate", spread=True), *LATENCY),
    tuple(claims()),
)
