"""Bodies of inference requests: every form that clients send, and every way to get one wrong."""

import json
import tracemalloc
from functools import reduce
from typing import Any

import numpy as np
import pytest

from models.errors import InsituError
from models.manifest import Manifest
from models.tensors import TensorSpec
from server.open_inference.infer import Infer
from server.rest.v2.bodies import header_length, header_of, infer_of, raw_infer

X = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4]}
BLOB = {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
FOUR: Any = "four"
DEEP = reduce(lambda inner, _: [inner], range(900), FOUR)
EIGHT = np.array([1.5, -2], "<f4").tobytes()


def asked(data: Any, blob: bytes | None = None) -> Infer:
    text = json.dumps(data).encode()
    return infer_of("m", None, memoryview(text + (blob or b"")), None if blob is None else len(text))


def refusal(data: Any, blob: bytes | None = None) -> str:
    with pytest.raises(InsituError) as caught:
        asked(data, blob)
    return str(caught.value)


def test_values_are_read_flat_and_nested() -> None:
    flat = asked({"inputs": [X]}).inputs[0].tensor
    nested = asked({"inputs": [X | {"data": [[1, 2], [3, 4]]}]}).inputs[0].tensor

    assert flat.tolist() == nested.tolist() == [[1, 2], [3, 4]]
    assert flat.dtype == nested.dtype == np.float32


@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
@pytest.mark.parametrize("shape", [[2, 0, 3], [2, 3, 0], [2, 0], [0, 3]])
def test_a_tensor_without_values_is_nested_as_far_as_lists_can_say(shape: list[int], datatype: str) -> None:
    given = X | {"shape": shape, "datatype": datatype}

    ways: list[Any] = [np.zeros(shape).tolist(), []]
    for data in ways:
        assert asked({"inputs": [given | {"data": data}]}).inputs[0].tensor.shape == tuple(shape)
    assert "nests its values as [3, 0]" in refusal({"inputs": [given | {"data": [[], [], []]}]})


def test_bytes_follow_the_json_in_the_order_of_the_inputs() -> None:
    more = {"name": "t", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6}}
    mixed = {"name": "i", "shape": [1], "datatype": "INT64", "data": [7]}

    inputs = asked({"inputs": [BLOB, mixed, more]}, EIGHT + b"\x02\0\0\0\xc3\xab").inputs

    assert [one.tensor.tolist() for one in inputs] == [[[1.5, -2.0]], [7], ["ë"]]


def test_a_tensor_shares_the_memory_of_the_body() -> None:
    text = json.dumps({"inputs": [BLOB]}).encode()
    body = bytearray(-len(text) % 64) + text + EIGHT
    tensor = infer_of("m", None, memoryview(body)[-len(text + EIGHT) :], len(text)).inputs[0].tensor

    body[-8:] = np.array([3, 4], "<f4").tobytes()

    assert tensor.tolist() == [[3, 4]]


def test_bytes_that_are_not_aligned_are_copied_to_where_they_are() -> None:
    text = json.dumps({"inputs": [BLOB]}).encode()
    for shift in range(8):
        body = bytearray(shift) + text + EIGHT
        tensor = infer_of("m", None, memoryview(body)[shift:], len(text)).inputs[0].tensor

        assert tensor.flags.aligned
        assert tensor.tolist() == [[1.5, -2.0]]


def test_what_stands_beside_the_inputs_is_read() -> None:
    request = asked(
        {
            "id": "17",
            "inputs": [X],
            "outputs": [
                {"name": "y", "parameters": {"binary_data": False}},
                {"name": "z", "parameters": {"classification": 3}},
            ],
            "parameters": {
                "timeout": 250,
                "priority": 2,
                "binary_data_output": True,
                "sequence_id": 4,
                "own": "x",
            },
            "unknown": 1,
        }
    )

    assert (request.id, request.timeout_us, request.priority) == ("17", 250, 2)
    assert [(one.name, one.classes, one.binary) for one in request.outputs] == [
        ("y", 0, False),
        ("z", 3, None),
    ]
    assert request.parameters["binary_data_output"] is True


def test_null_says_nothing() -> None:
    request = asked({"id": None, "parameters": None, "outputs": None, "inputs": [X | {"parameters": None}]})

    assert (request.id, request.parameters, list(request.outputs)) == ("", {}, [])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "the body is a list"),
        ({}, "no inputs"),
        ({"inputs": []}, "no inputs"),
        ({"inputs": 1}, "inputs is a number, 1"),
        ({"inputs": [1]}, r"inputs[0] is a number"),
        ({"inputs": [{}]}, "inputs[0] has no name"),
        ({"inputs": [X | {"name": 7}]}, "inputs[0] has no name"),
        ({"inputs": [X | {"datatype": "FP8"}]}, "'FP8'"),
        ({"inputs": [X | {"datatype": None}]}, "datatype 'None'"),
        ({"inputs": [X | {"shape": 4}]}, "has no shape"),
        ({"inputs": [X | {"shape": [2, -2]}]}, "dimension -2"),
        ({"inputs": [X | {"shape": [2.0, 2]}]}, "dimension 2.0"),
        ({"inputs": [X | {"shape": [True, 4]}]}, "dimension True"),
        ({"inputs": [X | {"shape": [2**40, 4]}]}, "more elements than any request"),
        ({"inputs": [X | {"shape": [2**63, 2**63]}]}, "more elements than any request"),
        ({"inputs": [X | {"shape": [2**70]}]}, "dimension 1.18"),
        ({"inputs": [X | {"shape": [1] * 65}]}, "65 axes"),
        ({"inputs": [X | {"shape": [2, 3]}]}, "has 4 values, shape [2, 3] takes 6"),
        ({"inputs": [X | {"data": None}]}, "has no data"),
        ({"inputs": [X | {"data": "1234"}]}, "has no data"),
        ({"inputs": [X | {"data": [1, 2, 3, "4"]}]}, "holds"),
        ({"inputs": [X | {"data": [[1, 2], [3, "four"]]}]}, "holds 'four', which is no finite float32"),
        ({"inputs": [X | {"data": [[1, 2], "four"]}]}, "holds 'four', which is no finite float32"),
        ({"inputs": [X | {"data": [[1, 2], 3, 4]}]}, "ragged"),
        ({"inputs": [X | {"data": [1, 2, 3, DEEP]}]}, "holds 'four', which is no finite float32"),
        ({"inputs": [X | {"data": [[1, 2], [3]]}]}, "ragged"),
        ({"inputs": [X | {"data": [[1, 2, 3, 4]]}]}, "nests its values as [1, 4]"),
        ({"inputs": [X | {"data": [1, 2, 3, 1e300]}]}, "no finite float32"),
        ({"inputs": [X | {"data": [1, 2, 3, None]}]}, "holds 'None'"),
        ({"inputs": [X | {"datatype": "INT8", "data": [1, 2, 3, 128]}]}, "'128'"),
        ({"inputs": [X | {"datatype": "UINT8", "data": [1, 2, 3, -1]}]}, "'-1'"),
        ({"inputs": [X | {"datatype": "INT64", "data": [1, 2, 3, 4.5]}]}, "'4.5'"),
        ({"inputs": [X | {"datatype": "BYTES", "data": ["a", "b", "c", 4]}]}, "holds '4'"),
        ({"inputs": [X | {"datatype": "BOOL", "data": [True, False, True, 2]}]}, "holds '2'"),
        ({"inputs": [X | {"data": [1, 2, 3, True]}]}, "holds 'True', which is no finite float32"),
        ({"inputs": [X | {"data": [[1.5, 2], [False, 4]]}]}, "holds 'False', which is no finite float32"),
        ({"inputs": [X | {"datatype": "INT32", "data": [True, 5, 6, 7]}]}, "holds 'True', which is no int32"),
        ({"inputs": [X | {"datatype": "INT64", "data": [[2, 3], [4, True]]}]}, "holds 'True', which is no int64"),
        ({"inputs": [X | {"datatype": "UINT64", "data": [True, 2**64 - 1, 3, 4]}]}, "holds 'True'"),
        ({"inputs": [X | {"parameters": []}]}, "the parameters of input 'x' are a list"),
        ({"inputs": [X | {"parameters": {"a": [1]}}]}, "parameter 'a' of input 'x' is a list"),
        ({"inputs": [X | {"parameters": {"shared_memory_region": "r"}}]}, "shared memory"),
        ({"inputs": [X | {"parameters": {"binary_data_size": 16}}]}, "data and binary_data_size"),
        ({"inputs": [X], "outputs": {"name": "y"}}, "outputs is an object"),
        ({"inputs": [X], "outputs": [{}]}, "outputs[0] has no name"),
        ({"inputs": [X], "outputs": [{"name": "y", "parameters": {"binary_data": "yes"}}]}, "'binary_data'"),
        ({"inputs": [X], "outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]}, "shared"),
        ({"inputs": [X], "outputs": [{"name": "y", "parameters": {"classification": -1}}]}, "'-1' classes"),
        ({"inputs": [X], "id": 7}, "id is a number"),
        ({"inputs": [X], "parameters": {"timeout": "soon"}}, "'timeout'"),
        ({"inputs": [X], "parameters": {"priority": -1}}, "'priority' is '-1'"),
        ({"inputs": [X], "parameters": {"priority": 11}}, "a whole number from 1, the most urgent, to 10"),
        ({"inputs": [X], "parameters": {"priority": 1.0}}, "'priority' is '1.0'"),
        ({"inputs": [X], "parameters": {"priority": True}}, "'priority' is 'True'"),
        ({"inputs": [X], "parameters": {"priority": "1"}}, "'priority' is '1'"),
        ({"inputs": [X], "parameters": {"binary_data_output": 1}}, "'binary_data_output'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_json_is_named(data: Any, told: str) -> None:
    assert told in refusal(data)


@pytest.mark.parametrize("datatype", ["FP32", "INT64", "BOOL"])
def test_a_long_text_among_numbers_takes_no_more_than_itself(datatype: str) -> None:
    data = [*[1] * 20_000, "a" * 20_000]  # as texts each as long as the longest: 1.6 GB
    text = json.dumps({"inputs": [X | {"datatype": datatype, "data": data}]}).encode()

    tracemalloc.start()
    try:
        with pytest.raises(InsituError, match="which is no"):
            infer_of("m", None, memoryview(text), None)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "blob", "told"),
    [
        ({"inputs": [BLOB]}, None, "8 bytes (binary_data_size), 0 follow"),
        ({"inputs": [BLOB]}, EIGHT[:7], "8 bytes (binary_data_size), 7 follow"),
        ({"inputs": [BLOB]}, EIGHT + b"!", "1 bytes follow the inputs"),
        ({"inputs": [X]}, EIGHT, "8 bytes follow the inputs"),
        ({"inputs": [BLOB | {"shape": [2, 2]}]}, EIGHT, "takes 16"),
        ({"inputs": [BLOB | {"shape": [2**20, 2**20]}]}, EIGHT, "takes"),
        ({"inputs": [BLOB | {"parameters": {"binary_data_size": -8}}]}, EIGHT, "'-8'"),
        ({"inputs": [BLOB | {"parameters": {"binary_data_size": 8.0}}]}, EIGHT, "'8.0'"),
        ({"inputs": [BLOB | {"parameters": {"binary_data_size": 2**60}}]}, EIGHT, "8 follow"),
        ({"inputs": [BLOB | {"datatype": "BYTES", "shape": [1]}]}, b"\xff\xff\xff\xffabcd", "not all there"),
        ({"inputs": [BLOB | {"datatype": "BYTES", "shape": [2]}]}, b"\x04\0\0\0abcd", "cut off"),
        ({"inputs": [BLOB | {"datatype": "BYTES", "shape": [3]}]}, EIGHT, "too few for 3 texts"),
        ({"inputs": [BLOB | {"datatype": "BYTES", "shape": [1]}]}, b"\x02\0\0\0abcd", "2 bytes after its 1 texts"),
        ({"inputs": [BLOB | {"datatype": "BYTES", "shape": [1]}]}, b"\x04\0\0\0ab\xffd", "no UTF-8"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_bytes_is_named(data: Any, blob: bytes | None, told: str) -> None:
    assert told in refusal(data, blob)


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"inputs": [nan]}', b"[" * 5000, b'{"inputs": [], "inputs": []}', b"\xff"]
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(InsituError, match="the body"):
        infer_of("m", None, memoryview(text), None)


@pytest.mark.parametrize("given", ["", "-1", "+3", "1e3", "0x10", "9" * 16, "٣", " 3"])
def test_a_header_that_is_no_length_is_refused(given: str) -> None:
    with pytest.raises(InsituError, match="Inference-Header-Content-Length"):
        header_length(given, 100)


def test_a_header_says_how_much_of_the_body_is_json() -> None:
    assert header_length(None, 100) is None
    assert header_length("100", 100) == 100
    assert header_length("0", 0) == 0
    with pytest.raises(InsituError, match="is 101, the body has 100"):
        header_length("101", 100)


def test_two_headers_that_differ_are_refused_by_name() -> None:
    assert header_of([]) is None
    assert header_of(["7", "7"]) == "7"
    with pytest.raises(InsituError, match="Inference-Header-Content-Length is given as 7, 8; send it once"):
        header_of(["7", "8", "7"])


def test_numbers_that_are_not_finite_are_themselves_where_the_type_has_them() -> None:
    tensor = (
        asked({"inputs": [X | {"data": [1, float("nan"), float("inf"), float("-inf")]}]}).inputs[0].tensor
    )

    assert repr(tensor.tolist()) == "[[1.0, nan], [inf, -inf]]"
    for datatype in ("INT32", "UINT64", "BOOL"):
        assert "holds 'nan'" in refusal(
            {"inputs": [X | {"datatype": datatype, "data": [1, 0, float("nan"), 1]}]}
        )
    assert "'1e+300', which is no finite" in refusal({"inputs": [X | {"data": [1, float("nan"), 1e300, 1]}]})


def one_input(dtype: str, *shape: int | str) -> Manifest:
    spec = TensorSpec(name="x", dtype=dtype, shape=shape)
    return Manifest(name="m", inputs=(spec,), outputs=(spec.model_copy(update={"name": "y"}),))


@pytest.mark.parametrize(
    ("shape", "size", "told"),
    [
        (("rows", 2), 8, (1, 2)),
        (("rows", 2), 24, (3, 2)),
        (("rows", "steps"), 24, (1, 6)),
        (("rows", "steps", 2), 24, (1, 3, 2)),
        ((1, 2), 8, (1, 2)),
        ((), 4, ()),
        (("rows",), 0, (0,)),
    ],
)
def test_bytes_alone_have_the_shape_of_the_only_input(
    shape: tuple[int | str, ...], size: int, told: tuple[int, ...]
) -> None:
    request = raw_infer("m", 1, bytes(size), one_input("float32", *shape))

    assert request.inputs[0].tensor.shape == told
    assert request.parameters == {"binary_data_output": True}


@pytest.mark.parametrize("shape", [("rows",), ("rows", 1), (), (1, 1, 1)])
def test_bytes_alone_are_one_text(shape: tuple[int | str, ...]) -> None:
    tensor = raw_infer("m", None, "ë".encode(), one_input("string", *shape)).inputs[0].tensor

    assert (tensor.shape, tensor.reshape(-1).tolist()) == (tuple(1 for _ in shape), ["ë"])


@pytest.mark.parametrize(
    ("shape", "size"), [((2, "a", "b"), 8), (("rows", 2), 7), ((3,), 8), (("a", "b", "c"), 8)]
)
def test_bytes_alone_that_fit_no_shape_are_refused(shape: tuple[int | str, ...], size: int) -> None:
    with pytest.raises(InsituError, match="input 'x'"):
        raw_infer("m", None, bytes(size), one_input("float32", *shape))


def test_bytes_alone_are_for_one_input() -> None:
    one = one_input("float32", "rows")
    two = one.model_copy(update={"inputs": (*one.inputs, one.inputs[0].model_copy(update={"name": "w"}))})

    with pytest.raises(InsituError, match="this one takes x, w"):
        raw_infer("m", None, b"1234", two)


def test_bytes_after_json_without_their_header_are_told_apart_from_bad_json() -> None:
    body = json.dumps({"inputs": [BLOB]}).encode() + EIGHT

    with pytest.raises(InsituError, match=r"is no JSON: .*; .* as header Inference-Header-Content-Length"):
        infer_of("m", None, memoryview(body), None)
    with pytest.raises(InsituError) as caught:
        infer_of("m", None, memoryview(b'{"inputs": ['), None)

    assert "header" not in str(caught.value)
