"""Heads: what stands before the only tensor of a request, read once, and recognised from call to call.

Programs write the same request again and again: model, names, types and shapes stay, the bytes of the tensor
change, and they come last. A message that begins with the bytes of one that was read before, and is as long,
says the same about another tensor. Why so: docs/adr/0018-grpc-over-our-own-http2.md
"""

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from server.open_inference.infer import Infer
from server.rpc.messages import message

KEPT = 1024  # lengths of messages; a program has few
LONGEST_HEAD_BYTES = 4096
ROW_BYTES = 1 << 16  # a larger row costs more than what is saved


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The beginning of a message, up to the bytes of its only tensor, which has one row; what the rest means."""

    beginning: bytes
    request: Infer

    def row(self, data: bytes) -> bytes:
        """Return the bytes of the tensor."""
        return data[len(self.beginning) :]


class Heads:
    """The last head of each length of a message."""

    def __init__(self) -> None:
        self._known: dict[int, Head] = {}

    def of(self, data: bytes) -> Head | None:
        """Return the head that a message begins with, None where it is not known."""
        head = self._known.get(len(data))
        return head if head is not None and data.startswith(head.beginning) else None

    def meet(self, data: bytes, asked: Any, request: Infer) -> None:
        """Keep the head of a message that was read and is right, where it is one that can be kept."""
        if not is_plain(asked, request):
            return
        beginning = beginning_of(data, asked)
        if beginning is None or len(beginning) > LONGEST_HEAD_BYTES:
            return
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[len(data)] = Head(beginning, request)


def is_plain(asked: Any, request: Infer) -> bool:
    """Whether a request is one row of one raw tensor of numbers, without an id or parameters."""
    if len(asked.raw_input_contents) != 1 or request.id or request.parameters:
        return False
    tensor = request.inputs[0].tensor
    return (
        tensor.ndim > 0
        and len(tensor) == 1
        and tensor.dtype.kind in "iuf"
        and 0 < tensor.nbytes <= ROW_BYTES
        and not any(one.classes for one in request.outputs)
    )


def beginning_of(data: bytes, asked: Any) -> bytes | None:
    """Return what stands before the tensor of a message, None where something follows it.

    What is before the tensor's own tag and length must be a message that says all the rest.
    """
    (raw,) = asked.raw_input_contents
    kind = message("ModelInferRequest")
    tagged = kind(raw_input_contents=[raw]).SerializeToString()
    if not data.endswith(tagged):
        return None
    rest = kind()
    rest.CopyFrom(asked)
    del rest.raw_input_contents[:]
    try:
        before = kind.FromString(data[: len(data) - len(tagged)])
    except DecodeError:
        return None
    return data[: len(data) - len(raw)] if before == rest else None
