"""Replies of many hashes: where the values lie in those of one pattern, for all of them at once; pure, no I/O.

Field by field, the header of a value says where the next begins. A reply is taken only if it is of
the pattern to the byte, and begins where the one before it ends: so no value, whatever is in it,
passes for a reply.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from models.replies import after, parsed

ODD_SHARE = 16  # more than 1 irregular row in 16: looking for each costs more than parsing all
FIRST_ROWS = 8  # among which the pattern of the others is looked for
KEPT_PATTERNS = 64
WORD = np.dtype("<u8")
WORD_BYTES = 8
BEFORE_BYTES = 3  # so much of what comes before a header fits into a word with the longest: `$99\r\n`
HEADED_BYTES = 100  # of a value: from here on a header is longer
DIGITS = np.uint64(8 * (BEFORE_BYTES + 1))  # bits before them in a word
ARRAY, NEWLINE = b"*\n"
Places = NDArray[np.int32]  # (rows, fields, 2), begin and end
Words = NDArray[np.uint64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """What lies before the header of a value: `size` bytes, that are told by words; `place` of a wanted value."""

    size: int
    words: Sequence[tuple[int, np.uint64, np.uint64]]  # where, what, and which bits of it
    last: np.uint64
    place: int | None


class Pattern:
    """How one reply lies: a head, and a value after each name, or after none.

    `order` says of each field of the view where it is among the wanted values as they lie.
    """

    def __init__(self, head: bytes, names: Sequence[bytes], wanted: Sequence[int]) -> None:
        rising = sorted(wanted)
        self.order = [rising.index(one) for one in wanted]
        self.named = any(names)
        self.head_bytes = len(head)
        self.head, self.head_mask = word(head), mask(head)
        places = {one: at for at, one in enumerate(rising)}
        self.parts = [part(name, places.get(at)) for at, name in enumerate(names)]
        self.spare = max(map(len, names)) + 2 * WORD_BYTES  # looked at beyond the end of what came


def part(text: bytes, place: int | None) -> Part:
    """Return what lies before a header, the last bytes of which are looked at together with it."""
    first = text[:-BEFORE_BYTES]
    pieces = [(at, first[at : at + WORD_BYTES]) for at in range(0, len(first), WORD_BYTES)]
    words = [(BEFORE_BYTES + at, word(piece), mask(piece)) for at, piece in pieces]
    return Part(len(text), words, word(text[-BEFORE_BYTES:]), place)


def of_some(count: int) -> Pattern:
    """Return the pattern of HMGET of so many fields, all there."""
    return Pattern(b"*%d\r\n" % count, [b""] * count, range(count))


def of_all(reply: bytearray, count: int, wanted: Sequence[bytes]) -> Pattern | None:
    """Return the pattern of HGETALL that the first regular reply has, None where none of the first is."""
    at = 0
    for _ in range(min(count, FIRST_ROWS)):
        stop = after(reply, at)
        (first,) = parsed(reply[at:stop], 1)
        if isinstance(first, list) and set(wanted) <= set(names := first[::2]):
            return of_names(tuple(names), tuple(wanted))
        at = stop
    return None


@lru_cache(KEPT_PATTERNS)
def of_names(names: Sequence[bytes], wanted: Sequence[bytes]) -> Pattern:
    """Return the pattern of hashes that hold these fields in this order."""
    texts = [b"$%d\r\n%b\r\n" % (len(name), name) for name in names]
    return Pattern(b"*%d\r\n" % (2 * len(names)), texts, [names.index(name) for name in wanted])


@dataclass(slots=True)
class Located:
    """The rows of one pattern, and where their values lie; `odd` are the other replies.

    Shape: places (rows, fields, 2), begin and end, in rising order.
    """

    rows: Sequence[int] | Integers
    places: Places
    odd: Mapping[int, bytes]


def located(reply: bytearray, count: int, pattern: Pattern) -> Located | None:
    """Part `count` replies into those of a pattern and the others; None where these are many.

    Raises: ValueError, there are not as many.
    """
    traced = followed(reply, pattern)
    if len(traced.starts) == count and traced.whole(len(reply)):
        return Located(range(count), traced.places, {})  # nearly always
    return parted(reply, count, traced)


@dataclass(frozen=True, slots=True)
class Traced:
    """A pattern followed from each start: where the values lie, where it ends, whether all is of the pattern."""

    starts: Integers
    ends: Integers
    fit: NDArray[np.bool_]
    places: Places

    def whole(self, size: int) -> bool:
        """Whether one ends where the next begins, from the first byte to the last."""
        met = bool((self.ends[:-1] == self.starts[1:]).all()) and self.ends[-1] == size
        return met and self.starts[0] == 0 and bool(self.fit.all())

    def runs(self) -> Callable[[int], range]:
        """Return what gives the starts from a byte on that follow one another, an empty range if none is there."""
        linked = self.fit[:-1] & (self.ends[:-1] == self.starts[1:])
        breaks = np.flatnonzero(~np.append(linked, False))

        def run(at: int) -> range:
            first = int(np.searchsorted(self.starts, at))
            if first == len(self.starts) or self.starts[first] != at:
                return range(0)
            last = int(breaks[np.searchsorted(breaks, first)])
            return range(first, last + int(self.fit[last]))

        return run


def parted(reply: bytearray, count: int, traced: Traced) -> Located | None:
    """Walk from reply to reply, over all at once that follow one another."""
    odd: dict[int, bytes] = {}
    rows: list[int] = []
    taken: list[int] = []
    run = traced.runs()
    row = at = 0
    while row < count:
        if well := run(at)[: count - row]:
            rows += range(row, row + len(well))
            taken += well
            row, at = row + len(well), int(traced.ends[well[-1]])
        elif len(odd) > count // ODD_SHARE:
            return None
        else:
            stop = after(reply, at)
            odd[row] = bytes(reply[at:stop])
            row, at = row + 1, stop
    if at != len(reply):
        raise ValueError(f"these are not {count} replies")
    return Located(np.array(rows, np.int64), traced.places[np.array(taken, np.int64)], odd)


def beginnings(reply: bytearray) -> Integers:
    """Return where lines begin that look like the head of an array."""
    data = np.frombuffer(reply, np.uint8)
    stars = np.flatnonzero(data == ARRAY)
    begun: Integers = stars[(stars == 0) | (data[stars - 1] == NEWLINE)]
    return begun


def followed(reply: bytearray, pattern: Pattern) -> Traced:
    """Follow a pattern from each place that looks like the beginning of a reply."""
    starts, padded = beginnings(reply), reply + bytes(pattern.spare)
    # every eight bytes that lie side by side, wherever they begin
    words: Words = np.ndarray((len(padded) - WORD_BYTES + 1,), WORD, padded, 0, (1,))
    sizes, skips, masks, headers = headers_by_heart(pattern.named)
    places = np.empty((len(starts), len(pattern.order), 2), np.int32)
    fit: NDArray[np.bool_] = (words[starts] & pattern.head_mask) == pattern.head
    at = starts + (pattern.head_bytes - BEFORE_BYTES)
    for one in pattern.parts:
        np.minimum(at, len(reply), out=at)
        for offset, said, bits in one.words:
            fit &= (words[at + offset] & bits) == said
        at += one.size
        found = words[at]
        digits = (found >> DIGITS).astype(np.uint16)
        fit &= ((found ^ one.last) & masks[digits]) == headers[digits]
        at += skips[digits]
        if one.place is not None:
            places[:, one.place, 0] = at
        at += sizes[digits]
        if one.place is not None:
            places[:, one.place, 1] = at
        at -= 1  # over the two bytes that end a value, and back to where the next part is looked at
    return Traced(starts, at + BEFORE_BYTES, fit, places)


@cache
def headers_by_heart(named: bool) -> tuple[Integers, Integers, Words, Words]:
    """Return by the two bytes after `$`: a value's size, the bytes up to it, and what the whole word must be.

    The word begins `BEFORE_BYTES` before the header; where values have names, these must be zero.
    """
    sizes, skips = np.zeros((2, 1 << 16), np.int64)
    masks, headers = np.zeros((2, 1 << 16), np.uint64)
    headers[:] = 1  # which no word is under a mask of zeros
    for size in range(HEADED_BYTES):
        header = b"$%d\r\n" % size
        at = int.from_bytes(header[1:3], "little")
        before = bytes(BEFORE_BYTES)
        sizes[at], skips[at] = size, BEFORE_BYTES + len(header)
        headers[at] = word(before + header)
        masks[at] = word((b"\xff" if named else b"\0") * BEFORE_BYTES + b"\xff" * len(header))
    return sizes, skips, masks, headers


def word(text: bytes) -> np.uint64:
    """Return up to eight bytes as a word, zeros after them."""
    return np.uint64(int.from_bytes(text[:WORD_BYTES], "little"))


def mask(text: bytes) -> np.uint64:
    """Return which bits of a word a text takes."""
    return word(b"\xff" * len(text))
