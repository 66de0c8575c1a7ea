"""The bytes of a tensor: given whole (BLOB), one by one (VALUES) or not at all, and answered one by one; pure, no I/O.

Nothing is made before its size is known to be one that a string of Redis holds.
"""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from models.tensor_strings import FIXED_BYTES, ITEM_BYTES, NUMPY, StoredTensor, array_of, storable, terminated
from server.resp.refusals import Refused, refused
from server.resp.wire.replies import Encoder, bulk, integer

STRING_LIMIT_BYTES = 1 << 29  # Redis' own, proto-max-bulk-len
PART_ELEMENTS = 1024  # that are written before others have their turn
LEAST_BYTES = 4  # of an element in a reply, :1 and the end of its line
NUMBER = b"0123456789+-.eE"


def wrong_shape() -> Refused:
    """Return the error of dimensions that no tensor has."""
    return refused("invalid or negative value found in tensor shape")


def of_blob(dtype: str, shape: tuple[int, ...], given: Sequence[bytes]) -> bytes:
    """Return the bytes that a BLOB gives, as many and such as type and shape want.

    Raises: Refused.
    """
    if len(given) != 1:
        raise refused("a single binary string should come after the BLOB argument in 'AI.TENSORSET' command")
    data, count = given[0], prod(shape)
    if dtype == "STRING":
        if not terminated(data, count):
            raise refused("Number of string elements in data blob does not match tensor length")
    elif len(data) != count * ITEM_BYTES[dtype]:
        raise refused("data length does not match tensor shape and type")
    elif dtype == "BOOL" and data.translate(None, b"\0\1"):
        raise refused("BOOL tensor elements must be 0 or 1")
    return bounded(shape, data)


def bounded(shape: tuple[int, ...], data: bytes) -> bytes:
    """Return the bytes of a tensor that a string of Redis can hold.

    Raises: Refused.
    """
    if not storable(shape):
        raise wrong_shape()
    if len(data) + FIXED_BYTES + 4 * len(shape) > STRING_LIMIT_BYTES:
        raise too_large(len(data))
    return data


def zeros(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return the bytes of a tensor of zeros or of empty texts; they are counted before they are made.

    Raises: Refused.
    """
    if not storable(shape):
        raise wrong_shape()
    size = prod(shape) * (ITEM_BYTES[dtype] or 1)
    if size > STRING_LIMIT_BYTES - FIXED_BYTES - 4 * len(shape):
        raise too_large(size)
    return bytes(size)


def too_large(size: int) -> Refused:
    """Return the error of a tensor that no string of Redis can hold."""
    return refused(f"tensor of {size} bytes is too large, a string of Redis holds {STRING_LIMIT_BYTES}")


def of_words(dtype: str, shape: tuple[int, ...], words: Sequence[bytes]) -> bytes:
    """Return the bytes of a tensor whose elements are given one by one, row by row.

    Raises: Refused, the first fault in RedisAI's words.
    """
    if len(words) != prod(shape):
        raise refused("wrong number of values was given in 'AI.TENSORSET' command")
    if dtype == "STRING":
        return bounded(shape, of_texts(words))
    return bounded(shape, of_floats(dtype, words) if NUMPY[dtype].kind == "f" else of_integers(dtype, words))


def of_texts(words: Sequence[bytes]) -> bytes:
    """Return texts with a NUL after each; one that ends in a NUL already has it.

    Raises: Refused.
    """
    data = b"".join([word if word.endswith(b"\0") else word + b"\0" for word in words])
    if data.count(b"\0") != len(words):
        raise refused("C-string value contains null character")
    return data


def of_floats(dtype: str, words: Sequence[bytes]) -> bytes:
    """Return decimal numbers as floats; what is not finite, or not once it is rounded to the type, is refused.

    Raises: Refused.
    """
    if b"".join(words).translate(None, NUMBER):  # Python also reads nan, inf, 1_0 and spaces
        raise wrong_value()
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError:
        raise wrong_value() from None
    with np.errstate(over="ignore"):
        stored = numbers.astype(NUMPY[dtype])
    if not np.isfinite(stored).all():
        raise wrong_value()
    return stored.tobytes()


def of_integers(dtype: str, words: Sequence[bytes]) -> bytes:
    """Return whole numbers, written as Redis writes them, as integers or truth values.

    Raises: Refused.
    """
    try:
        numbers = [int(word) for word in words]
    except ValueError:
        raise wrong_value() from None
    stored = np.dtype("u1") if dtype == "BOOL" else NUMPY[dtype]
    least, most = (0, 1) if dtype == "BOOL" else (np.iinfo(stored).min, np.iinfo(stored).max)
    fits = least <= min(numbers) and max(numbers) <= most
    if not fits or b" ".join(words) != b" ".join([b"%d" % number for number in numbers]):
        raise wrong_value()
    return np.array(numbers, stored).tobytes()


def wrong_value() -> Refused:
    """Return the error of a value that is no number of the type."""
    return refused("invalid value")


def values_parts(wire: Encoder, tensor: StoredTensor) -> Iterator[bytes]:
    """Yield every element, in row-major order, as one flat array, in parts that take less than a millisecond each.

    Raises: Refused, they are so many that no reply has room for them.
    """
    count = prod(tensor.shape)
    if count * LEAST_BYTES > STRING_LIMIT_BYTES:
        raise too_many_values()
    written: Callable[[Any], bytes]
    parts: Iterator[list[Any]]
    if tensor.dtype == "STRING":
        parts, written = texts_in_parts(tensor.data), bulk
    else:
        elements = array_of(tensor).reshape(-1)
        parts = (elements[at : at + PART_ELEMENTS].tolist() for at in range(0, count, PART_ELEMENTS))
        written = wire.double if NUMPY[tensor.dtype].kind == "f" else integer
    head = b"*%d\r\n" % count
    for part in parts:
        yield head + b"".join(map(written, part))
        head = b""
    if head:
        yield head


def texts_in_parts(data: bytes) -> Iterator[list[bytes]]:
    """Yield texts that end in a NUL each, some at a time."""
    at = 0
    while at < len(data):
        part: list[bytes] = []
        while at < len(data) and len(part) < PART_ELEMENTS:
            end = data.index(b"\0", at)
            part.append(data[at:end])
            at = end + 1
        yield part


def too_many_values() -> Refused:
    """Return the error of elements that no reply has room for, one by one."""
    return refused(f"the values of this tensor take more than {STRING_LIMIT_BYTES} bytes; get it as BLOB")
