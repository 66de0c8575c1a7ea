"""Predictions a second over HTTP from Redis hashes of 32 text numbers, beside the textbook service.

    python -m benchmarks.serving [--seconds 4] [--rounds 3]

Both servers run on the same Redis over its unix socket and are measured in turns; the table shows
medians over the rounds, and the ratio. Client, Redis and servers share the machine.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper
from redis import Redis

from cli.embedded import EmbeddedRedis
from models.composing import Wording, compose_bundle
from models.connecting import connect
from models.features import FeatureView
from models.store import ModelStore

WIDTH = 32
KEYS = 10_000
NAME = "bench"
CONNECTIONS = (1, 64)
Rounds = dict[int, list[dict[str, float]]]
VIEW = {
    "inputs": [
        {
            "name": "x",
            "sources": [{"key": "item:{id}", "as": "hash", "fields": [f"f{i}" for i in range(WIDTH)]}],
        }
    ]
}


def network(seed: int = 0) -> bytes:
    """Return an MLP 32-64-64-1 with random weights as ONNX bytes."""
    generator = np.random.default_rng(seed)
    sizes = (WIDTH, 64, 64, 1)
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    value = "x"
    for layer, (rows, columns) in enumerate(pairwise(sizes)):
        weight = generator.normal(0, rows**-0.5, (rows, columns)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{layer}"))
        weights.append(numpy_helper.from_array(np.zeros(columns, np.float32), f"b{layer}"))
        nodes.append(helper.make_node("Gemm", [value, f"w{layer}", f"b{layer}"], [f"h{layer}"]))
        last = layer == len(sizes) - 2
        value = "value" if last else f"a{layer}"
        nodes.append(helper.make_node("Sigmoid" if last else "Relu", [f"h{layer}"], [value]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])]
    outputs = [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch", 1])]
    graph = helper.make_graph(nodes, "mlp", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def fill(redis: Redis) -> None:
    """Write the keys."""
    generator = random.Random(0)
    pipeline = redis.pipeline(transaction=False)
    for key in range(KEYS):
        pipeline.hset(f"item:{key}", mapping={f"f{i}": f"{generator.gauss(0, 1):.6f}" for i in range(WIDTH)})
    pipeline.execute()


async def publish(url: str, onnx: bytes) -> None:
    """Publish the network."""
    store = ModelStore(connect(url))
    wording = Wording(features=FeatureView.read(VIEW), task="regression")
    await store.publish(compose_bundle(onnx, NAME, wording))
    await store.redis.aclose()


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, env: dict[str, str]) -> Iterator[int]:
    """Run a server until the block ends; it answers when the block begins."""
    process = subprocess.Popen([sys.executable, *command], env={**os.environ, **env})
    try:
        for _ in range(500):
            if process.poll() is not None:
                raise SystemExit(f"{command} ended with {process.returncode}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def measure(port: int, path: str, connections: int, seconds: float) -> dict[str, float]:
    """Run one load in a process of its own."""
    bodies = [json.dumps({"keys": [f"item:{key}"]}) for key in range(0, KEYS, 7)]
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", "127.0.0.1", str(port), str(connections), str(seconds)],
        input="\n".join([path, *bodies]).encode(),
        stdout=subprocess.PIPE,
        check=True,
    )
    seen: dict[str, float] = json.loads(result.stdout)
    if seen["errors"]:
        raise SystemExit(f"{seen['errors']} errors on port {port}")
    return seen


def agree(ours: int, theirs: int) -> None:
    """Stop unless both servers answer the same."""
    keys = {"keys": ["item:1", "item:2"]}
    mine = httpx.post(f"http://127.0.0.1:{ours}/v1/models/{NAME}/predict", json=keys).json()["predictions"]
    other = httpx.post(f"http://127.0.0.1:{theirs}/predict", json=keys).json()["predictions"]
    np.testing.assert_allclose([row["value"] for row in mine], other, rtol=1e-5)


def median(rounds: list[dict[str, float]], what: str) -> float:
    """Return the median of one figure over the rounds."""
    return statistics.median(one[what] for one in rounds)


def table(insitu: Rounds, textbook: Rounds) -> str:
    """Return the result as Markdown."""
    lines = [
        "| connections | Insitu predictions/s | p50 / p99 ms | textbook predictions/s | p50 / p99 ms | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for connections in CONNECTIONS:
        ours, theirs = insitu[connections], textbook[connections]
        cells = [
            f"{median(one, 'rate'):,.0f} | {median(one, 'p50_ms'):.2f} / {median(one, 'p99_ms'):.2f}"
            for one in (ours, theirs)
        ]
        ratio = statistics.median(a["rate"] / b["rate"] for a, b in zip(ours, theirs, strict=True))
        lines.append(f"| {connections} | {cells[0]} | {cells[1]} | {ratio:.1f}x |")
    return "\n".join(lines)


def compare(options: argparse.Namespace, folder: Path, stack: ExitStack) -> tuple[Rounds, Rounds]:
    """Start both services on one Redis and measure them in turns: Insitu's rounds, the textbook's."""
    onnx = network()
    (folder / "model.onnx").write_bytes(onnx)
    redis = EmbeddedRedis.start(folder / "redis")
    stack.callback(redis.stop)
    with Redis.from_url(redis.url) as client:
        fill(client)
    asyncio.run(publish(redis.url, onnx))
    ours, theirs = free_port(), free_port()
    env = {"INSITU_REDIS_URL": redis.url, "INSITU_LOG_LEVEL": "warning"}
    stack.enter_context(running(["-m", "cli.main", "serve", "--port", str(ours)], ours, env))
    textbook = ["-m", "benchmarks.textbook", redis.url, str(folder / "model.onnx"), str(theirs)]
    stack.enter_context(running(textbook, theirs, {}))
    agree(ours, theirs)
    mine: Rounds = {count: [] for count in CONNECTIONS}
    other: Rounds = {count: [] for count in CONNECTIONS}
    for _ in range(options.rounds):
        for count in CONNECTIONS:
            mine[count].append(measure(ours, f"/v1/models/{NAME}/predict", count, options.seconds))
            other[count].append(measure(theirs, "/predict", count, options.seconds))
    return mine, other


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that the medians are taken over")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mine, other = compare(options, folder, stack)
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    sys.stdout.write(f"{datetime.now(UTC).date()}, {machine}, Python {platform.python_version()}\n\n")
    sys.stdout.write(table(mine, other) + "\n")


if __name__ == "__main__":
    main()
