"""Which graphs may put rows of different callers into one run is found by trying."""

from collections.abc import Callable

import numpy as np
import pytest

from models.bundle import Bundle
from models.manifest import Manifest
from models.tensors import TensorSpec
from server.inference.samples import Rows, sample, too_large, try_padding, try_rows, warm, zeros
from server.inference.sessions import Session
from tests.graphs import (
    BOOL,
    FLOAT,
    HALF,
    INT64,
    TEXT,
    Arrays,
    bundle,
    constant,
    dense,
    every_step,
    f32,
    last_step,
    looked_up,
    looping,
    mean_step,
    model,
    node,
    numbered,
    passed,
    positions,
    running_total,
    scaled,
    summed_over_steps,
    total,
    value,
)


def batch_mean(rows: int | str = "rows") -> bytes:
    """y = x - the mean over the batch: a BatchNormalization left in training mode."""
    nodes = [node("ReduceMean", "x", "m", axes=[0]), node("Sub", "x m", "y")]
    return model(nodes, [value("x", [rows, 2])], [value("y", [rows, 2])])


def time_first() -> bytes:
    """An RNN whose first axis is time, as torch makes it without batch_first."""
    nodes = [node("RNN", "x w r", "h", hidden_size=2), node("Squeeze", "h axes", "y")]
    weights = {
        "w": np.ones((1, 2, 2), np.float32),
        "r": np.ones((1, 2, 2), np.float32),
        "axes": np.array([1]),
    }
    return model(nodes, [value("x", ["steps", 1, 2])], [value("y", ["steps", 1, 2])], weights)


def quantized() -> bytes:
    """y = Sigmoid(1000 x) in 8 bits whose scale is that of the whole batch: 0 or 1, and one half beside a large row."""
    nodes = [
        node("DynamicQuantizeLinear", "x", "q scale zero"),
        node("MatMulInteger", "q w zero", "i"),
        node("Cast", "i", "f", to=FLOAT),
        node("Mul", "f scale", "p"),
        node("Mul", "p ten", "z"),
        node("Sigmoid", "z", "y"),
    ]
    weights: Arrays = {"w": np.full((1, 1), 100, np.uint8), "ten": f32(10.0)}
    return model(nodes, [value("x", ["rows", 1])], [value("y", ["rows", 1])], weights)


def largest_first() -> bytes:
    """y = 1 where n is the largest of the batch, or is small."""
    nodes = [
        node("ReduceMax", "n", "top", keepdims=0),
        node("Max", "top few", "bound"),
        node("Div", "bound few", "y0"),
        node("Add", "n y0", "y1"),
        node("Sub", "y1 n", "y"),
    ]
    n, y = (value(name, ["rows", 2], INT64) for name in "ny")
    return model(nodes, [n], [y], {"few": np.array(5)})


def found(onnx: bytes) -> Rows:
    return try_rows(Session(numbered(bundle(onnx))))


@pytest.mark.parametrize(
    "graph",
    [
        scaled,
        lambda: scaled(rows=1),
        lambda: scaled(rows=4),
        lambda: scaled(width="free"),
        lambda: constant(7.0),
        lambda: dense(np.eye(3, dtype=np.float32), "Softmax"),
        lambda: looked_up(np.eye(3, dtype=np.float32)),
        lambda: passed(TEXT, ["rows", 2]),
        lambda: passed(BOOL, ["rows", 2]),
        lambda: passed(INT64, ["rows"]),
        summed_over_steps,
        last_step,
        every_step,
        lambda: looping(3),
    ],
)
def test_rows_that_stand_alone_may_share_a_run(graph: Callable[[], bytes]) -> None:
    assert found(graph()) == "apart"


@pytest.mark.parametrize(
    "graph",
    [running_total, batch_mean, lambda: batch_mean(rows=4), time_first, quantized, largest_first],
    ids=["running total", "batch mean", "batch mean of four", "time first", "one scale", "large integers"],
)
def test_rows_that_see_one_another_are_found(graph: Callable[[], bytes]) -> None:
    assert found(graph()) == "coupled"


@pytest.mark.parametrize("graph", [positions, total])
def test_outputs_without_a_row_for_each_row_are_found(graph: Callable[[], bytes]) -> None:
    assert found(graph()) == "whole"


@pytest.mark.parametrize(("coupling", "expected"), [("CumSum", "coupled"), ("Max", "apart")])
def test_outputs_of_half_precision_are_compared_with_its_precision(coupling: str, expected: str) -> None:
    nodes = [node(coupling, "x zero", "s"), node("Cast", "s", "y", to=HALF)]
    zero = {"zero": np.array(0) if coupling == "CumSum" else f32(0.0)}
    onnx = model(nodes, [value("x", ["rows", 2])], [value("y", ["rows", 2], HALF)], zero)

    assert found(onnx) == expected


def test_a_graph_that_takes_no_made_up_rows_counts_as_its_signature_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    picky = model(
        [node("Reshape", "x shape", "y")],
        [value("x", ["rows", "free"])],
        [value("y", ["rows", 3])],
        {"shape": np.array([-1, 3])},
    )
    caplog.set_level("INFO")

    assert found(picky) == "apart"
    assert "does not run on made-up rows: Reshape: size" in caplog.text


@pytest.mark.parametrize(
    ("onnx", "pads"),
    [
        (last_step(), True),
        (every_step(), True),
        (mean_step(), False),
        (looked_up(np.eye(2, dtype=np.float32)), True),
    ],
    ids=["lengths used", "steps shown", "lengths forgotten", "no sequences"],
)
def test_whether_padding_changes_an_answer_is_found(onnx: bytes, pads: bool) -> None:
    steps = {"key": "s:{id}", "as": "list", "shape": [2], "last": 9}
    view = {"inputs": [{"name": "x", "lengths": "lengths", "sources": [steps]}]}
    sequences = b"lengths" in onnx

    session = Session(numbered(bundle(onnx, view=view if sequences else None)))

    assert try_padding(session) is pads


def test_sequences_that_a_graph_does_not_take_are_padded_as_the_view_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    steps = {"key": "s:{id}", "as": "list", "shape": [2], "last": 9}
    view = {"inputs": [{"name": "x", "lengths": "lengths", "sources": [steps]}]}
    picky = model(
        [node("Reshape", "x shape", "y"), node("Identity", "lengths", "n")],
        [value("x", ["rows", "steps", 2]), value("lengths", ["rows"], INT64)],
        [value("y", ["rows", 6]), value("n", ["rows"], INT64)],
        {"shape": np.array([-1, 6])},
    )
    caplog.set_level("INFO")

    assert try_padding(Session(numbered(bundle(picky, view=view))))
    assert "does not run on made-up sequences: Reshape: size" in caplog.text


def test_a_signature_too_large_to_make_rows_of_is_not_tried() -> None:
    spec = TensorSpec(name="x", dtype="float32", shape=("rows", 1 << 30))
    manifest = Manifest(name="m", version=1, inputs=(spec,), outputs=(spec,))

    assert too_large((spec,), 2)
    session = Session(Bundle(manifest, scaled()))

    warm(session)

    assert try_rows(session) == "apart"


def test_a_graph_is_warmed_by_a_row_of_zeros_and_may_refuse_it() -> None:
    warm(Session(numbered(bundle(scaled()))))
    warm(Session(numbered(bundle(looked_up(np.zeros((0, 2), np.float32))))))


def test_zeros_are_texts_lengths_of_one_and_small_free_dimensions() -> None:
    specs = (
        TensorSpec(name="x", dtype="float32", shape=("rows", 2, "steps")),
        TensorSpec(name="n", dtype="int64", shape=("rows",)),
        TensorSpec(name="t", dtype="string", shape=("rows", 1)),
    )

    made = zeros(specs, 3)

    assert made["x"].shape == (3, 2, 8)
    assert made["n"].tolist() == [1, 1, 1]
    assert made["t"].tolist() == [[""], [""], [""]]


def test_samples_differ_and_repeat() -> None:
    specs = (TensorSpec(name="x", dtype="float32", shape=("rows", 2)),)

    one, again, other = (sample(specs, 2, seed)["x"] for seed in (1, 1, 2))

    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
