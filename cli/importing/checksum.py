"""CRC-64 as RDB files end with it, over blocks of megabytes in numpy.

A block is cut into lanes that are summed side by side, eight bytes a step. The sum of two pieces is
that of the first, taken on over as many zero bytes as the second has, XOR that of the second; taking
on over zeros is linear, so it is one table look-up for each byte of the sum.

Source: CRC-64/Jones in Redis' crc64.c: reflected, no initial value, no final XOR.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x95AC9329AC4BC9B5  # 0xAD93D23594C935A9 with its bits reversed
LANES = 1024
WORD = 8  # bytes a lane takes at a step
Sums = NDArray[np.uint64]
BYTE = np.uint64(0xFF)
SHIFTS = [np.uint64(8 * place) for place in range(WORD)]


def crc64(data: bytes | memoryview, crc: int = 0) -> int:
    """Return the sum of `data` that comes after what `crc` is the sum of."""
    steps = len(data) // (LANES * WORD)
    wide = steps * LANES * WORD
    if steps:
        crc = of_lanes(np.frombuffer(data[:wide], "<u8").reshape(LANES, steps), crc)
    table = byte_table()
    for byte in bytes(data[wide:]):
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


def of_lanes(words: Sums, crc: int) -> int:
    """Return the sum of lanes that lie one after the other; words (LANES, steps)."""
    sums = np.zeros(LANES, np.uint64)
    sums[0] = crc
    tables = over_zeros(WORD)
    for column in np.ascontiguousarray(words.T):
        sums = taken_on(sums ^ column, tables)
    length = words.shape[1] * WORD
    while len(sums) > 1:
        sums = taken_on(sums[0::2], over_zeros(length)) ^ sums[1::2]
        length *= 2
    return int(sums[0])


def taken_on(sums: Sums, tables: Sums) -> Sums:
    """Return sums after the zero bytes that the tables (8, 256) stand for."""
    after: Sums = np.zeros_like(sums)
    for place, shift in enumerate(SHIFTS):
        after ^= tables[place][(sums >> shift) & BYTE]
    return after


@cache
def byte_table() -> tuple[int, ...]:
    """Return the sum of each single byte."""
    return tuple(single(byte) for byte in range(256))


def single(byte: int) -> int:
    """Return the sum of one byte."""
    for _ in range(8):
        byte = (byte >> 1) ^ (POLYNOMIAL if byte & 1 else 0)
    return byte


@cache
def over_zeros(count: int) -> Sums:
    """Return the tables (8, 256) of taking a sum on over `count` zero bytes: by place of a byte and its value."""
    places = np.arange(WORD, dtype=np.uint64)[:, None] * np.uint64(8)
    every: Sums = np.arange(256, dtype=np.uint64)[None, :] << places
    power, result = every, every
    step = np.array(byte_table(), np.uint64)[(every & BYTE).astype(np.intp)] ^ (every >> np.uint64(8))
    power = step
    while count:
        if count & 1:
            result = taken_on(result, power)
        power = taken_on(power, power)
        count >>= 1
    return result
