"""Raw replies of Redis, many in one buffer: parsed by hiredis, or looked at as lines; pure, no I/O.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import hiredis
import numpy as np
from numpy.typing import NDArray
from redis.exceptions import ResponseError

from models.tensors import Tensor

UNFINISHED = object()
PARSE_BUFFER_BYTES = 1 << 20  # kept between replies; hiredis' own 16 KiB are allocated anew each time
Bytes = bytes | bytearray


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
