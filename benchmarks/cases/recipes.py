"""recipes: a CNN over raw images and a GRU over lists, from the ready recipes, beside session.run alone."""

import asyncio
import importlib.util
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from redis import Redis

from benchmarks.agreement import compare, expected
from benchmarks.contenders import INSITU, Server, insitu
from benchmarks.faults import BenchmarkFailed
from benchmarks.measurements import Figures, Series
from benchmarks.options import Options
from benchmarks.processes import ROOT, environment
from benchmarks.run import LATENCY, Case, Column, Run, loads_seconds, warm_seconds
from benchmarks.stage import Stage
from benchmarks.wrk import Load
from models.bundle import Bundle
from models.connecting import connect
from models.store import ModelStore

NAME = "recipes"
ALONE = "session.run alone"
CONNECTIONS = (64, 1)
BATCHES = (64, 1)
TRAIN_SECONDS = 25.0
TRAIN_LIMIT_SECONDS = 300
ROWS = 256
STEP = 12  # coefficients of one step of an utterance

Feeds = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Ready:
    """A trained recipe: its name, the kind of its network, its keys, its rows as the graph takes them."""

    name: str
    kind: str
    keys: tuple[str, ...]
    feeds: Feeds
    graph: Path
    bundle: Bundle


def run(run: Run) -> None:
    """Train both, check the answers row by row, measure in turns."""
    if importlib.util.find_spec("torch") is None:
        run.notes.append(f"{NAME}: left out, the networks are trained here: pip install 'insitu[trainer]'")
        return
    run.watch.doing(f"{NAME}: training a CNN and a GRU for two epochs")
    train(run.stage)
    made = [image(run.stage), sequence(run.stage)]
    run.watch.done(TRAIN_SECONDS)
    with insitu(run.stage) as server:
        for ready in made:
            check(server, ready)
            run.warm(Series(NAME, INSITU, ready.name), load(run, server, ready, CONNECTIONS[0]))
        for number in range(1, run.options.rounds + 1):
            for ready in made:
                measured(run, server, ready, number)


def measured(run: Run, server: Server, ready: Ready, number: int) -> None:
    """Measure one network over HTTP and alone."""
    for connections in CONNECTIONS:
        series = Series(NAME, INSITU, f"{ready.kind}, {connections} connection{'s' * (connections > 1)}")
        figures = run.time(series, number, load(run, server, ready, connections))
        figures["rows_rate"] = figures["rate"]
    for rows in BATCHES:
        series = Series(NAME, ALONE, f"{ready.kind}, batch of {rows}")
        run.doing(series, number)
        run.add(series, number, alone(run, ready, rows))
        run.watch.done(1)


def train(stage: Stage) -> None:
    """Load the data, train and publish in a process of its own.

    Raises: BenchmarkFailed.
    """
    command = [sys.executable, "-m", "benchmarks.training", stage.url, "digits", "japanese_vowels"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=TRAIN_LIMIT_SECONDS,
        check=False,
        start_new_session=True,
    )
    if done.returncode != 0:
        raise BenchmarkFailed(f"training ended with code {done.returncode}: {done.stderr.strip()[-600:]}")


def image(stage: Stage) -> Ready:
    """Return the CNN with images as they lie in Redis."""
    keys = tuple(f"digit:{number}" for number in range(ROWS))
    with Redis.from_url(stage.url) as redis:
        raw: Any = redis.mget(keys)
    images = np.frombuffer(b"".join(raw), dtype=np.uint8).reshape(-1, 8, 8)
    return ready(stage, "digits", "CNN", keys, {"image": images})


def sequence(stage: Stage) -> Ready:
    """Return the GRU with utterances of different lengths, padded to the longest."""
    keys = tuple(f"utterance:{number}" for number in range(ROWS))
    with Redis.from_url(stage.url) as redis:
        lists: list[Any] = [redis.lrange(key, 0, -1) for key in keys]
    rows = [np.frombuffer(b"".join(steps), dtype=np.float32).reshape(-1, STEP) for steps in lists]
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    padded = np.zeros((len(rows), lengths.max(), STEP), np.float32)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return ready(stage, "japanese_vowels", "GRU", keys, {"x": padded, "x_length": lengths})


def ready(stage: Stage, name: str, kind: str, keys: tuple[str, ...], feeds: Feeds) -> Ready:
    """Return a network with its graph and feeds in files, for the process that runs it alone."""
    bundle = asyncio.run(stored(stage.url, name))
    graph = stage.folder / f"{name}.onnx"
    graph.write_bytes(bundle.onnx)
    np.savez(stage.folder / f"{name}.npz", **feeds)  # type: ignore[arg-type]  # arrays by name, as its stub does not say
    return Ready(name, kind, keys, feeds, graph, bundle)


async def stored(url: str, name: str) -> Bundle:
    """Return the bundle that was published."""
    async with connect(url) as client:
        store = ModelStore(client)
        return await store.load(name, await store.resolve(name))


def check(server: Server, ready: Ready) -> None:
    """Hold the probabilities of a few rows, each alone, against ONNX Runtime.

    Raises: BenchmarkFailed.
    """
    manifest = ready.bundle.manifest

    def probabilities(answer: Any) -> list[float]:
        row = answer["predictions"][0]["probabilities"]
        return [row[label] for label in manifest.labels]

    for number in (0, 1, 2, 100):
        feeds = one_row(ready.feeds, number)
        wanted: Sequence[float] = expected(ready.graph, feeds, str(manifest.output))[0].tolist()
        compare(server, ready.name, [ready.keys[number]], wanted, probabilities)


def one_row(feeds: Feeds, number: int) -> Feeds:
    """Return one row, without the padding it had beside the others."""
    one = {name: array[number : number + 1] for name, array in feeds.items()}
    if "x_length" in one:
        one["x"] = one["x"][:, : int(one["x_length"][0])]
    return one


def load(run: Run, server: Server, ready: Ready, connections: int) -> Load:
    """Return the load of one network."""
    bodies = run.stage.lines(ready.name, [json.dumps({"keys": [key]}) for key in ready.keys])
    return Load(server.url(ready.name), bodies, connections, run.options.seconds)


def alone(run: Run, ready: Ready, rows: int) -> Figures:
    """Run a network without any server.

    Raises: BenchmarkFailed.
    """
    feeds = str(run.stage.folder / f"{ready.name}.npz")
    command = [sys.executable, "-m", "benchmarks.alone", str(ready.graph), feeds, str(rows), "1"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,
    )
    if done.returncode != 0:
        raise BenchmarkFailed(f"{ALONE} ended with code {done.returncode}: {done.stderr.strip()[-600:]}")
    told: Figures = json.loads(done.stdout)
    return told


def seconds(options: Options) -> float:
    """Return about how long the case takes."""
    return TRAIN_SECONDS + warm_seconds(options, 2) + loads_seconds(options, 4) + 4.0 * options.rounds


CASE = Case(
    NAME,
    "A CNN (digits) and a GRU (japanese_vowels) of the ready recipes from keys, one row a request, beside session.run "
    "alone.",
    run,
    seconds,
    (Column("rows/s", "rows_rate", spread=True), *LATENCY),
)
