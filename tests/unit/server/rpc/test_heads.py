"""What stands before the only tensor of a request is recognised, and nothing else is."""

from typing import Any

import pytest

from server.rpc.heads import Head, Heads
from server.rpc.messages import message, parsed
from server.rpc.requests import infer_of

RAW = b"12345678"


def request(**fields: Any) -> Any:
    made = message("ModelInferRequest")(**{"model_name": "m", "raw_input_contents": [RAW], **fields})
    made.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    return made


def met(data: bytes) -> Head | None:
    heads = Heads()
    asked = parsed("ModelInferRequest", data)
    heads.meet(data, asked, infer_of(asked))
    return heads.of(data)


def test_the_bytes_before_the_tensor_are_known_again() -> None:
    data = request().SerializeToString()
    heads = Heads()
    heads.meet(data, request(), infer_of(request()))
    other = request(raw_input_contents=[b"abcdefgh"]).SerializeToString()

    head = heads.of(other)

    assert head is not None
    assert head.row(other) == b"abcdefgh"
    assert heads.of(request(model_name="n").SerializeToString()) is None
    assert heads.of(data + b"\x1a\x01a") is None


@pytest.mark.parametrize("fields", [{"id": "7"}, {"parameters": {"priority": {"int64_param": 1}}}])
def test_a_request_that_says_more_is_read_each_time(fields: dict[str, Any]) -> None:
    assert met(request(**fields).SerializeToString()) is None


def test_a_request_of_several_rows_is_read_each_time() -> None:
    made = request(raw_input_contents=[RAW * 2])
    made.inputs[0].shape[:] = [2, 2]

    assert met(made.SerializeToString()) is None


@pytest.mark.parametrize(
    "after", [b"\x12\x011", b"\xa2\x06\x0a\x3a\x08" + RAW]
)  # a version; a field nobody knows, in which the tensor seems to follow
def test_a_tensor_that_is_not_last_is_read_each_time(after: bytes) -> None:
    assert met(request().SerializeToString() + after) is None
