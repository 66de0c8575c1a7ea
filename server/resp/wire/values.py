"""Values of Python as replies: what an answer says, whatever it is made of."""

from collections.abc import Mapping
from functools import lru_cache
from math import isfinite
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from server.resp.wire.replies import RESP2, Encoder, array, bulk, integer

LARGEST = 1 << 63
LENGTHS = [b"$%d\r\n" % size for size in range(32)]  # no double has more characters


def encoded(wire: Encoder, value: Any) -> bytes:
    """Return a value as a reply: texts, numbers, truth values, None, lists and mappings of these."""
    match value:
        case str():
            return bulk(value.encode("utf-8", "surrogateescape"))
        case bytes():
            return bulk(value)
        case Mapping():
            return wire.map([(encoded(wire, name), encoded(wire, one)) for name, one in value.items()])
        case list() | tuple():
            return array([encoded(wire, one) for one in value])
    return single(wire, value)


def single(wire: Encoder, value: Any) -> bytes:
    """Return None, a truth value, or a number of any type."""
    match value:
        case None:
            return wire.null
        case bool():
            return truth(wire, value)
        case int():
            return whole(wire, value)
    return number(wire, float(value))


def whole(wire: Encoder, value: int) -> bytes:
    """Return a whole number; one of more than 64 bits with its sign is a text in RESP2."""
    if -LARGEST <= value < LARGEST:
        return integer(value)
    return b"(%d\r\n" % value if wire.version > RESP2.version else bulk(str(value))


def truth(wire: Encoder, value: bool) -> bytes:
    """Return a truth value; RESP2 has 1 and 0 for it."""
    if wire.version == RESP2.version:
        return integer(int(value))
    return b"#t\r\n" if value else b"#f\r\n"


def number(wire: Encoder, value: float) -> bytes:
    """Return a double with the fewest digits that tell it from every other, as Redis writes them from 7.2 on."""
    if not isfinite(value):
        return wire.double(value)
    text = orjson.dumps(value)
    return b",%b\r\n" % text if wire.version > RESP2.version else LENGTHS[len(text)] + text + b"\r\n"


def numbers(
    wire: Encoder, values: NDArray[np.float64], before: bytes = b"", after: bytes = b""
) -> list[bytes]:
    """Return finite doubles as `number` does each, all written by one call, between what is always the same.

    Shape: values (n,), contiguous.
    """
    texts = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    end = b"\r\n" + after
    if wire.version > RESP2.version:
        begin = before + b","
        return [begin + text + end for text in texts]
    begins = lengths_after(before)
    return [begins[len(text)] + text + end for text in texts]


@lru_cache(64)
def lengths_after(before: bytes) -> list[bytes]:
    """Return the heads of numbers by their length, each after what comes before it."""
    return [before + one for one in LENGTHS]
