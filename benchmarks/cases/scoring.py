"""scoring: 200,000 keys read, run and written back, beside what Redis itself allows and the loop one writes by hand."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
from redis import Redis

from benchmarks import redis_floor, wrk
from benchmarks.bulk import rows
from benchmarks.claims import Claim, figure, ratio
from benchmarks.contenders import INSITU, insitu
from benchmarks.faults import BenchmarkFailed, Missing
from benchmarks.features import KINDS
from benchmarks.measurements import Figures, Series
from benchmarks.networks import mlp
from benchmarks.options import Options
from benchmarks.processes import ROOT, environment, memory_bytes
from benchmarks.run import LATENCY, Case, Column, Run
from benchmarks.stage import Stored

NAME = "scoring"
RECEIVING, TEXTBOOK, FLOOR = "receiving alone", "textbook loop", "Redis alone"
TWO = f"{INSITU}, two processes"
SHARING, BUSY, IDLE = "wide network, shared", "predictions beside a job", "predictions, no job"
COMMANDS = {"vector": "MGET", "hash": "HGETALL"}
FLOORS = {"vector": "GET", "hash": "HGETALL"}
HANDMADE_ROWS = 20_000  # of the textbook loop, which is slow
WIDE = (32, 2048, 2048, 1)
FEW, MANY, QUICK_MANY = 100_000, 10_000_000, 1_000_000
CONNECTIONS = 4
ANSWER = "x" * 110  # as long as an answer that is written
LIMIT_SECONDS = 900
ROUNDS = 3  # at the most: a round takes its time
ROUND_SECONDS = 60.0
MEMORY_SECONDS = 120.0
SAMPLE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Job:
    """One `insitu score`: its model, where its keys come from and where to."""

    model: str
    words: Sequence[str]

    @property
    def command(self) -> list[str]:
        """The words of its process."""
        return [sys.executable, "-m", "cli.main", "score", self.model, *self.words, "--json"]


def run(run: Run) -> None:
    """Write the rows, then measure every way in turns: all that only reads first, in a Redis that has nothing else.

    Answers of 400,000 rows in the same Redis, or what they leave of its memory, make it a fifth slower to
    read for everybody.
    """
    count = rows.COUNT // 10 if run.options.quick else rows.COUNT
    run.watch.doing(f"{NAME}: writing {count:,} keys of each kind")
    with Redis.from_url(run.stage.url) as redis:
        rows.write(redis, count)
    publish(run)
    rounds = range(1, min(run.options.rounds, ROUNDS) + 1)
    for number in rounds:
        for kind in KINDS:
            read(run, kind, count, number)
    for number in rounds:
        for kind in KINDS:
            for measure in (written_back, allowed):
                measure(run, kind, count, number)
        shared(run, count, number)
        beside(run, number)
        run.watch.done(ROUND_SECONDS)
    remembered(run, count)


def publish(run: Run) -> None:
    """Publish the network over both kinds of keys, and a wide one that Redis does not slow down."""
    onnx = run.stage.model.read_bytes()
    models = [Stored(f"bulk-{kind}", onnx, kind, rows.view(kind)) for kind in KINDS]
    models.append(Stored("bulk-wide", mlp(sizes=WIDE), "vector", rows.view("vector")))
    run.stage.publish(models)


def reading(kind: str) -> str:
    """Return the condition of reading and running in words."""
    return f"{kind}, read and run"


def writing(kind: str) -> str:
    """Return the condition of writing back too in words."""
    return f"{kind}, written back"


def read(run: Run, kind: str, count: int, number: int) -> None:
    """Measure receiving alone, reading and running, and the textbook loop."""
    stage, by_hand = run.stage, min(count, HANDMADE_ROWS)
    ways = {
        RECEIVING: ("receiving", str(stage.redis.socket), COMMANDS[kind], str(count)),
        INSITU: ("reading", stage.url, f"bulk-{kind}", kind, str(count)),
        TEXTBOOK: ("textbook", stage.url, str(stage.model), kind, str(by_hand)),
    }
    for who, (module, *words) in ways.items():
        series = Series(NAME, who, reading(kind))
        run.doing(series, number)
        told = ended(started(run, [sys.executable, "-m", f"benchmarks.bulk.{module}", *words]), series)
        run.add(series, number, {"rate": told["rows"] / told["seconds"]})


def written_back(run: Run, kind: str, count: int, number: int) -> None:
    """Measure the command as it is used: keys found by SCAN, answers into strings."""
    series = Series(NAME, INSITU, writing(kind))
    run.doing(series, number)
    pattern = rows.KEYS[kind].format(id="*")
    told = ended(started(run, Job(f"bulk-{kind}", ("--match", pattern)).command), series)
    check(told, count, series)
    run.add(series, number, {"rate": told["scored"] / told["seconds"]})


def allowed(run: Run, kind: str, count: int, number: int) -> None:
    """Measure what Redis allows for the same commands, reads and then writes, in deep pipelines."""
    series = Series(NAME, FLOOR, writing(kind))
    run.doing(series, number)
    reads = [FLOORS[kind], rows.KEYS[kind].format(id="__rand_int__")]
    writes = ["SET", f"score:{rows.KEYS[kind].format(id='__rand_int__')}", ANSWER]
    try:
        read_rate, write_rate = (
            redis_floor.deep(run.stage, asked, count, count)["rate"] for asked in (reads, writes)
        )
    except Missing as missing:
        if number == 1:
            run.notes.append(f"{NAME}: {FLOOR} is left out: {missing}")
        return
    run.add(series, number, {"rate": 1 / (1 / read_rate + 1 / write_rate)})


def shared(run: Run, count: int, number: int) -> None:
    """Measure a network that takes its time, by one process and by two that share the job."""
    some = run.stage.lines("bulk-wide-keys", rows.keys("vector", count))
    for who, processes in ((INSITU, 1), (TWO, 2)):
        series = Series(NAME, who, SHARING)
        run.doing(series, number)
        job = Job("bulk-wide", ("--keys-from", str(some), "--job", f"wide-{processes}-{number}", "--resume"))
        told = [ended(one, series) for one in [started(run, job.command) for _ in range(processes)]]
        check(told[0], count, series)
        run.add(series, number, {"rate": told[0]["scored"] / max(one["seconds"] for one in told)})


def beside(run: Run, number: int) -> None:
    """Measure predictions alone, and while a job of the same server goes on at full speed."""
    with ExitStack() as stack:
        server = stack.enter_context(insitu(run.stage))
        url, lines = server.url("vector"), run.stage.bodies("vector")
        load = wrk.Load(url, lines, CONNECTIONS, run.options.seconds)
        run.time(Series(NAME, INSITU, IDLE), number, load)
        with httpx.Client(base_url=server.root) as client:
            job = begun(client, number)
            run.time(Series(NAME, INSITU, BUSY), number, load)
            state = client.get(f"/v1/jobs/{job}").json()
            client.delete(f"/v1/jobs/{job}")
    if state["state"] not in ("running", "done") or not state["scored"]:
        raise BenchmarkFailed(f"the job beside predictions is {state['state']}: {state}")


def begun(client: httpx.Client, number: int) -> str:
    """Begin a job over HTTP, and return its name once it scores rows.

    Raises: BenchmarkFailed.
    """
    asked = {"job": f"beside-{number}", "rows": {"kind": "match", "pattern": "bulk-*"}}
    told = client.post("/v1/models/bulk-hash/jobs", json=asked)
    if told.status_code != 201:
        raise BenchmarkFailed(f"a job was answered with {told.status_code}: {told.text[:300]}")
    name = str(told.json()["job"])
    for _ in range(200):
        if client.get(f"/v1/jobs/{name}").json()["scored"]:
            return name
        time.sleep(SAMPLE_SECONDS / 2)
    raise BenchmarkFailed("a job did not begin to score")


def remembered(run: Run, count: int) -> None:
    """Measure what memory a process takes for few keys and for many: the same keys again and again."""
    for many in (FEW, QUICK_MANY if run.options.quick else MANY):
        series = Series(NAME, INSITU, f"{many:,} keys")
        run.doing(series, 1)
        listed = run.stage.folder / f"bulk-{many}.txt"
        block = "\n".join(rows.keys("vector", min(count, many))) + "\n"
        with listed.open("w") as file:
            for _ in range(max(1, many // count)):
                file.write(block)
        process = started(run, Job("bulk-vector", ("--keys-from", str(listed))).command)
        most = peak(process)
        told = ended(process, series)
        run.add(series, 1, {"memory_mb": most() / 1e6, "rate": told["scored"] / told["seconds"]})
        listed.unlink()
    run.watch.done(MEMORY_SECONDS)


def peak(process: "subprocess.Popen[str]") -> Callable[[], float]:
    """Watch the memory of a process until it ends; what is returned gives the most it had, in bytes."""
    seen = [0.0]

    def watch() -> None:
        while process.poll() is None:
            seen.append(memory_bytes(process.pid))
            time.sleep(SAMPLE_SECONDS)

    watcher = threading.Thread(target=watch)
    watcher.start()

    def most() -> float:
        watcher.join(LIMIT_SECONDS)
        return max(seen)

    return most


def started(run: Run, command: Sequence[str]) -> "subprocess.Popen[str]":
    """Start one way to score."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment({"INSITU_REDIS_URL": run.stage.url}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process: "subprocess.Popen[str]", series: Series) -> Figures:
    """Return what a process said of itself.

    Raises: BenchmarkFailed, it ended badly or took too long.
    """
    try:
        out, err = process.communicate(timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise BenchmarkFailed(f"{series.who}, {series.setting}: not done within {LIMIT_SECONDS} s") from None
    if process.returncode != 0:
        raise BenchmarkFailed(f"{series.who}, {series.setting}: {err.strip()[-600:]}")
    told: Figures = json.loads(out.splitlines()[-1])
    return told


def check(told: Figures, count: int, series: Series) -> None:
    """Stop when not every row was scored.

    Raises: BenchmarkFailed.
    """
    if told["scored"] != count:
        raise BenchmarkFailed(f"{series.who}, {series.setting}: {told['scored']} of {count} rows scored")


def seconds(options: Options) -> float:
    """Return about how long the case takes."""
    return ROUND_SECONDS * min(options.rounds, ROUNDS) + MEMORY_SECONDS


def claims() -> Iterator[Claim]:
    """Give the claims."""
    for kind, hand_made in (("vector", 10.0), ("hash", 3.0)):
        ours = (Series(NAME, INSITU, reading(kind)), "rate")
        alone = (Series(NAME, RECEIVING, reading(kind)), "rate")
        textbook = (Series(NAME, TEXTBOOK, reading(kind)), "rate")
        yield Claim(f"{kind}, read and run, over receiving the bytes alone", ratio(ours, alone), least=0.7)
        yield Claim(f"{kind}, read and run, over the textbook loop", ratio(ours, textbook), least=hand_made)
        back = (Series(NAME, INSITU, writing(kind)), "rate")
        floor = (Series(NAME, FLOOR, writing(kind)), "rate")
        yield Claim(f"{kind}, written back, over what Redis allows", ratio(back, floor), least=0.6)
    one, two = ((Series(NAME, who, SHARING), "rate") for who in (INSITU, TWO))
    yield Claim("a wide network, two processes over one", ratio(two, one), least=1.5)
    idle, busy = ((Series(NAME, INSITU, setting), "p99_ms") for setting in (IDLE, BUSY))
    yield Claim("p99 of predictions beside a job, over without", ratio(busy, idle), most=2.0)
    few, many = (figure(Series(NAME, INSITU, f"{keys:,} keys"), "memory_mb") for keys in (FEW, MANY))
    yield Claim(
        f"memory of {MANY:,} keys over that of {FEW:,}",
        lambda made: [more - less for more, less in zip(many(made), few(made), strict=False)],
        most=50.0,
        unit="MB",
    )


CASE = Case(
    NAME,
    f"{rows.COUNT:,} keys read, run and written back, beside what Redis allows and a loop written by hand.",
    run,
    seconds,
    columns=(Column("rows/s", "rate", spread=True), *LATENCY, Column("memory MB", "memory_mb")),
    claims=tuple(claims()),
)
