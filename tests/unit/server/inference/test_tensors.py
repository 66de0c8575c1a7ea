"""`inputs` of a request become tensors of exactly the graph's type and shape, or are refused by value."""

import tracemalloc
from functools import reduce
from typing import Any

import numpy as np
import pytest

from models.manifest import Manifest
from models.tensors import TensorSpec
from server.inference import tensors
from server.inference.errors import BadInput
from server.inference.tensors import packed, tensor_of, tensors_of


def manifest(*specs: tuple[str, str, tuple[int | str, ...]]) -> Manifest:
    made = tuple(TensorSpec.model_validate({"name": n, "dtype": d, "shape": s}) for n, d, s in specs)
    return Manifest(name="m", version=1, inputs=made, outputs=made)


PAIR = manifest(("x", "float32", ("rows", 2)))
COUNTS = manifest(("n", "int64", ("rows",)))
TEXTS = manifest(("t", "string", ("rows", 2)))
BOTH = manifest(("x", "float32", ("rows", 2)), ("n", "int64", ("rows",)))


A: Any = "a"


def read(one: Manifest, **inputs: Any) -> Any:
    return tensors_of(one, inputs, "apart")


@pytest.mark.parametrize(
    ("one", "value", "dtype"),
    [
        (PAIR, [[1, 2.5], [3, 4]], "float32"),
        (PAIR, ((1, 2), (3, 4)), "float32"),
        (PAIR, np.array([[1, 2], [3, 4]], np.float32), "float32"),
        (PAIR, np.array([[1, 2], [3, 4]], np.int64), "float32"),
        (PAIR, [[True, 2], [3, 4]], "float32"),
        (COUNTS, [7, 8.0], "int64"),
        (TEXTS, [["a", "b\x00"], ["", "c"]], "object"),
        (manifest(("x", "bool", ("rows",))), [True, 0], "bool"),
        (manifest(("x", "uint8", ("rows",))), [0, 255], "uint8"),
        (COUNTS, [2**53 + 1, 1.0], "int64"),
        (manifest(("x", "uint64", ("rows",))), [2**64 - 1, 0], "uint64"),
        (manifest(("x", "uint64", ("rows",))), [2**63, 2**53 + 1], "uint64"),
        (manifest(("x", "float32", ("rows", "free", 1))), [[[1], [2], [3]], [[1], [2], [3]]], "float32"),
    ],
)
def test_values_of_the_type_become_a_tensor_of_it(one: Manifest, value: Any, dtype: str) -> None:
    (name,) = (spec.name for spec in one.inputs)

    feeds, rows = read(one, **{name: value})

    assert rows == 2
    assert feeds[name].dtype == dtype
    assert feeds[name].tolist() == np.array(value, object).tolist()


@pytest.mark.parametrize(
    ("one", "inputs", "told"),
    [
        (PAIR, {}, "input x is missing; the model takes x"),
        (PAIR, {"x": [[1, 2]], "X": []}, "the model has no input 'X', it has x"),
        (BOTH, {"x": [[1, 2]], "nn": [1]}, "no input 'nn'.*; did you mean 'n'?"),
        (PAIR, {"x": [[1, 2, 3]]}, r"has shape \[1, 3\], the model takes \[rows, 2\]"),
        (PAIR, {"x": [1, 2]}, r"has shape \[2\]"),
        (PAIR, {"x": 1}, r"has shape \[\]"),
        (PAIR, {"x": [[1, 2], [1]]}, "is ragged"),
        (PAIR, {"x": [[1, "2"]]}, "holds '2' where float32 belongs"),
        (PAIR, {"x": [[1, "a"]]}, "holds 'a' where float32 belongs"),
        (PAIR, {"x": [[1, 2], "a"]}, "holds 'a' where float32 belongs"),
        (
            PAIR,
            {"x": [reduce(lambda inner, _: [inner], range(2000), A)]},
            "holds 'a' where float32 belongs",
        ),
        (PAIR, {"x": [[1, None]]}, "holds 'None' where float32 belongs"),
        (PAIR, {"x": [[1, {"a": 1}]]}, "holds .* where float32 belongs"),
        (PAIR, {"x": np.array([["a", "b"]])}, "holds 'a' where float32 belongs"),
        (PAIR, {"x": [[1, 1e39]]}, r"holds '1e\+39', which is not a finite float32"),
        (PAIR, {"x": [[1, 10**400]]}, "digits, which is no float32|which is no float32"),
        (COUNTS, {"n": [1, 1.5]}, "holds '1.5', which is not a finite int64"),
        (COUNTS, {"n": [1, 1e19]}, "holds '1e.19', which is not a finite int64"),
        (COUNTS, {"n": [1, 2**64 - 1]}, "holds 18446744073709551615, which is no int64"),
        (COUNTS, {"n": [2**53 + 1, 1.5]}, "holds '1.5', which is not a finite int64"),
        (COUNTS, {"n": [2**53 + 1, float("nan")]}, "holds 'nan', which is not a finite int64"),
        (COUNTS, {"n": [1, 2**70]}, "holds 1180591620717411303424, which is no int64"),
        (TEXTS, {"t": [["a", 1]]}, "holds '1' where string belongs"),
        (TEXTS, {"t": [["a"], ["a", "b"]]}, "has shape"),
        (BOTH, {"x": [[1, 2]], "n": [1, 2]}, "differ in their number of rows: x 1, n 2"),
        (PAIR, {"x": np.zeros((0, 2), np.float32)}, "no rows; send at least one"),
    ],
)
def test_anything_else_is_refused_by_name_value_and_rule(one: Manifest, inputs: Any, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        read(one, **inputs)


def test_rows_mean_nothing_where_the_graph_has_none() -> None:
    one = manifest(("x", "float32", ("rows", 2)), ("k", "int64", ()))

    feeds, rows = tensors_of(one, {"x": [[1, 2], [3, 4]], "k": 7}, "whole")

    assert rows == 1
    assert feeds["k"].shape == ()


def test_a_long_text_among_numbers_takes_no_more_than_itself() -> None:
    rows = [*[[1, 2]] * 20_000, [3, "a" * 20_000]]  # as texts each as long as the longest: 3.2 GB

    tracemalloc.start()
    try:
        with pytest.raises(BadInput, match="where float32 belongs"):
            read(PAIR, x=rows)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


SENT: list[Any] = [
    [[1, 2], [3, 4]],
    [[1.5, 2], [3, 4]],
    [[1, 2], [0.5, 4]],
    [[1, 2**53 + 1], [0.5, 4]],
    [[2**53 + 1, 2], [3, 4]],
    [[2**63, 2], [3, -4]],
    [[2**70, 2], [3, 4]],
    [[1e300, 2.0], [3.0, 4.0]],
    [[True, 2], [3, 4]],
    [[1, None], [3, 4]],
    [["1", 2], [3, 4]],
    [[1, 2], [3]],
    [[1, 2], 3],
    [[1, 2]],
    [[]],
    [],
    3,
    {"a": 1},
]


def made(dtype: str, value: Any) -> Any:
    """The tensor that a value becomes, or the words that refuse it."""
    spec = TensorSpec.model_validate({"name": "x", "dtype": dtype, "shape": ("rows", 2)})
    try:
        found = tensor_of(spec, value)
    except BadInput as error:
        return str(error)
    return (found.dtype, found.tolist())


@pytest.mark.parametrize("at_once", [1, 1 << 16])
@pytest.mark.parametrize("value", SENT, ids=str)
def test_lists_that_were_packed_become_the_same_tensor_or_error(
    value: Any, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensors, "PACKED_AT_ONCE", at_once)

    for dtype in ("float32", "float64", "int64", "uint8", "bool"):
        assert made(dtype, packed(value)) == made(dtype, value)
    assert type(made("string", packed(value))) is type(made("string", value))


def test_lists_of_numbers_are_packed() -> None:
    kinds = [one.dtype for one in map(packed, SENT[:3]) if isinstance(one, np.ndarray)]
    assert kinds == [np.int64, np.float64, np.float64]
    assert all(packed(value) is value for value in (SENT[3], *SENT[6:13]) if value is not SENT[7])
