"""The cases that every way of asking must answer alike: a graph, its view, rows in Redis and as tensors.

The tensors are written out by hand beside what lies in Redis: they are what ONNX Runtime is called
with directly, so a fault in reading cannot hide in both.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from struct import pack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper
from redis import Redis

from models.bundle import Bundle
from models.feast_keys import feature_field
from tests.graphs import bundle, model, node, value

ROWS = 7
LABELS = ("low", "middle", "high")
GENERATOR = np.random.default_rng(7)
BYTES = TensorProto.UINT8
INT64 = TensorProto.INT64
Tensors = dict[str, NDArray[Any]]


def weights(*shape: int) -> NDArray[np.float32]:
    """Return the same weights at every import."""
    return GENERATOR.normal(0, 0.5, shape).astype(np.float32)


@dataclass(frozen=True)
class Case:
    """One model, `ROWS` rows of it, and how they are named."""

    bundle: Bundle
    write: Callable[[Redis], None]
    keys: list[str]
    instances: list[dict[str, Any]]
    tensors: Tensors
    inputs: dict[str, Any]

    @property
    def name(self) -> str:
        return self.bundle.manifest.name

    @property
    def json(self) -> bool:
        """Whether it needs a Redis with the JSON module."""
        return self.name == "document"


def hash_with_categories() -> Case:
    """An MLP over a hash: a number, a category with a catch-all, a default."""
    graph = model(
        [
            node("Gemm", "x w1 b1", "h"),
            node("Relu", "h", "a"),
            node("Gemm", "a w2", "z"),
            node("Softmax", "z", "probabilities", axis=1),
        ],
        [value("x", ("rows", 3))],
        [value("probabilities", ("rows", 3))],
        {"w1": weights(3, 8), "b1": weights(8), "w2": weights(8, 3)},
    )
    fields = [
        "amount",
        {"name": "country", "categories": ["DE", "FR", "other"], "unknown": "other"},
        {"name": "age", "default": 30},
    ]
    view = {"inputs": [{"name": "x", "sources": [{"key": "txn:{id}", "as": "hash", "fields": fields}]}]}
    countries = ["DE", "FR", "US", "DE", "other", "FR", ""]
    stored: list[dict[Any, Any]] = [
        {"amount": f"{row / 3:.5f}", "country": countries[row]} for row in range(ROWS)
    ]
    for row in range(0, ROWS, 2):
        stored[row]["age"] = str(20 + row)

    def write(redis: Redis) -> None:
        for row, values in enumerate(stored):
            redis.hset(f"txn:{row}", mapping=values)

    numbers = {"DE": 0, "FR": 1}
    x = [
        [float(one["amount"]), numbers.get(one["country"], 2), float(one.get("age", "30"))] for one in stored
    ]
    return case(bundle(graph, "hash", view, labels=LABELS), write, {"x": np.array(x, np.float32)}, "txn")


def image() -> Case:
    """A convolution over an image that lies in Redis as raw bytes."""
    graph = model(
        [
            node("Cast", "image", "grey", to=TensorProto.FLOAT),
            node("Div", "grey sixteen", "scaled"),
            node("Conv", "scaled w", "maps", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            node("Relu", "maps", "a"),
            node("GlobalAveragePool", "a", "pooled"),
            node("Flatten", "pooled", "flat"),
            node("Gemm", "flat w2", "z"),
            node("Softmax", "z", "probabilities", axis=1),
        ],
        [value("image", ("rows", 1, 8, 8), BYTES)],
        [value("probabilities", ("rows", 3))],
        {"sixteen": np.array(16, np.float32), "w": weights(4, 1, 3, 3), "w2": weights(4, 3)},
    )
    source = {"key": "img:{id}", "as": "vector", "dtype": "uint8", "shape": [1, 8, 8]}
    pixels = GENERATOR.integers(0, 17, (ROWS, 1, 8, 8)).astype(np.uint8)

    def write(redis: Redis) -> None:
        for row, one in enumerate(pixels):
            redis.set(f"img:{row}", one.tobytes())

    view = {"inputs": [{"name": "image", "sources": [source]}]}
    return case(bundle(graph, "image", view, labels=LABELS), write, {"image": pixels}, "img")


def recurrent(width: int) -> bytes:
    """A GRU over sequences of different lengths; the graph takes the lengths."""
    hidden = 5
    return model(
        [
            node("Transpose", "x", "steps", perm=[1, 0, 2]),
            node("Cast", "x_length", "lengths", to=TensorProto.INT32),
            helper.make_node("GRU", ["steps", "w", "r", "", "lengths"], ["all", "last"], hidden_size=hidden),
            node("Squeeze", "last zero", "state"),
            node("Gemm", "state w2", "value"),
        ],
        [value("x", ("rows", "steps", width)), value("x_length", ("rows",), INT64)],
        [value("value", ("rows", 1))],
        {
            "w": weights(1, 3 * hidden, width),
            "r": weights(1, 3 * hidden, hidden),
            "zero": np.array([0], np.int64),
            "w2": weights(hidden, 1),
        },
    )


def sequences(width: int) -> Tensors:
    """Steps of rows of every length, zeros behind them."""
    lengths = np.array([1 + row for row in range(ROWS)], np.int64)
    steps = np.zeros((ROWS, ROWS, width), np.float32)
    for row, length in enumerate(lengths):
        steps[row, :length] = weights(int(length), width)
    return {"x": steps, "x_length": lengths}


def sequence() -> Case:
    """Sequences in lists of raw numbers."""
    source = {"key": "walk:{id}", "as": "list", "dtype": "float32", "shape": [4], "last": 9}
    view = {"inputs": [{"name": "x", "lengths": "x_length", "sources": [source]}]}
    tensors = sequences(4)
    steps, lengths = tensors["x"], tensors["x_length"]

    def write(redis: Redis) -> None:
        for row, length in enumerate(lengths):
            redis.rpush(f"walk:{row}", *(step.tobytes() for step in steps[row, :length]))

    made = bundle(recurrent(4), "sequence", view, task="regression")
    return case(made, write, tensors, "walk")


def stream() -> Case:
    """Sequences in streams: numbers, a category, a default, and entries from before the last ones."""
    fields = ["temp", {"name": "mode", "categories": ["idle", "run"]}, {"name": "load", "default": 0.5}]
    source = {"key": "sensor:{id}", "as": "stream", "fields": fields, "last": ROWS}
    view = {"inputs": [{"name": "x", "lengths": "x_length", "sources": [source]}]}
    tensors = sequences(3)
    steps, lengths = tensors["x"], tensors["x_length"]
    for row, length in enumerate(lengths):
        steps[row, :length, 1] = np.arange(length) % 2
        steps[row, :length:2, 2] = 0.5

    def write(redis: Redis) -> None:
        redis.xadd(f"sensor:{ROWS - 1}", {"temp": "99", "mode": "run"}, id="1-0")
        for row, length in enumerate(lengths):
            for at, (temp, mode, load) in enumerate(steps[row, :length].tolist()):
                told: dict[Any, Any] = {
                    "mode": ["idle", "run"][int(mode)],
                    "note": "none",
                    "temp": repr(temp),
                }
                redis.xadd(f"sensor:{row}", told | ({"load": repr(load)} if at % 2 else {}), id=f"{at + 1}-1")

    made = bundle(recurrent(3), "stream", view, task="regression")
    return case(made, write, tensors, "sensor")


def several_sources() -> Case:
    """A hash, a vector under another key, and a value of the request, in one input."""
    graph = model(
        [node("Gemm", "x w", "z"), node("Sigmoid", "z", "probabilities")],
        [value("x", ("rows", 5))],
        [value("probabilities", ("rows", 1))],
        {"w": weights(5, 1)},
    )
    sources = [
        {"key": "{{user}}:{id}", "as": "hash", "fields": ["a", "b"]},
        {"key": "ref:{id}", "as": "vector", "dtype": "float64", "shape": [2]},
        {"inline": True, "fields": [{"name": "hour", "default": 12}]},
    ]
    view = {"inputs": [{"name": "x", "sources": sources}]}
    x = weights(ROWS, 5)
    x[:, 4] = 12

    def write(redis: Redis) -> None:
        for row, one in enumerate(x):
            redis.hset(f"{{user}}:{row}", mapping={"a": repr(float(one[0])), "b": repr(float(one[1]))})
            redis.set(f"ref:{row}", one[2:4].astype("<f8").tobytes())

    made = bundle(graph, "several", view, labels=("no", "yes"))
    return case(made, write, {"x": x}, "{user}")


def multilabel() -> Case:
    """One sigmoid a label."""
    graph = model(
        [node("Gemm", "x w", "z"), node("Sigmoid", "z", "probabilities")],
        [value("x", ("rows", 2))],
        [value("probabilities", ("rows", 3))],
        {"w": weights(2, 3)},
    )
    view = {"inputs": [{"name": "x", "sources": [{"key": "tag:{id}", "as": "vector", "shape": [2]}]}]}
    x = weights(ROWS, 2)

    def write(redis: Redis) -> None:
        for row, one in enumerate(x):
            redis.set(f"tag:{row}", one.tobytes())

    made = bundle(graph, "multilabel", view, labels=LABELS, task="multilabel")
    return case(made, write, {"x": x}, "tag")


def fixed_batch() -> Case:
    """A graph exported for exactly three rows, asked for seven."""
    graph = model(
        [node("Gemm", "x w", "value")], [value("x", (3, 2))], [value("value", (3, 1))], {"w": weights(2, 1)}
    )
    view = {"inputs": [{"name": "x", "sources": [{"key": "pair:{id}", "as": "hash", "fields": ["a", "b"]}]}]}
    x = weights(ROWS, 2)

    def write(redis: Redis) -> None:
        for row, one in enumerate(x):
            redis.hset(f"pair:{row}", mapping={"a": repr(float(one[0])), "b": repr(float(one[1]))})

    made = bundle(graph, "fixed", view, task="regression")
    return case(made, write, {"x": x}, "pair")


def document() -> Case:
    """Values of a JSON document, one of them deeper down."""
    graph = model(
        [node("Gemm", "x w", "value")],
        [value("x", ("rows", 2))],
        [value("value", ("rows", 1))],
        {"w": weights(2, 1)},
    )
    fields = ["age", {"name": "spent", "path": "$.account.spent"}]
    view = {"inputs": [{"name": "x", "sources": [{"key": "doc:{id}", "as": "json", "fields": fields}]}]}
    x = weights(ROWS, 2)

    def write(redis: Redis) -> None:
        for row, one in enumerate(x.tolist()):
            text = json.dumps({"age": one[0], "account": {"spent": one[1]}})
            redis.execute_command("JSON.SET", f"doc:{row}", "$", text)

    return case(bundle(graph, "document", view, task="regression"), write, {"x": x}, "doc")


def features_of_feast() -> Case:
    """Features that Feast has written: an Int64 and an array of Float32, beside a plain hash."""
    graph = model(
        [node("Gemm", "x w", "value")],
        [value("x", ("rows", 4))],
        [value("value", ("rows", 1))],
        {"w": weights(4, 1)},
    )
    feast = {
        "as": "feast",
        "project": "shop",
        "view": "visits",
        "entity": {"id": "int64"},
        "fields": ["count", {"name": "embedding", "shape": [2]}],
    }
    view = {"inputs": [{"name": "x", "sources": [feast, {"key": "v:{id}", "as": "hash", "fields": ["age"]}]}]}
    x = np.concatenate((np.arange(ROWS, dtype=np.float32)[:, None], weights(ROWS, 3)), axis=1)

    def write(redis: Redis) -> None:
        for row, one in enumerate(x, 1):
            key = b"\x01\0\0\0\x02\0\0\0\x02\0\0\0id" + pack("<IIq", 4, 8, row) + b"shop"
            count = b"\x20" + bytes([row - 1])
            embedding = b"\x82\x01\x0a\x0a\x08" + one[1:3].tobytes()
            fields = {"count": count, "embedding": embedding}
            redis.hset(key, mapping={feature_field("visits", name): data for name, data in fields.items()})
            redis.hset(f"v:{row}", "age", repr(float(one[3])))

    made = case(bundle(graph, "feast", view, task="regression"), write, {"x": x}, "id")
    ids = range(1, ROWS + 1)
    return replace(made, keys=[f"id:{one}" for one in ids], instances=[{"id": one} for one in ids])


def case(made: Bundle, write: Callable[[Redis], None], tensors: Tensors, prefix: str) -> Case:
    """Name the rows of a case by key, by instance and as the tensors of a request."""
    keys = [f"{prefix}:{row}" for row in range(ROWS)]
    instances = [{"id": str(row)} for row in range(ROWS)]
    inputs = {name: tensor.tolist() for name, tensor in tensors.items()}
    return Case(made, write, keys, instances, tensors, inputs)


CASES = {
    made.name: made
    for made in (
        hash_with_categories(),
        image(),
        sequence(),
        stream(),
        several_sources(),
        multilabel(),
        fixed_batch(),
        document(),
        features_of_feast(),
    )
}
