"""An answer of the protocol -> a ModelInferResponse, its tensors always raw, as Triton's are.

Tensors are the last field, so a message is what stands before them, and then each with its tag and length.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.manifest import Manifest
from models.tensors import Tensor
from server.inference.asking import Answer
from server.open_inference.datatypes import DATATYPES
from server.open_inference.infer import Infer, Inferred, Parameter, TensorTold
from server.open_inference.tensors import to_bytes
from server.rpc.messages import message

RAW_TAG = b"\x32"  # field 6, raw_output_contents, of bytes
ANSWER_TAG = b"\x12"  # field 2 of a ModelStreamInferResponse, infer_response
TEXTS = "OSU"
KEPT = 1024  # beginnings of answers; there is one for each version and choice of outputs
Beginning = tuple[str, int, tuple[str, ...]]


def written(answer: Inferred) -> bytes:
    """Return the message of an answer; tensors are copied once."""
    pieces: list[Any] = [beginning_of(answer).SerializeToString()]
    for one in answer.outputs:
        data = raw(one.tensor)
        pieces += RAW_TAG, varint(len(data)), data
    return b"".join(pieces)


def streamed(answer: Inferred) -> bytes:
    """Return the message of a stream that an answer is."""
    data = written(answer)
    return b"".join((ANSWER_TAG, varint(len(data)), data))


def raw(tensor: Tensor) -> Any:
    """Return the bytes of a tensor; numbers share its memory."""
    if tensor.dtype.kind in TEXTS:
        return to_bytes(tensor)
    return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)


def beginning_of(answer: Inferred) -> Any:
    """Return the message of an answer without its tensors."""
    response = message("ModelInferResponse")(
        model_name=answer.model, model_version=str(answer.version), id=answer.id
    )
    for name, value in answer.parameters.items():
        set_parameter(response.parameters[name], value)
    for one in answer.outputs:
        response.outputs.add(name=one.name, datatype=one.datatype, shape=one.tensor.shape)
    return response


def set_parameter(parameter: Any, value: Parameter) -> None:
    """Give a parameter its value."""
    match value:
        case bool():
            parameter.bool_param = value
        case int():
            parameter.int64_param = value
        case float():
            parameter.double_param = value
        case _:
            parameter.string_param = value


def varint(value: int) -> bytes:
    """Return a length as protobuf writes it: seven bits a byte, the lowest first."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


class Shapes:
    """Writes the answers of many callers with one row each: what is the same in all of them is written once."""

    def __init__(self) -> None:
        self._beginnings: dict[tuple[Any, ...], bytes] = {}

    def rows(self, request: Infer, answer: Answer, manifest: Manifest) -> list[bytes] | None:
        """Return a message for each row, None where an output has not as many rows."""
        outputs = answer.outputs or {}
        names = [one.name for one in request.outputs] or [spec.name for spec in manifest.outputs]
        tensors = [outputs[name] for name in names]
        count = len(answer.rows)
        if any(tensor.ndim == 0 or len(tensor) != count or tensor.dtype.kind == "O" for tensor in tensors):
            return None
        beginning = self._beginning(answer, names, tensors, manifest)
        columns = [lengthened(tensor, count) for tensor in tensors]
        if len(columns) == 1:
            return [beginning + one for one in columns[0]]
        return [beginning + b"".join(parts) for parts in zip(*columns, strict=True)]

    def _beginning(
        self, answer: Answer, names: Sequence[str], tensors: Sequence[Tensor], manifest: Manifest
    ) -> bytes:
        """Return what stands before the tensors of a row."""
        shapes = tuple((tensor.dtype.char, tensor.shape[1:]) for tensor in tensors)
        key = (answer.model, answer.version, *names, *shapes)
        found = self._beginnings.get(key)
        if found is None:
            dtypes = {spec.name: DATATYPES[spec.dtype] for spec in manifest.outputs}
            told = [
                TensorTold(name, dtypes[name], tensor[:1])
                for name, tensor in zip(names, tensors, strict=True)
            ]
            found = beginning_of(Inferred(answer.model, answer.version, "", told)).SerializeToString()
            if len(self._beginnings) >= KEPT:
                self._beginnings.clear()
            self._beginnings[key] = found
        return found


def lengthened(tensor: Tensor, count: int) -> list[bytes]:
    """Return each row of a tensor after the tag and the length of its bytes."""
    data = np.ascontiguousarray(tensor).tobytes()
    size = len(data) // count
    lead = RAW_TAG + varint(size)
    return [lead + data[at : at + size] for at in range(0, len(data), size)] if size else [lead] * count
