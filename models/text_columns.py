"""Texts of many values, read where they lie in one buffer; needs pyarrow. Pure, no I/O."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.hash_places import Places

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
ALTERNATELY = 0b01010101
SEARCHED = 4096  # values: among fewer, those that are no number are searched for one by one
ZERO_BYTES = 2  # of the longest zero that a JSON reader takes for an integer: -0


def numbers(reply: bytearray, places: Places) -> NDArray[np.float64]:
    """Read values as decimal numbers; NaN for one that is none.

    Shape:  places (B, fields, 2) -> (B, fields).
    """
    try:
        result = cast(texts(reply, places), places.shape[:-1])
    except pa.ArrowInvalid:
        if places.size <= SEARCHED or len(places) == 1:
            return plain_numbers(reply, places)
        half = len(places) // 2
        parts = [numbers(reply, places[part]) for part in (slice(half), slice(half, None))]
        return np.concatenate(parts)
    zeros = result == 0
    if zeros.any():  # other readers give -0 no sign
        result[zeros & (places[..., 1] - places[..., 0] <= ZERO_BYTES)] = 0.0
    return result


def plain_numbers(reply: bytearray, places: Places) -> NDArray[np.float64]:
    """Read the values that are written as numbers are, NaN for the others."""
    values = texts(reply, places)
    plain = pc.match_substring_regex(values, NUMBER)
    try:
        return cast(pc.if_else(plain, values, pa.scalar(None, values.type)), places.shape[:-1])
    except pa.ArrowInvalid:
        return np.full(places.shape[:-1], np.nan)


def cast(values: pa.Array, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return texts as numbers, NaN for a null.

    Raises: pa.ArrowInvalid, one is no number.
    """
    read = pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False)
    return np.array(read[::2]).reshape(shape)


def categories(
    reply: bytearray, places: Places, known: Sequence[bytes], unknown: int | None
) -> NDArray[np.float64]:
    """Return the place of each value among the known texts; another text is `unknown`, else NaN."""
    found = pc.index_in(texts(reply, places), value_set=pa.array(known, pa.binary()))
    result = found.cast(pa.float64()).to_numpy(zero_copy_only=False)[::2].reshape(places.shape[:-1])
    return result if unknown is None else np.where(np.isnan(result), unknown, result)


def texts(reply: bytearray, places: Places) -> pa.Array:
    """Return values as an array in which what lies between two of them is null: no value is copied."""
    offsets = np.ascontiguousarray(places)
    count = offsets.size - 1
    valid = np.full(-(-count // 8), ALTERNATELY, np.uint8)
    buffers = [pa.py_buffer(one) for one in (valid, offsets, reply)]
    return pa.Array.from_buffers(pa.binary(), count, buffers)
