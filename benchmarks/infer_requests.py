"""Requests of the Open Inference Protocol as bytes, and their answers read back: HTTP in binary and JSON, gRPC.

Written by hand, so that one set of bytes goes to every server and no client library is measured with it.
Source: the protocol's binary tensor extension; ModelInferRequest and ModelInferResponse of its service in protobuf.
"""

import json
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.faults import BenchmarkFailed

INPUT, OUTPUT = "x", "value"
JSON_LENGTH = "Inference-Header-Content-Length"
METHOD = "/inference.GRPCInferenceService/ModelInfer"
# Fields of ModelInferRequest and of InferInputTensor.
MODEL, INPUTS, RAW_INPUTS = 1, 5, 7
NAME, DATATYPE, SHAPE = 1, 2, 3
RAW_OUTPUTS = 6  # field of ModelInferResponse
VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5

Floats = NDArray[np.float32]


def binary(tensor: Floats) -> tuple[bytes, dict[str, str]]:
    """Return body and headers as tritonclient sends them: a JSON head, then the tensor's little-endian bytes."""
    data = tensor.astype("<f4").tobytes()
    described = {
        "name": INPUT,
        "shape": list(tensor.shape),
        "datatype": "FP32",
        "parameters": {"binary_data_size": len(data)},
    }
    asked = {"inputs": [described], "parameters": {"binary_data_output": True}}
    head = json.dumps(asked, separators=(",", ":")).encode()
    return head + data, {"Content-Type": "application/octet-stream", JSON_LENGTH: str(len(head))}


def text(tensor: Floats) -> tuple[str, dict[str, str]]:
    """Return body and headers in JSON, for a server that reads no binary tensors."""
    data = [float(value) for value in tensor.ravel()]
    described = {"name": INPUT, "shape": list(tensor.shape), "datatype": "FP32", "data": data}
    return json.dumps({"inputs": [described]}, separators=(",", ":")), {"Content-Type": "application/json"}


def read_answer(body: bytes, headers: Mapping[str, str]) -> Floats:
    """Return the values of the one output, in row-major order; in JSON where the answer's head is all of it.

    Raises: BenchmarkFailed, more or fewer outputs than one.
    """
    length = int(headers.get(JSON_LENGTH, len(body)))
    outputs = json.loads(body[:length])["outputs"]
    if len(outputs) != 1:
        raise BenchmarkFailed(f"one output was expected, {len(outputs)} came: {body[:300]!r}")
    if "data" in outputs[0]:
        return np.array(outputs[0]["data"], np.float32).ravel()
    return np.frombuffer(body, "<f4", offset=length)


def message(model: str, tensor: Floats) -> bytes:
    """Return ModelInferRequest, the tensor in raw_input_contents."""
    shape = b"".join(varint(size) for size in tensor.shape)
    described = field(NAME, INPUT.encode()) + field(DATATYPE, b"FP32") + field(SHAPE, shape)
    return (
        field(MODEL, model.encode())
        + field(INPUTS, described)
        + field(RAW_INPUTS, tensor.astype("<f4").tobytes())
    )


def read_message(answer: bytes) -> Floats:
    """Return the values of the one output in ModelInferResponse.

    Raises: BenchmarkFailed, it has not exactly one in raw_output_contents.
    """
    raw = [value for number, value in fields(answer) if number == RAW_OUTPUTS]
    if len(raw) != 1:
        raise BenchmarkFailed(f"one raw output was expected, {len(raw)} came: {answer[:300]!r}")
    return np.frombuffer(raw[0], "<f4")


def field(number: int, value: bytes) -> bytes:
    """Return one length-delimited field."""
    return varint(number << 3 | DELIMITED) + varint(len(value)) + value


def varint(value: int) -> bytes:
    """Return a number of at least 0, seven bits a byte, the lowest first."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give every length-delimited field of a message with its number; numbers are passed over.

    Raises: BenchmarkFailed, the bytes are no message.
    """
    at = 0
    try:
        while at < len(data):
            tag, at = read_varint(data, at)
            kind = tag & 7
            if kind == VARINT:
                _, at = read_varint(data, at)
            elif kind in (FIXED64, FIXED32):
                at += 8 if kind == FIXED64 else 4
            elif kind == DELIMITED:
                length, at = read_varint(data, at)
                yield tag >> 3, data[at : at + length]
                at += length
            else:
                raise BenchmarkFailed(
                    f"no message of protobuf: wire type {kind} at byte {at} of {data[:300]!r}"
                )
    except IndexError as error:
        raise BenchmarkFailed(f"a message of protobuf ends too early: {data[:300]!r}") from error


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    value = shift = 0
    while data[at] > 0x7F:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1
