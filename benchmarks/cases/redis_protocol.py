"""redis-protocol: commands of Redis, RedisAI and Insitu through the door, beside GET at Redis itself, in turns."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from redis import Redis

from benchmarks import redis_floor
from benchmarks.agreement import ABSOLUTE, RELATIVE, SAMPLES, expected
from benchmarks.claims import Claim, ratio
from benchmarks.contenders import INSITU, insitu
from benchmarks.faults import BenchmarkFailed, Missing
from benchmarks.features import KEY, ROWS, key
from benchmarks.measurements import Figures, Series
from benchmarks.networks import WIDTH
from benchmarks.options import Options
from benchmarks.processes import HOST, ROOT, free_port
from benchmarks.run import LATENCY, RATE, Case, Column, Run

NAME = "redis-protocol"
CLIENTS, DEEP = 50, 16
REDIS = "Redis alone"
MODEL = "stored"  # by AI.MODELSTORE
NUMBERS = b">=>=" * WIDTH  # bytes that a command line may hold, and small float32 numbers
TRIAL_REQUESTS = 10_000
CONTESTS = 7
SHARE = 0.5  # of the time of a measurement with wrk: there are many, and they are steady
START_SECONDS, TRIAL_SECONDS, CLIENT_SECONDS, SPARE_SECONDS = 10.0, 0.4, 1.0, 30.0
ONE_HOP, TWO_HOPS = "INSITU.PREDICT", "HMGET, AI.DAGEXECUTE_RO"
BY_CLIENT = "hash to prediction, redis-py, 1 client"
DAG: tuple[str | bytes, ...] = (
    *("AI.DAGEXECUTE_RO", "ROUTING", "x", "|>", "AI.TENSORSET", "x", "FLOAT", "1", str(WIDTH), "BLOB", NUMBERS),
    *("|>", "AI.MODELEXECUTE", MODEL, "INPUTS", "1", "x", "OUTPUTS", "1", "y"),
    *("|>", "AI.TENSORGET", "y", "BLOB"),
)  # fmt: skip
VECTOR = KEY["vector"].format(id="__rand_int__")


@dataclass(frozen=True, slots=True)
class Contest:
    """One command at one place, so many to a pipeline."""

    who: str
    what: str
    port: int
    asked: Sequence[str | bytes]
    deep: int

    @property
    def series(self) -> Series:
        """Its series."""
        return Series(NAME, self.who, setting(self.what, self.deep))

    def measure(self, seconds: float) -> Figures:
        """Measure for about so long.

        Raises: BenchmarkFailed.
        """
        trial = self.attempt(TRIAL_REQUESTS * self.deep)
        return self.attempt(max(TRIAL_REQUESTS, int(trial["rate"] * seconds)))

    def attempt(self, requests: int) -> Figures:
        """Measure so many requests."""
        place = ["-h", HOST, "-p", str(self.port)]
        more = ["-c", str(CLIENTS), "-P", str(self.deep), "-r", str(ROWS)]
        return redis_floor.answered(place, self.asked, requests, more)


def setting(what: str, deep: int) -> str:
    """Return a condition in words."""
    return f"{what}, {CLIENTS} clients" + (f", {deep} deep" if deep > 1 else "")


def run(run: Run) -> None:
    """Measure every command in turns, its answers first; without redis-benchmark only the client's part."""
    port = free_port()
    with insitu(run.stage, settings={"INSITU_RESP_PORT": str(port)}):
        run.watch.done(START_SECONDS)
        with Redis(HOST, port, protocol=2) as client:
            stored(run, client)
            checked(run, client)
        contests = contests_of(run, port)
        for number in range(1, run.options.rounds + 1):
            for contest in contests:
                run.doing(contest.series, number)
                run.add(contest.series, number, contest.measure(run.options.seconds * SHARE))
                run.watch.done(run.options.seconds * SHARE + TRIAL_SECONDS)
            for who, figures in by_client(run, port).items():
                run.add(Series(NAME, who, BY_CLIENT), number, figures)
            run.watch.done(client_seconds(run.options))


def stored(run: Run, client: Any) -> None:
    """Store the network as a client of RedisAI does."""
    client.execute_command("AI.MODELSTORE", MODEL, "ONNX", "CPU", "BLOB", run.stage.model.read_bytes())


def contests_of(run: Run, port: int) -> list[Contest]:
    """Return what is measured with redis-benchmark; nothing where it is not installed, which is noted."""
    try:
        redis_floor.find_program()
    except Missing as missing:
        run.notes.append(f"{NAME}: {missing}")
        return []
    redis = run.stage.redis.port
    prediction = ("INSITU.PREDICT", "vector", VECTOR)
    return [
        Contest(who, what, at, asked, deep)
        for deep in (1, DEEP)
        for who, what, at, asked in (
            (REDIS, "GET", redis, ("GET", VECTOR)),
            (INSITU, "GET", port, ("GET", VECTOR)),
            (INSITU, "INSITU.PREDICT", port, prediction),
            (INSITU, "AI.DAGEXECUTE_RO", port, DAG),
        )
        if (who, what, deep) != (INSITU, "GET", DEEP)
    ]


def checked(run: Run, client: Any) -> None:
    """Hold predictions and DAGs against ONNX Runtime.

    Raises: BenchmarkFailed.
    """
    for row in SAMPLES:
        wanted = expected(run.stage.model, {"x": run.stage.rows[[row]]}).ravel()
        for kind in KEY:
            told = client.execute_command("INSITU.PREDICT", kind, key(kind, row))
            same(kind, [float(told[0][1])], wanted)
        dag = (*DAG[:10], run.stage.rows[row].tobytes(), *DAG[11:])
        same(DAG[0], np.frombuffer(client.execute_command(*dag)[2], np.float32), wanted)


def same(what: str | bytes, told: Any, wanted: Any) -> None:
    """Compare an answer.

    Raises: BenchmarkFailed, it is another.
    """
    if not np.allclose(told, wanted, rtol=RELATIVE, atol=ABSOLUTE):
        raise BenchmarkFailed(
            f"{what!r} answers {told}, ONNX Runtime {wanted}: the speed of wrong answers says nothing"
        )


def by_client(run: Run, port: int) -> dict[str, Figures]:
    """Measure hash to prediction from redis-py, both ways in turns, in a process of its own.

    Raises: BenchmarkFailed.
    """
    run.watch.doing(f"{NAME}: {BY_CLIENT}")
    seconds = run.options.seconds
    words = ["-m", "benchmarks.hops", str(run.stage.redis.port), str(port), MODEL, str(seconds)]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * seconds + SPARE_SECONDS,
    )
    if done.returncode:
        raise BenchmarkFailed(f"benchmarks.hops ended with code {done.returncode}: {done.stderr[-500:]}")
    told: dict[str, Figures] = json.loads(done.stdout)
    return told


def seconds(options: Options) -> float:
    """Return about how long the case takes."""
    each = options.seconds * SHARE + TRIAL_SECONDS
    return START_SECONDS + options.rounds * (CONTESTS * each + client_seconds(options))


def client_seconds(options: Options) -> float:
    """Return about how long one round of the client's part takes."""
    return options.seconds + CLIENT_SECONDS


def claims() -> Iterator[Claim]:
    """Give the claims."""
    for what, deep, over, least in (
        ("GET", 1, 1, 0.5),
        ("INSITU.PREDICT", 1, 1, 0.5),
        ("INSITU.PREDICT", DEEP, DEEP, 0.3),
        ("AI.DAGEXECUTE_RO", 1, 1, 35 / 90),
        ("AI.DAGEXECUTE_RO", DEEP, 1, 150 / 90),
    ):
        ours = Series(NAME, INSITU, setting(what, deep)), "rate"
        theirs = Series(NAME, REDIS, setting("GET", over)), "rate"
        text = f"{setting(what, deep)}, over GET at Redis{f', {over} deep' if over > 1 else ''}"
        yield Claim(text, ratio(ours, theirs), least=least)
    one, two = ((Series(NAME, who, BY_CLIENT), "p50_ms") for who in (ONE_HOP, TWO_HOPS))
    yield Claim(f"{BY_CLIENT}: median of one command over two", ratio(one, two), most=0.5)


CASE = Case(
    NAME,
    "GET, INSITU.PREDICT and AI.DAGEXECUTE_RO at the port of the Redis protocol beside GET at Redis itself, by "
    "redis-benchmark; hash to prediction from redis-py in one command and in two.",
    run,
    seconds,
    (RATE, *LATENCY, Column("longest ms", "max_ms", 1)),
    tuple(claims()),
)
