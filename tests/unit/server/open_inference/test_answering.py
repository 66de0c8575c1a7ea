"""Answers of the protocol: the outputs that are wanted, or their likeliest classes."""

import asyncio

import numpy as np
import pytest

from models.errors import BadRequest
from models.manifest import Manifest
from models.tensors import Tensor, TensorSpec, numpy_dtype
from server.inference.asking import Answer, Row
from server.open_inference.answering import MOST_TEXTS, VALUES_INLINE, classified, told, told_in_turn
from server.open_inference.infer import Infer, OutputWanted

Y = np.array([[0.1, 0.7, 0.2]], np.float32)
SPECS = (
    TensorSpec(name="y", dtype="float32", shape=("rows", 3)),
    TensorSpec(name="z", dtype="int64", shape=("rows",)),
)
MANIFEST = Manifest(
    name="m",
    version=3,
    inputs=SPECS[:1],
    outputs=SPECS,
    task="classification",
    labels=("a", "b", "c"),
    output="y",
)


def asked(*outputs: OutputWanted) -> Infer:
    return Infer("m", None, (), outputs, "7")


def answered(*rows: Row, **outputs: Tensor) -> Answer:
    return Answer("m", 3, rows or (Row(),), outputs or {"y": Y, "z": np.array([1])})


def test_every_output_is_told_where_none_is_named() -> None:
    found = told(asked(), answered(), MANIFEST)

    assert [(one.name, one.datatype) for one in found.outputs] == [("y", "FP32"), ("z", "INT64")]
    assert (found.model, found.version, found.id, dict(found.parameters)) == ("m", 3, "7", {})


def test_those_that_are_named_come_in_their_order() -> None:
    found = told(asked(OutputWanted("z", binary=True), OutputWanted("y")), answered(), MANIFEST)

    assert [(one.name, one.binary) for one in found.outputs] == [("z", True), ("y", None)]


def test_an_output_that_the_answering_version_lacks_is_named() -> None:
    with pytest.raises(BadRequest, match="version 3 answered, which has no output z"):
        told(asked(OutputWanted("z")), answered(y=Y), MANIFEST)


def test_values_that_were_stood_in_for_are_named_once() -> None:
    rows = [Row(), Row(), Row()]
    rows[1].filled, rows[2].filled = ["age"], ["spend", "age"]

    assert told(asked(), answered(*rows), MANIFEST).parameters == {"filled": "age,spend"}


def test_labels_are_those_of_the_output_that_is_worded() -> None:
    wanted = OutputWanted("y", classes=2), OutputWanted("z", classes=1)

    y, z = told(asked(*wanted), answered(), MANIFEST).outputs

    assert (y.datatype, y.tensor.tolist()) == ("BYTES", [["0.700000:1:b", "0.200000:2:c"]])
    assert (z.datatype, z.tensor.tolist()) == ("BYTES", [["1:0"]])


@pytest.mark.parametrize(
    ("tensor", "count", "told"),
    [
        (np.array([[3, 1], [0, 9]], np.int8), 1, [["3:0"], ["9:1"]]),
        (np.array([[1, 1, 0]], np.float16), 2, [["1.000000:0", "1.000000:1"]]),
        (np.array([[np.nan, 1, np.inf]], np.float32), 3, [["inf:2", "1.000000:1", "nan:0"]]),
        (np.array([[[1, 2], [4, 3]]], np.float64), 2, [["4.000000:2", "3.000000:3"]]),
        (np.array([[2**63, 0]], np.uint64), 1, [[f"{2**63}:0"]]),
        (np.zeros((0, 3), np.float32), 2, []),
        (np.zeros((2, 0), np.float32), 2, [[], []]),
        (np.array([[1, 2]], numpy_dtype("bfloat16")), 1, [["2.000000:1"]]),
    ],
)
def test_the_largest_values_of_a_row_come_first(tensor: Tensor, count: int, told: list[list[str]]) -> None:
    assert classified(tensor, count, ()).tolist() == told


def test_more_classes_than_an_answer_holds_are_refused() -> None:
    with pytest.raises(BadRequest, match="ask for fewer rows or classes"):
        classified(np.zeros((2, MOST_TEXTS), np.float32), MOST_TEXTS, ())


@pytest.mark.parametrize(
    ("values", "dtype", "told"),
    [
        ([1, 127, -128], "int8", ["127:1", "1:0", "-128:2"]),
        ([(1 << 53) + 1, (1 << 63) - 1, -(1 << 63)], "int64", [f"{(1 << 63) - 1}:1", f"{(1 << 53) + 1}:0"]),
        ([0, (1 << 64) - 1, 1 << 63], "uint64", [f"{(1 << 64) - 1}:1", f"{1 << 63}:2", "0:0"]),
        ([5, 7, 5, 7], "int32", ["7:1", "7:3", "5:0", "5:2"]),
        ([5, 7, 5, 7], "float32", ["7.000000:1", "7.000000:3", "5.000000:0", "5.000000:2"]),
    ],
)
def test_whole_numbers_are_written_whole_and_equal_ones_come_by_index(
    values: list[int], dtype: str, told: list[str]
) -> None:
    found = classified(np.array([values], dtype), len(told), ())

    assert found.tolist() == [told]


@pytest.mark.parametrize(("width", "beside"), [(VALUES_INLINE, False), (1 << 20, True)])
async def test_many_values_are_sorted_beside_the_event_loop(width: int, beside: bool) -> None:
    turns: list[None] = []
    asyncio.get_running_loop().call_soon(turns.append, None)
    y = np.arange(width, dtype=np.float32)[np.newaxis]

    (found,) = (await told_in_turn(asked(OutputWanted("y", classes=1)), answered(y=y), MANIFEST)).outputs

    assert found.tensor.tolist() == [[f"{width - 1:f}:{width - 1}"]]
    assert bool(turns) is beside
