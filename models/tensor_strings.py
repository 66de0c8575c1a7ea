"""Tensors as they lie in Redis: a string of raw numbers, then a trailer that says what they are; pure, no I/O.

    payload | dims, uint32 each | ndim, uint8 | dtype, uint8 | 6 bytes of MAGIC          little-endian, C order

The payload of STRING is texts with a NUL after each. A string without such a trailer is a FLOAT
tensor of one axis where its length allows. docs/redis-keys.md#tensors is the page for other programs.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple, cast

import numpy as np

from models.errors import shown
from models.tensors import Tensor

MAGIC = b"\x93TNSR\x01"
ITEM_BYTES = {
    "FLOAT": 4,
    "DOUBLE": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "UINT8": 1,
    "UINT16": 2,
    "BOOL": 1,
    "STRING": 0,  # each of its own length
}
DTYPES = tuple(ITEM_BYTES)
"""RedisAI's words for element types; a trailer holds the place in this order."""
CODES = {dtype: code for code, dtype in enumerate(DTYPES)}
NUMPY: dict[str, np.dtype[Any]] = {
    "FLOAT": np.dtype("<f4"),
    "DOUBLE": np.dtype("<f8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "BOOL": np.dtype(bool),
    "STRING": np.dtype(object),
}
WORDS = {dtype.newbyteorder("="): word for word, dtype in NUMPY.items()}
AXES_LIMIT = 64  # numpy's own
DIM_LIMIT = (1 << 32) - 1
ELEMENTS_LIMIT = 1 << 32  # axes of 0 counted as 1: numpy has no larger ones either
FIXED_BYTES = 2 + len(MAGIC)  # of a trailer without any dims
TRAILER_LIMIT_BYTES = 4 * AXES_LIMIT + FIXED_BYTES
POINTER = b'{"insitu_model":'  # begins the string that stands for a model
RAW_ITEM_BYTES = ITEM_BYTES["FLOAT"]
TRAILERS_KEPT = 1024


class StoredTensor(NamedTuple):
    """One tensor: its element type in RedisAI's word, its shape, and its bytes as they are stored.

    Numbers that were unpacked of a view are a view too, for whoever joins or reads them as a buffer; texts are bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes


@lru_cache(TRAILERS_KEPT)
def trailer_of(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return the trailer of tensors of a type and shape.

    Raises: ValueError, a shape that no tensor in Redis has.
    """
    if not storable(shape):
        raise ValueError(
            f"shape {shown(list(shape))} cannot be stored; a tensor has at most {AXES_LIMIT} axes "
            f"and {ELEMENTS_LIMIT} elements"
        )
    return struct.pack(f"<{len(shape)}IBB", *shape, len(shape), CODES[dtype]) + MAGIC


def storable(shape: Sequence[int]) -> bool:
    """Whether a tensor in Redis may have such a shape."""
    sane = len(shape) <= AXES_LIMIT and all(0 <= dim <= DIM_LIMIT for dim in shape)
    return sane and prod(max(dim, 1) for dim in shape) <= ELEMENTS_LIMIT


@lru_cache(TRAILERS_KEPT)
def described(trailer: bytes) -> tuple[str, tuple[int, ...], int] | None:
    """Return the type, the shape and the number of payload bytes that a trailer tells, None where it is none.

    Of STRING the number is that of its elements.
    """
    code = trailer[-7]
    shape = struct.unpack(f"<{(len(trailer) - FIXED_BYTES) // 4}I", trailer[:-FIXED_BYTES])
    if code >= len(DTYPES) or not storable(shape):
        return None
    return DTYPES[code], shape, prod(shape) * (ITEM_BYTES[DTYPES[code]] or 1)


def trailing(value: bytes | memoryview) -> bytes:
    """Return what would be the trailer of a string, b"" where it has none; whether it fits is another question."""
    if value[-6:] != MAGIC or len(value) < FIXED_BYTES:
        return b""
    size = 4 * value[-8] + FIXED_BYTES
    return bytes(value[-size:]) if size <= min(len(value), TRAILER_LIMIT_BYTES) else b""


def pack(tensor: StoredTensor) -> bytes:
    """Return the string that holds a tensor.

    Raises: ValueError, a shape that no trailer holds.
    """
    return b"".join((tensor.data, trailer_of(tensor.dtype, tensor.shape)))


def unpack(value: bytes | memoryview) -> StoredTensor | None:
    """Return the tensor that a string holds, None where it holds none."""
    tensor = trailed(value)
    if tensor is not None:
        return tensor
    count, rest = divmod(len(value), RAW_ITEM_BYTES)
    if rest or not count or bytes(value[: len(POINTER)]) == POINTER:
        return None
    return StoredTensor("FLOAT", (count,), cast(bytes, value))


def trailed(value: bytes | memoryview) -> StoredTensor | None:
    """Return the tensor of a string with a trailer that fits it, None where there is no such trailer."""
    trailer = trailing(value)
    told = described(trailer) if trailer else None
    if told is None:
        return None
    dtype, shape, size = told
    end = len(value) - len(trailer)
    if dtype == "STRING":
        data = bytes(value[:end])
        return StoredTensor(dtype, shape, data) if terminated(data, size) else None
    return StoredTensor(dtype, shape, cast(bytes, value[:end])) if size == end else None


def glimpsed(size: int, head: bytes, tail: bytes) -> tuple[str, tuple[int, ...]] | None:
    """Return type and shape of a tensor from the size of its string and both its ends; None where they are not enough.

    Of STRING they never are: its texts have to be counted. `head` is as long as POINTER, `tail` as the longest trailer.
    """
    trailer = trailing(tail)
    told = described(trailer) if trailer else None
    if told is not None and told[0] == "STRING":
        return None
    if told is not None and told[2] == size - len(trailer):
        return told[0], told[1]
    count, rest = divmod(size, RAW_ITEM_BYTES)
    return None if rest or not count or head.startswith(POINTER) else ("FLOAT", (count,))


def terminated(data: bytes, count: int) -> bool:
    """Whether bytes are so many texts with a NUL after each."""
    return data.count(b"\0") == count and (not data or data.endswith(b"\0"))


def numpy_of(dtype: str) -> "np.dtype[Any]":
    """Return the little-endian numpy type of an element type; texts are objects."""
    return NUMPY[dtype]


def array_of(tensor: StoredTensor) -> Tensor:
    """Return a tensor as numpy has it, numbers as a view of its bytes that cannot be written.

    Texts are objects of `str`; bytes that are no UTF-8 stay in them by surrogateescape.
    """
    if tensor.dtype == "STRING":
        texts = np.empty(prod(tensor.shape), object)
        texts[:] = [text.decode("utf-8", "surrogateescape") for text in tensor.data.split(b"\0")[:-1]]
        return texts.reshape(tensor.shape)
    if tensor.dtype == "BOOL":  # a byte that is neither 0 nor 1 is no bool to numpy
        return np.frombuffer(tensor.data, np.uint8).astype(bool).reshape(tensor.shape)
    return np.frombuffer(tensor.data, NUMPY[tensor.dtype]).reshape(tensor.shape)


def of_array(array: Tensor) -> StoredTensor:
    """Return the tensor that an array is.

    Raises: ValueError, an element type that RedisAI has not, a text with a NUL in it.
    """
    if array.dtype.kind in "OSU":
        return StoredTensor("STRING", array.shape, of_texts(array.reshape(-1).tolist()))
    word = WORDS.get(array.dtype.newbyteorder("="))
    if word is None:
        raise ValueError(f"RedisAI has no tensors of {array.dtype}; cast to one of {', '.join(DTYPES)}")
    stored = array if array.dtype == NUMPY[word] else array.astype(NUMPY[word])
    return StoredTensor(word, array.shape, stored.tobytes())


def of_texts(texts: list[str | bytes]) -> bytes:
    """Return texts with a NUL after each.

    Raises: ValueError.
    """
    each = [text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text for text in texts]
    data = b"".join([text + b"\0" for text in each])
    if data.count(b"\0") != len(each):
        raise ValueError("a text of a STRING tensor holds a NUL, which ends it; take it out")
    return data
