"""Raw replies of Redis, many in one buffer: parsed by hiredis, or looked at as lines; pure, no I/O.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import hiredis
import numpy as np
from numpy.typing import NDArray
from redis.exceptions import ResponseError

from models.tensors import Tensor

UNFINISHED = object()
PARSE_BUFFER_BYTES = 1 << 20  # kept between replies; hiredis' own 16 KiB are allocated anew each time
WORD = np.dtype("<u8")
WORD_BYTES = 8
NEWLINE = 10
HEADED = 1024  # lengths of values whose headers are known by heart
Bytes = bytes | bytearray
Places = NDArray[np.int64]


@dataclass(slots=True)
class Found:
    """What the replies of one source gave: a row each, of which those that are not `good` say nothing.

    `aside` rows were parsed one by one. `pays` says of a wide way of asking whether it was worth while.

    Shape:  values (B, ...), good (B,).
    """

    values: Tensor
    good: NDArray[np.bool_]
    errors: list[ResponseError] = field(default_factory=list)
    aside: int = 0
    pays: bool = True


def gathered(count: int, parts: Sequence[tuple[Sequence[int], Found]]) -> Found:
    """Put the parts of `count` rows into one, each where its rows are; a row in none is not good."""
    if len(parts) == 1 and len(parts[0][0]) == count:
        return parts[0][1]
    first = parts[0][1].values
    whole = Found(np.zeros((count, *first.shape[1:]), first.dtype), np.zeros(count, np.bool_))
    for rows, part in parts:
        at = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
        whole.values[at], whole.good[at] = part.values, part.good
    return whole


def parsed(reply: Bytes, count: int) -> list[Any]:
    """Return `count` replies as Python has them; an error is a ResponseError.

    Raises: ValueError, there are not as many.
    """
    reader: Any = hiredis.Reader(replyError=ResponseError, notEnoughData=UNFINISHED)
    reader.setmaxbuf(PARSE_BUFFER_BYTES)
    reader.feed(reply)
    replies = [reader.gets() for _ in range(count)]
    if (count and replies[-1] is UNFINISHED) or reader.has_data():
        raise ValueError(f"these are not {count} replies")
    return replies


def errors_of(replies: Sequence[Any]) -> list[ResponseError]:
    """Return the errors among replies."""
    return [reply for reply in replies if isinstance(reply, ResponseError)]


def after(reply: Bytes, at: int) -> int:
    """Return where the reply that begins at `at` ends, arrays of strings included."""
    stop = reply.index(b"\r\n", at) + 2
    kind = reply[at : at + 1]
    if kind == b"$":
        size = int(reply[at + 1 : stop - 2])
        return stop if size < 0 else stop + size + 2
    if kind == b"*":
        for _ in range(int(reply[at + 1 : stop - 2])):
            stop = after(reply, stop)
    return stop


class Lines:
    """A buffer as lines: line `i` is reply[starts[i]:ends[i]], and then carriage return and newline."""

    def __init__(self, reply: bytearray) -> None:
        self.reply = reply
        breaks = np.flatnonzero(np.frombuffer(reply, np.uint8) == NEWLINE)
        self.starts = np.empty(len(breaks), np.int64)
        self.starts[:1] = 0
        self.starts[1:] = breaks[:-1] + 1
        self.ends = breaks - 1
        padded = reply + bytes(WORD_BYTES)
        # every eight bytes that lie side by side, wherever they begin
        self._words = np.ndarray((len(reply) + 1,), WORD, padded, 0, (1,))

    def tabled(self, first: int, rows: int, lines: int) -> tuple[Places, Places]:
        """Return where lines begin and end, from the `first` on, so many a row: (rows, lines)."""
        part = slice(first, first + rows * lines)
        return self.starts[part].reshape(rows, lines), self.ends[part].reshape(rows, lines)

    def line_at(self, at: int) -> int:
        """Return the number of the line that begins at a byte."""
        return int(np.searchsorted(self.starts, at))

    def say(self, starts: Places, texts: "Texts") -> NDArray[np.bool_]:
        """Return where the bytes from `starts` are `texts`, one for each column."""
        same = np.ones(starts.shape, np.bool_)
        last = len(self._words) - 1
        for at, (word, mask) in enumerate(zip(texts.words, texts.masks, strict=True)):
            found = self._words[np.minimum(starts + at * WORD_BYTES, last)] if at else self._words[starts]
            same &= (found & mask) == word
        return same

    def headed(self, headers: Places, lengths: Places) -> NDArray[np.bool_]:
        """Return where a header says that the string after it has `lengths` bytes."""
        words, masks = headers_by_heart()
        known = np.minimum(lengths, HEADED)
        same: NDArray[np.bool_] = (self._words[headers] & masks[known]) == words[known]
        return same


class Texts:
    """Texts to be looked for, as words of eight bytes: `words[i]` are the i-th of each."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        count = -(-max(map(len, texts)) // WORD_BYTES)
        self.words = as_words(texts, count)
        self.masks = as_words([b"\xff" * len(text) for text in texts], count)


def as_words(texts: Sequence[bytes], count: int) -> NDArray[np.uint64]:
    """Return texts in words, zeros after them: (count, len(texts))."""
    data = b"".join([text.ljust(count * WORD_BYTES, b"\0") for text in texts])
    return np.ascontiguousarray(np.frombuffer(data, WORD).reshape(len(texts), count).T)


@cache
def headers_by_heart() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the headers of strings by their length, as words and masks; the last fits nothing."""
    texts = Texts([b"$%d\r\n" % size for size in range(HEADED)])
    words, masks = np.zeros((2, HEADED + 1), np.uint64)
    words[:-1], masks[:-1] = texts.words[0], texts.masks[0]
    words[-1] = 1
    return words, masks
