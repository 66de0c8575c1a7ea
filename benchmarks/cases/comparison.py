"""comparison: one prediction a request from a Redis key, Insitu and its rivals in turns."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from benchmarks import redis_floor
from benchmarks.agreement import agree
from benchmarks.claims import Claim, ratio
from benchmarks.contenders import EMPTY, INSITU, MOSEC, TEXTBOOK, Server, empty
from benchmarks.faults import Missing
from benchmarks.features import KINDS
from benchmarks.lineup import lined_up
from benchmarks.measurements import Series
from benchmarks.options import Options
from benchmarks.processes import memory_bytes
from benchmarks.run import LATENCY, RATE, Case, Column, Run, loads_seconds, warm_seconds
from benchmarks.wrk import Load

NAME = "comparison"
REDIS = "Redis alone"
CONNECTIONS = (64, 1)
WHOS = 9  # contenders by kind of features, the empty answer once
START_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Contest:
    """One contender under one condition."""

    series: Series
    measure: Callable[[int], None]


def setting(kind: str, connections: int) -> str:
    """Return a condition in words."""
    counted = f"{connections} connection{'s' * (connections > 1)}"
    return f"{kind}, {counted}" if kind else counted


def run(run: Run) -> None:
    """Start every contender, check them, measure them in turns."""
    with ExitStack() as stack:
        field = list(lined_up(run, stack, NAME))
        for server, kind in field:
            checked(run, server, kind)
        field.append((stack.enter_context(empty(run.stage)), ""))
        run.watch.done(START_SECONDS)
        contests = [one for connections in CONNECTIONS for one in contests_at(run, field, connections)]
        for number in range(1, run.options.rounds + 1):
            for contest in contests:
                contest.measure(number)
        weigh(run, [server for server, _ in field])


def weigh(run: Run, servers: list[Server]) -> None:
    """Keep what memory each server holds after the load; mosec has one for each kind of features."""
    for number, server in enumerate(servers, 1):
        memory = memory_bytes(server.child.process.pid) / 1e6
        if server.name not in [other.name for other in servers[: number - 1]]:
            run.add(Series(NAME, server.name, "memory"), 1, {"memory_mb": memory})


def checked(run: Run, server: Server, kind: str) -> None:
    """Hold a server's answers against ONNX Runtime, a few by hand and then all of a second's load."""
    agree(run.stage, server, kind)
    load = Load(server.url(kind), run.stage.bodies(kind), CONNECTIONS[0], 1)
    run.warm(Series(NAME, server.name, kind), load)


def contests_at(run: Run, field: list[tuple[Server, str]], connections: int) -> Iterator[Contest]:
    """Give what is measured in turns at one number of connections."""
    for server, kind in field:
        bodies = run.stage.bodies(kind or KINDS[0])
        load = Load(server.url(kind), bodies, connections, run.options.seconds)
        series = Series(NAME, server.name, setting(kind, connections))
        yield Contest(series, partial(timed, run, series, load))
    if has_redis_benchmark(run):
        for kind in KINDS:
            series = Series(NAME, REDIS, setting(kind, connections))
            yield Contest(series, partial(redis_timed, run, series, kind, connections))


def has_redis_benchmark(run: Run) -> bool:
    """Return whether Redis can be measured alone; note it once when not."""
    try:
        redis_floor.find_program()
    except Missing as missing:
        note = f"{NAME}: Redis alone is left out: {missing}"
        run.notes.extend([note] if note not in run.notes else [])
        return False
    return True


def timed(run: Run, series: Series, load: Load, number: int) -> None:
    """Measure a server once."""
    run.time(series, number, load)


def redis_timed(run: Run, series: Series, kind: str, connections: int, number: int) -> None:
    """Measure Redis once."""
    run.doing(series, number)
    run.add(series, number, redis_floor.measure(run.stage, kind, connections, run.options.seconds))
    run.watch.done(run.options.seconds)


def seconds(options: Options) -> float:
    """Return about how long the case takes."""
    return START_SECONDS + warm_seconds(options, 6) + loads_seconds(options, WHOS * len(CONNECTIONS))


def series(who: str, kind: str, connections: int) -> Series:
    """Return one series of the case."""
    return Series(NAME, who, setting("" if who == EMPTY else kind, connections))


def rate_claims() -> Iterator[Claim]:
    """Give the claims on predictions a second at 64 connections."""
    least = {
        ("vector", EMPTY): 1.6,
        ("vector", TEXTBOOK): 20.0,
        ("vector", MOSEC): 3.0,
        ("hash", EMPTY): 1.0,
        ("hash", TEXTBOOK): 12.0,
        ("hash", MOSEC): 2.5,
    }
    for (kind, rival), times in least.items():
        ours, theirs = (series(who, kind, 64) for who in (INSITU, rival))
        yield Claim(
            f"predictions/s, {kind}, 64 connections: over {rival}",
            ratio((ours, "rate"), (theirs, "rate")),
            times,
        )


def latency_claims() -> Iterator[Claim]:
    """Give the claims on the median at one connection, and on the tail at 64."""
    most = {
        ("vector", EMPTY): 2.0,
        ("hash", EMPTY): 2.3,
        ("vector", TEXTBOOK): 1.0,
        ("vector", MOSEC): 1.0,
        ("hash", TEXTBOOK): 1.0,
        ("hash", MOSEC): 1.0,
    }
    for (kind, rival), times in most.items():
        ours, theirs = (series(who, kind, 1) for who in (INSITU, rival))
        text = f"median latency, {kind}, 1 connection: over {rival}"
        yield Claim(text, ratio((ours, "p50_ms"), (theirs, "p50_ms")), most=times)
    for kind in ("vector", "hash"):
        ours = series(INSITU, kind, 64)
        text = f"p99 over median, {kind}, 64 connections"
        yield Claim(text, ratio((ours, "p99_ms"), (ours, "p50_ms")), most=3.0)


CASE = Case(
    NAME,
    "One prediction a request from a Redis key, 64 connections and 1, beside the textbook service, mosec, an empty "
    "ASGI answer and Redis alone.",
    run,
    seconds,
    (RATE, *LATENCY, Column("memory MB", "memory_mb")),
    (*rate_claims(), *latency_claims()),
)
