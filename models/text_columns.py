"""Texts of many values, read where they lie in one buffer; needs pyarrow. Pure, no I/O."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.replies import Places

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
ALTERNATELY = 0b01010101
SEARCHED = 4096  # values: among fewer, those that are no number are searched for one by one
ZERO_BYTES = 2  # of the longest zero that a JSON reader takes for an integer: -0


def numbers(reply: bytearray, starts: Places, ends: Places) -> NDArray[np.float64]:
    """Read values as decimal numbers; NaN for one that is none.

    Shape:  starts and ends (B, fields), where they lie, in rising order -> (B, fields).
    """
    try:
        result = cast(texts(reply, starts, ends), starts.shape)
    except pa.ArrowInvalid:
        if starts.size <= SEARCHED or len(starts) == 1:
            return plain_numbers(reply, starts, ends)
        half = len(starts) // 2
        parts = [numbers(reply, starts[part], ends[part]) for part in (slice(half), slice(half, None))]
        return np.concatenate(parts)
    result[(result == 0) & (ends - starts <= ZERO_BYTES)] = 0.0  # other readers give -0 no sign
    return result


def plain_numbers(reply: bytearray, starts: Places, ends: Places) -> NDArray[np.float64]:
    """Read the values that are written as numbers are, NaN for the others."""
    values = texts(reply, starts, ends)
    plain = pc.match_substring_regex(values, NUMBER)
    try:
        return cast(pc.if_else(plain, values, pa.scalar(None, values.type)), starts.shape)
    except pa.ArrowInvalid:
        return np.full(starts.shape, np.nan)


def cast(values: pa.Array, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return texts as numbers, NaN for a null.

    Raises: pa.ArrowInvalid, one is no number.
    """
    read = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
    return np.array(read[::2]).reshape(shape)


def categories(
    reply: bytearray, starts: Places, ends: Places, known: Sequence[bytes], unknown: int | None
) -> NDArray[np.float64]:
    """Return the place of each value among the known texts; another text is `unknown`, else NaN."""
    found = pc.index_in(texts(reply, starts, ends), value_set=pa.array(known, pa.binary()))
    result = found.cast(pa.float64()).to_numpy(zero_copy_only=False)[::2].reshape(starts.shape)
    return result if unknown is None else np.where(np.isnan(result), unknown, result)


def texts(reply: bytearray, starts: Places, ends: Places) -> pa.Array:
    """Return values as an array in which what lies between two of them is null: no value is copied."""
    offsets = np.empty(2 * starts.size, np.int32)
    offsets[::2], offsets[1::2] = starts.reshape(-1), ends.reshape(-1)
    count = len(offsets) - 1
    valid = np.full(-(-count // 8), ALTERNATELY, np.uint8)
    buffers = [pa.py_buffer(one) for one in (valid, offsets, reply)]
    return pa.Array.from_buffers(pa.binary(), count, buffers)
