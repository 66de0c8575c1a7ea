"""What a trial finds: graphs that cannot be served as they are worded are refused with the reason."""

import io
import json
import sys
from collections.abc import Callable

import numpy as np
import pytest

from models.bundle import Bundle
from models.errors import BadModelFile
from models.manifest import Manifest
from models.tensors import TensorSpec
from server.inference.admission import HEADER, main, memory_refusal, raise_unless_good, refusal
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

NO_LIMIT_BYTES, NO_LIMIT_SECONDS = 1 << 62, 10**8

LABELS = ("low", "mid", "high")
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
        lambda: bundle(named_classes(INT64), labels=LABELS, output="y"),
        lambda: bundle(named_classes(TEXT), labels=LABELS, output="y"),
        lambda: bundle(scaled(rows=4)),
        lambda: bundle(positions()),
        lambda: bundle(running_total()),
        lambda: bundle(looping(3)),
        picky,
        lambda: bundle(looked_up(np.eye(1, dtype=np.float32))),
    ],
)
def test_a_file_that_can_be_served_is_admitted(good: Callable[[], Bundle]) -> None:
    assert refusal(numbered(good())) is None


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
        (unknown, "No Op registered for Nope"),
    ],
)
def test_a_file_that_cannot_is_refused_with_the_reason(bad: Callable[[], Bundle], told: str) -> None:
    reason = refusal(numbered(bad()))

    assert reason is not None
    assert told in reason


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


def test_the_process_reads_a_bundle_and_writes_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = numbered(bundle(dense(WEIGHTS), labels=LABELS))
    manifest = tried.manifest.to_json()
    sent = HEADER.pack(len(manifest), len(tried.onnx)) + manifest + tried.onnx
    written = io.BytesIO()
    monkeypatch.setattr(sys, "argv", ["trial", str(NO_LIMIT_BYTES), str(NO_LIMIT_SECONDS)])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sent)))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written))

    main()

    word, _, verdict = written.getvalue().partition(b" ")
    assert word == b"verdict"
    assert "gives no probabilities" in json.loads(verdict)


@pytest.mark.parametrize(
    ("verdict", "complaint", "status", "told"),
    [
        (b"", b"", -11, r"signal SIGSEGV\): no message"),
        (b"", b"first\nlast\n", 1, r"exit status 1\): last"),
        (b"verdict null", b"", 1, "exit status 1"),
        (b"chatter of a library", b"", 0, "exit status 0"),
        (b"", b"x" * 5000, -64 - 1000, "signal 1064"),
    ],
)
def test_a_trial_that_ended_oddly_is_told(verdict: bytes, complaint: bytes, status: int, told: str) -> None:
    with pytest.raises(BadModelFile, match=told) as caught:
        raise_unless_good(verdict, complaint, status)

    assert len(str(caught.value)) < 500
