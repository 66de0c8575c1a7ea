"""Requests of the Open Inference Protocol: the bytes are what the protocol says, and answers are read back."""

import json
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from benchmarks.faults import BenchmarkFailed
from benchmarks.infer_requests import JSON_LENGTH, binary, message, read_answer, read_message, text

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)
STRING, BYTES, INT64, MESSAGE = 9, 12, 3, 11


def described() -> Any:
    """The two messages by field number, in a pool of their own."""
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    tensor = (("name", 1, STRING, False), ("datatype", 2, STRING, False), ("shape", 3, INT64, True))
    asked = (
        ("model_name", 1, STRING, False),
        ("inputs", 5, MESSAGE, True),
        ("raw_input_contents", 7, BYTES, True),
    )
    answered = (
        *(("model_name", 1, STRING, False), ("flag", 2, INT64, False)),
        *(("outputs", 5, MESSAGE, True), ("raw_output_contents", 6, BYTES, True)),
    )
    for name, fields in (("Tensor", tensor), ("Request", asked), ("Response", answered)):
        one = file.message_type.add(name=name)
        for field, number, kind, many in fields:
            added = one.field.add(name=field, number=number, type=kind, label=3 if many else 1)
            if kind == MESSAGE:
                added.type_name = ".t.Tensor"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # type: ignore[no-untyped-call, unused-ignore]  # untyped where protobuf has no stubs
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}"))
        for name in ("Request", "Response")
    }


def test_a_binary_body_is_a_json_head_and_the_bytes_of_the_tensor() -> None:
    body, headers = binary(ROWS)

    length = int(headers[JSON_LENGTH])
    head = json.loads(body[:length])
    assert head["inputs"] == [
        {"name": "x", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": 24}}
    ]
    assert head["parameters"] == {"binary_data_output": True}
    assert body[length:] == ROWS.tobytes()


def test_bodies_of_one_shape_have_one_length() -> None:
    assert len(binary(ROWS)[0]) == len(binary(ROWS * 1e9)[0])


def test_a_json_body_has_the_numbers_flat() -> None:
    body, _ = text(ROWS)

    assert json.loads(body)["inputs"][0]["data"] == [0, 1, 2, 3, 4, 5]


def test_answers_are_read_in_binary_and_in_json() -> None:
    head = json.dumps({"outputs": [{"name": "value", "parameters": {"binary_data_size": 24}}]}).encode()
    told = json.dumps({"outputs": [{"name": "value", "data": [[0.5, 1.5]]}]}).encode()

    assert read_answer(head + ROWS.tobytes(), {JSON_LENGTH: str(len(head))}).tolist() == [0, 1, 2, 3, 4, 5]
    assert read_answer(told, {}).tolist() == [0.5, 1.5]


def test_an_answer_with_several_outputs_is_refused() -> None:
    with pytest.raises(BenchmarkFailed, match="one output was expected, 2 came"):
        read_answer(b'{"outputs": [{"data": [1]}, {"data": [2]}]}', {})


def test_a_message_is_read_by_protobuf() -> None:
    wide = np.zeros((300, 3), np.float32)

    read = described()["Request"].FromString(message("m" * 200, wide))

    assert read.model_name == "m" * 200
    assert (read.inputs[0].name, read.inputs[0].datatype, list(read.inputs[0].shape)) == (
        "x",
        "FP32",
        [300, 3],
    )
    assert read.raw_input_contents == [wide.tobytes()]


def test_a_message_of_protobuf_is_read() -> None:
    answer = described()["Response"](model_name="m", flag=300, raw_output_contents=[ROWS.tobytes()])

    assert read_message(answer.SerializeToString()).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("answer", [b"", b"\x0a\x01m", b"\x07", b"\x0a"])
def test_an_answer_without_a_tensor_is_refused(answer: bytes) -> None:
    with pytest.raises(BenchmarkFailed):
        read_message(answer)
