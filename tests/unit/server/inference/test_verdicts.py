"""What a trial finds: graphs that cannot be served as they are worded are refused with the reason."""

from collections.abc import Callable

import numpy as np
import pytest

from models.bundle import Bundle
from models.manifest import Manifest
from models.tensors import TensorSpec
from server.inference import verdicts
from server.inference.memory import heap_bytes
from server.inference.verdicts import ESTIMATED_TIMES, SERVING_BYTES, Verdict, judged, memory_refusal
from tests.graphs import (
    INT64,
    TEXT,
    bundle,
    dense,
    f32,
    looked_up,
    looping,
    model,
    node,
    numbered,
    passed,
    positions,
    running_total,
    scaled,
    value,
)

LABELS = ("low", "mid", "high")
VIEW = {"inputs": [{"name": "x", "sources": [{"key": "r:{id}", "as": "hash", "fields": ["a", "b"]}]}]}
ONE = {"inputs": [{"name": "x", "sources": [{"key": "r:{id}", "as": "hash", "fields": ["a"]}]}]}
WEIGHTS = np.array([[3, 0, -3], [0, 2, 0]], np.float32)


def named_classes(kind: int) -> bytes:
    """y = the class itself, as a number or a text."""
    nodes = [node("ArgMax", "x", "c", axis=1, keepdims=0)]
    if kind == TEXT:
        nodes.append(node("Gather", "labels c", "y"))
        weights = {"labels": np.array(LABELS, object)}
        return model(nodes, [value("x", ["rows", 3])], [value("y", ["rows"], TEXT)], weights)
    nodes[0].output[0] = "y"
    return model(nodes, [value("x", ["rows", 3])], [value("y", ["rows"], INT64)])


def picky() -> Bundle:
    """A graph that takes no row of eight values, which is what it is tried with."""
    nodes = [node("Reshape", "x shape", "y")]
    weights = {"shape": np.array([-1, 3])}
    return bundle(model(nodes, [value("x", ["rows", "free"])], [value("y", ["rows", 3])], weights))


def wider() -> Bundle:
    """Two labels, and an output whose width only a run shows."""
    onnx = model(
        [node("Mul", "x two", "z"), node("Softmax", "z", "y", axis=-1)],
        [value("x", ["rows", 3])],
        [value("y", ["rows", "width"])],
        {"two": f32(2.0)},
    )
    return bundle(onnx, labels=LABELS[:2])


def averaged(rows: int | str, view: object = None) -> Bundle:
    """y = the mean of all rows, one for a run."""
    nodes = [node("ReduceMean", "x", "y", axes=[0], keepdims=1)]
    return bundle(model(nodes, [value("x", [rows, 2])], [value("y", [1, 2])]), view=view)


def squared(view: object = None) -> Bundle:
    """y = x * x, of an input that has no axis at all."""
    return bundle(model([node("Mul", "x x", "y")], [value("x", [])], [value("y", [])]), view=view)


def unknown() -> Bundle:
    """An operator that ONNX knows in no version."""
    spec = TensorSpec(name="x", dtype="float32", shape=("rows", 2))
    manifest = Manifest(name="m", inputs=(spec,), outputs=(spec.model_copy(update={"name": "y"}),))
    return Bundle(
        manifest, model([node("Nope", "x", "y")], [value("x", ["rows", 2])], [value("y", ["rows", 2])])
    )


@pytest.mark.parametrize(
    "good",
    [
        lambda: bundle(scaled()),
        lambda: bundle(dense(WEIGHTS, "Softmax"), labels=LABELS),
        lambda: bundle(dense(WEIGHTS[:, :1], "Sigmoid"), labels=LABELS[:2]),
        lambda: bundle(dense(WEIGHTS, "Sigmoid"), labels=LABELS, task="multilabel"),
        lambda: bundle(dense(WEIGHTS[:, :1]), task="regression"),
        lambda: bundle(dense(WEIGHTS), task="forecasting", output="y"),
        lambda: bundle(dense(WEIGHTS[:, :1]), task="anomaly"),
        lambda: bundle(named_classes(INT64), labels=LABELS, output="y"),
        lambda: bundle(named_classes(TEXT), labels=LABELS, output="y"),
        lambda: bundle(scaled(rows=4)),
        lambda: bundle(positions()),
        lambda: bundle(running_total()),
        lambda: bundle(looping(3)),
        picky,
        lambda: bundle(looked_up(np.eye(1, dtype=np.float32))),
        lambda: averaged(3),
        lambda: averaged(1, VIEW),
        lambda: averaged("rows", VIEW),
        lambda: bundle(scaled(rows=4), view=VIEW),
        squared,
    ],
)
def test_a_file_that_can_be_served_is_admitted(good: Callable[[], Bundle]) -> None:
    verdict = judged(numbered(good()))

    assert (verdict.reason, verdict.wording) == (None, None)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (
            lambda: bundle(dense(WEIGHTS), labels=LABELS),
            "gives no probabilities (a row of zeros gave [0.0, 0.0, 0.0]); end the graph in Softmax",
        ),
        (lambda: bundle(running_total(), labels=LABELS[:2]), "gives no probabilities"),
        (lambda: bundle(positions(), task="regression", output="y"), "first axis is the batch"),
        (lambda: bundle(passed(TEXT, ["rows", 1]), task="regression", output="y"), "holds no numbers"),
        (wider, "3 values a row for 2 labels"),
        (
            lambda: averaged(3, VIEW),
            "input 'x' has a first axis of 3 in the graph, whose outputs have no row",
        ),
        (lambda: squared(ONE), "input 'x' has no first axis in the graph"),
    ],
)
def test_a_file_that_cannot_is_refused_with_the_reason(bad: Callable[[], Bundle], told: str) -> None:
    verdict = judged(numbered(bad()))

    assert verdict.reason is None
    assert told in (verdict.wording or "")


def test_a_file_that_onnx_runtime_does_not_take_cannot_be_loaded() -> None:
    verdict = judged(numbered(unknown()))

    assert "No Op registered for Nope" in (verdict.reason or "")


@pytest.mark.parametrize(
    ("onnx", "rows"), [(scaled(), "apart"), (running_total(), "coupled"), (positions(), "whole")]
)
def test_a_verdict_says_how_rows_are_to_one_another(onnx: bytes, rows: str) -> None:
    assert judged(numbered(bundle(onnx))).rows == rows


@pytest.mark.skipif(heap_bytes() is None, reason="the C library does not say")
def test_the_memory_of_a_version_is_measured() -> None:
    weights = np.ones((1024, 1024), np.float32)

    verdict = judged(numbered(bundle(dense(weights))))

    assert weights.nbytes < verdict.memory_bytes < 2.5 * weights.nbytes


def test_the_memory_of_a_version_is_estimated_where_it_cannot_be_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(verdicts, "heap_bytes", lambda: None)
    one = numbered(bundle(scaled()))

    assert judged(one).memory_bytes == SERVING_BYTES + ESTIMATED_TIMES * len(one.onnx)


def test_a_verdict_is_read_as_it_was_sent() -> None:
    verdict = Verdict("it is \nodd", None, "coupled", 7)

    assert Verdict.from_json(verdict.to_json()) == verdict


@pytest.mark.parametrize(
    "reason",
    [
        "ConstantOfShape: Failed to allocate memory for requested buffer of size 68719476736",
        "MatMul: std::bad_alloc",
    ],
)
def test_a_row_that_takes_too_much_memory_is_refused(reason: str) -> None:
    assert (
        memory_refusal(reason) == f"one row of zeros takes more memory than a model may have here: {reason}"
    )
    assert memory_refusal("Gather: indices element out of data bounds") is None
