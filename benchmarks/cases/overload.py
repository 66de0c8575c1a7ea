"""overload: three times the load a server carries, with a deadline; it must refuse, not drown."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks import wrk
from benchmarks.agreement import agree
from benchmarks.claims import Claim, figure
from benchmarks.contenders import INSITU, Server, insitu
from benchmarks.faults import BenchmarkFailed
from benchmarks.features import bodies
from benchmarks.measurements import Figures, Series
from benchmarks.options import Options
from benchmarks.processes import HOST, ROOT, environment
from benchmarks.run import WRK_OVERHEAD_SECONDS, Case, Column, Run

NAME = "overload"
TIMES = 3
KIND = "hash"
ROWS_A_REQUEST = 100
CONNECTIONS = 512  # far more rows on their way than a model's queue takes
DEADLINE_MS = 500
CARRIED, OFFERED = "carried", f"{TIMES} times that"
HEALTH_SECONDS = 0.1
HEALTH_LIMIT_SECONDS = 2.0
LEAST_SECONDS = 3
ROUNDS = 3
REFUSALS = ("429", "504")
ON_THE_WAY = 1.2  # an answer that left in time still has to be taken by a client that shares the cores


@dataclass
class Health:
    """What asking for health under load gave."""

    times: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def share(self) -> float:
        """The share of green answers."""
        asked = len(self.times) + self.failed
        return len(self.times) / asked if asked else 0.0


def run(run: Run) -> None:
    """Measure what the server carries, then offer three times as much, in turns."""
    run.watch.doing(f"{NAME}: starting the server")
    with insitu(run.stage) as server:
        agree(run.stage, server, KIND, ROWS_A_REQUEST)
        for number in range(1, min(ROUNDS, run.options.rounds) + 1):
            load = wrk.Load(server.url(KIND), run.stage.bodies(KIND, ROWS_A_REQUEST), 64, run.options.seconds)
            carried = run.time(Series(NAME, INSITU, CARRIED), number, load)["rate"]
            offered(run, server, number, carried * TIMES)


def offered(run: Run, server: Server, number: int, rate: float) -> None:
    """Offer more than fits and keep what came of it."""
    series = Series(NAME, INSITU, OFFERED)
    run.doing(series, number)
    path = run.stage.lines(f"{NAME}-{KIND}", [with_deadline(body) for body in bodies(KIND, ROWS_A_REQUEST)])
    with watched(server) as health:
        seen = open_load(server, path, rate, length(run.options))
    reached = figures(seen, length(run.options))
    if reached["errors"]:
        run.notes.append(f"{NAME}: {seen['lost']} requests without an answer; statuses {seen['statuses']}")
    run.add(series, number, {**reached, **of_health(health)})
    run.watch.done(length(run.options) + WRK_OVERHEAD_SECONDS)


def with_deadline(body: str) -> str:
    """Return a request that is given up after the deadline."""
    return json.dumps({**json.loads(body), "timeout_ms": DEADLINE_MS})


@contextmanager
def watched(server: Server) -> Iterator[Health]:
    """Ask for health ten times a second until the block ends."""
    health, over = Health(), threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=HEALTH_LIMIT_SECONDS) as client:
            while not over.wait(HEALTH_SECONDS):
                begun = time.perf_counter()
                try:
                    good = client.get(f"{server.root}/health/ready").status_code == 200
                except httpx.TransportError:
                    good = False
                health.failed += not good
                health.times.extend([(time.perf_counter() - begun) * 1e3] if good else [])

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield health
    finally:
        over.set()
        thread.join(2 * HEALTH_LIMIT_SECONDS)


def of_health(health: Health) -> Figures:
    """Return health as figures."""
    slowest = float(np.percentile(health.times, 99)) if health.times else 0.0
    return {"healthy": health.share, "health_p99_ms": slowest}


def open_load(server: Server, path: Path, rate: float, seconds: float) -> dict[str, Any]:
    """Run the open load in a process of its own.

    Raises: BenchmarkFailed.
    """
    where = server.url(KIND).removeprefix(server.root)
    words = [HOST, str(server.port), where, str(path), str(rate), str(seconds), str(CONNECTIONS)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.open_load", *words],
        cwd=ROOT,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
        start_new_session=True,
    )
    if done.returncode != 0:
        raise BenchmarkFailed(
            f"the open load ended with code {done.returncode}: {done.stderr.strip()[-600:]}"
        )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def figures(seen: dict[str, Any], seconds: float) -> Figures:
    """Return what the open load saw as figures: rates of what was offered and accepted, shares, latencies."""
    statuses: dict[str, int] = seen["statuses"]
    sent = max(1, seen["sent"])
    refused = sum(statuses.get(status, 0) for status in REFUSALS)
    return {
        "offered_rate": (seen["sent"] + seen["held_back"]) / seconds,
        "rate": statuses.get("200", 0) / seconds,
        "accepted": statuses.get("200", 0) / sent,
        "share_429": statuses.get("429", 0) / sent,
        "share_504": statuses.get("504", 0) / sent,
        "errors": float(sent - statuses.get("200", 0) - refused),
        "refused_p50_ms": seen["refused"].get("p50_ms", 0.0),
        "refused_p99_ms": seen["refused"].get("p99_ms", 0.0),
        **seen["accepted"],
    }


def length(options: Options) -> int:
    """Return the seconds of one measurement: the queue must have time to fill."""
    return max(LEAST_SECONDS, options.seconds)


def seconds(options: Options) -> float:
    """Return about how long the case takes."""
    one = options.seconds + length(options) + 2 * WRK_OVERHEAD_SECONDS
    return 2.0 + min(ROUNDS, options.rounds) * one


def claims() -> Iterator[Claim]:
    """Give the claims."""
    series = Series(NAME, INSITU, OFFERED)
    yield Claim("overload: health answers that were green", figure(series, "healthy"), 1.0, unit="%")
    text = f"overload: p99 of accepted requests, deadline {DEADLINE_MS} ms"
    yield Claim(text, figure(series, "p99_ms"), most=DEADLINE_MS * ON_THE_WAY, unit="ms")
    text = "overload: requests neither answered nor refused in order"
    yield Claim(text, figure(series, "errors"), most=0.0, unit="requests")


CASE = Case(
    NAME,
    f"Requests of {ROWS_A_REQUEST} hashes sent at {TIMES} times the rate the server carries, whether answers come or "
    "not, each with a deadline of "
    f"{DEADLINE_MS} ms, while health is asked ten times a second.",
    run,
    seconds,
    (
        Column("offered/s", "offered_rate"),
        Column("answered/s", "rate", spread=True),
        Column("median ms", "p50_ms", 1),
        Column("p99 ms", "p99_ms", 1),
        Column("429", "share_429", 3),
        Column("504", "share_504", 3),
        Column("refusal ms", "refused_p50_ms", 1),
        Column("health p99 ms", "health_p99_ms", 1),
    ),
    tuple(claims()),
)
