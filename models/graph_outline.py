"""The outline of an ONNX file: the file without the bytes of its weights, for whoever reads its signature alone.

Reading a file with the `onnx` library holds every thread of the process up: 180 ms for 95 MiB of
weights, measured. An outline is a thousandth of that.

ModelProto.graph = 7, GraphProto.initializer = 5, TensorProto.raw_data = 9.
Source: onnx.proto, https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
VARINT_BYTES = 10
KEPT_BYTES = 1024  # of a weight; less is not worth a cut
# That are walked through, a microsecond or two each; the library reads what has more as it is.
FIELDS_LIMIT = 1 << 17

Rewrite = Callable[[memoryview], bytes]


class Malformed(Exception):
    """Bytes that are no message, or one of too many fields."""


class Walk:
    """How many fields of a file may still be walked through."""

    def __init__(self) -> None:
        self._left = FIELDS_LIMIT

    def step(self) -> None:
        """Take one field.

        Raises: Malformed, it is one too many.
        """
        self._left -= 1
        if self._left < 0:
            raise Malformed


def outline(data: bytes) -> bytes:
    """Return an ONNX file without the bytes of its large weights; one that is no message as it is."""
    walk = Walk()
    try:
        return rewritten(walk, {GRAPH: partial(graph, walk)}, memoryview(data))
    except Malformed:
        return data


def graph(walk: Walk, message: memoryview) -> bytes:
    """Return a graph without the bytes of its large weights.

    Raises: Malformed.
    """
    return rewritten(walk, {INITIALIZER: partial(weight, walk)}, message)


def weight(walk: Walk, message: memoryview) -> bytes:
    """Return a weight without its bytes, where they are many.

    Raises: Malformed.
    """
    return b"".join(
        message[start:end]
        for number, start, value, end in fields(walk, message)
        if number != RAW_DATA or end - value <= KEPT_BYTES
    )


def rewritten(walk: Walk, rewrites: Mapping[int, Rewrite], message: memoryview) -> bytes:
    """Return a message with some of its messages rewritten, in their places; everything else as it is.

    Raises: Malformed.
    """
    parts: list[bytes | memoryview] = []
    for number, start, value, end in fields(walk, message):
        rewrite = rewrites.get(number)
        if rewrite is None or end - value <= KEPT_BYTES:
            parts.append(message[start:end])
            continue
        inner = rewrite(message[value:end])
        parts += [as_varint(number << 3 | BYTES), as_varint(len(inner)), inner]
    return b"".join(parts)


def fields(walk: Walk, message: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Return number, start, start of the value and end of each field of a message.

    The value of one that has no length of its own begins where it ends.

    Raises: Malformed.
    """
    at = 0
    while at < len(message):
        walk.step()
        start = at
        tag, at = varint(message, at)
        kind = tag & 7
        value, at = after(message, at, kind)
        if at > len(message):
            raise Malformed
        yield tag >> 3, start, value, at


def after(message: memoryview, at: int, kind: int) -> tuple[int, int]:
    """Return where the value of a field begins, and where it ends.

    Raises: Malformed.
    """
    if kind == BYTES:
        size, at = varint(message, at)
        return at, at + size
    if kind == VARINT:
        _, at = varint(message, at)
        return at, at
    if kind not in (EIGHT, FOUR):
        raise Malformed
    at += 8 if kind == EIGHT else 4
    return at, at


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a whole number and where it ends.

    Raises: Malformed.
    """
    number = 0
    for place, byte in enumerate(message[at : at + VARINT_BYTES]):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return number, at + place + 1
    raise Malformed


def as_varint(number: int) -> bytes:
    """Return a whole number as a message has it."""
    parts = bytearray()
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*parts, number))
