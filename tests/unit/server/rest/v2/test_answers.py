"""Answers of inference: JSON for programs that read it, bytes for those that ask, nothing lost in either."""

import json
from typing import Any

import numpy as np
import pytest

from models.tensors import numpy_dtype
from server.open_inference.datatypes import DTYPES
from server.open_inference.infer import Inferred, TensorTold
from server.open_inference.tensors import of_bytes, of_list
from server.rest.v2.answers import written


def answer(*outputs: TensorTold, binary: bool = False, **more: Any) -> tuple[dict[str, Any], bytes]:
    found = written(Inferred("m", 3, more.pop("id", ""), outputs, **more), binary)
    at = len(found.body) if found.json_bytes is None else found.json_bytes
    return json.loads(found.body[:at]), found.body[at:]


def values(datatype: str) -> Any:
    if datatype == "BYTES":
        return np.array([["a", ""], ["ë", "x" * 300]], object)
    return np.array([[0, 1], [1, 0]], numpy_dtype(DTYPES[datatype]))


@pytest.mark.parametrize("datatype", DTYPES)
def test_every_datatype_comes_back_from_json_as_it_was(datatype: str) -> None:
    tensor = values(datatype)

    facts, rest = answer(TensorTold("y", datatype, tensor))

    told = facts["outputs"][0]
    assert (told["name"], told["datatype"], told["shape"], rest) == ("y", datatype, [2, 2], b"")
    back = of_list("y", DTYPES[datatype], (2, 2), told["data"])
    assert back.dtype == tensor.dtype
    assert back.tolist() == tensor.tolist()


@pytest.mark.parametrize("datatype", DTYPES)
def test_every_datatype_comes_back_from_bytes_as_it_was(datatype: str) -> None:
    tensor = values(datatype)

    facts, rest = answer(TensorTold("y", datatype, tensor), binary=True)

    assert "data" not in facts["outputs"][0]
    assert facts["outputs"][0]["parameters"] == {"binary_data_size": len(rest)}
    assert of_bytes("y", DTYPES[datatype], (2, 2), rest).tolist() == tensor.tolist()


def test_an_output_says_for_itself_how_it_comes() -> None:
    one = TensorTold("a", "INT8", np.array([1], np.int8), binary=True)
    two = TensorTold("b", "INT8", np.array([2], np.int8), binary=False)
    three = TensorTold("c", "INT8", np.array([3], np.int8))

    facts, rest = answer(one, two, three)
    assert ([("data" in each) for each in facts["outputs"]], rest) == ([False, True, True], b"\1")
    facts, rest = answer(one, two, three, binary=True)
    assert ([("data" in each) for each in facts["outputs"]], rest) == ([False, True, False], b"\1\3")


def test_an_answer_names_its_version_and_repeats_the_id() -> None:
    facts, _ = answer(id="17", parameters={"filled": "age"})

    assert facts == {
        "model_name": "m",
        "model_version": "3",
        "id": "17",
        "parameters": {"filled": "age"},
        "outputs": [],
    }
    assert answer()[0] == {"model_name": "m", "model_version": "3", "outputs": []}


def test_what_is_not_finite_is_null_in_json_and_itself_in_bytes() -> None:
    tensor = np.array([np.nan, np.inf, -np.inf, 1], np.float32)

    facts, _ = answer(TensorTold("y", "FP32", tensor))
    _, rest = answer(TensorTold("y", "FP32", tensor), binary=True)

    assert facts["outputs"][0]["data"] == [None, None, None, 1]
    assert rest == tensor.tobytes()


def test_an_output_that_does_not_lie_in_one_piece_is_told_row_by_row() -> None:
    tensor = np.arange(6, dtype=np.int32).reshape(2, 3).T

    facts, _ = answer(TensorTold("y", "INT32", tensor))
    _, rest = answer(TensorTold("y", "INT32", tensor), binary=True)

    assert facts["outputs"][0]["data"] == [0, 3, 1, 4, 2, 5]
    assert np.frombuffer(rest, np.int32).tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0), ()])
@pytest.mark.parametrize("datatype", ["FP32", "BOOL", "BYTES"])
def test_an_output_of_no_axis_or_no_row_has_its_shape(shape: tuple[int, ...], datatype: str) -> None:
    tensor = np.full(shape, "" if datatype == "BYTES" else 0, numpy_dtype(DTYPES[datatype]))

    facts, _ = answer(TensorTold("y", datatype, tensor))
    told, rest = answer(TensorTold("y", datatype, tensor), binary=True)

    assert facts["outputs"][0]["shape"] == list(shape)
    assert len(facts["outputs"][0]["data"]) == tensor.size
    assert told["outputs"][0]["parameters"] == {"binary_data_size": len(rest)}
