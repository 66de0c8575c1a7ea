"""LZF, the compression of strings in RDB files; only the way back.

Source: liblzf's format. A control byte below 32: so many literal bytes and one follow. Else its
three high bits are a length (7: one more byte of it follows), the other five and the byte after
them how far back the bytes lie that are repeated.
"""

LITERALS = 32
LONG = 7
SHORTEST = 2  # bytes that a reference repeats beside its length


def decompressed(data: bytes, size: int) -> bytes:
    """Return the bytes that `data` stands for.

    Raises: ValueError, they are not `size`, or a reference points before the first.
    """
    out, at, end = bytearray(), 0, len(data)
    try:
        while at < end and len(out) <= size:
            control = data[at]
            at += 1
            if control < LITERALS:
                out += data[at : at + control + 1]
                at += control + 1
                continue
            length = control >> 5
            if length == LONG:
                length += data[at]
                at += 1
            back = ((control & 0x1F) << 8) + data[at] + 1
            at += 1
            repeat(out, back, length + SHORTEST)
    except IndexError:
        raise ValueError("its compressed bytes end too early") from None
    if len(out) != size:
        raise ValueError(f"it decompresses to {len(out)} bytes or more, it says {size}")
    return bytes(out)


def repeat(out: bytearray, back: int, count: int) -> None:
    """Append `count` bytes from `back` bytes before the end; they may run into what is appended.

    Raises: ValueError, nothing lies so far back.
    """
    start = len(out) - back
    if start < 0:
        raise ValueError("its compressed bytes refer to bytes before the first")
    if count <= back:
        out += out[start : start + count]
        return
    piece = bytes(out[start:])
    out += (piece * (count // back + 1))[:count]
