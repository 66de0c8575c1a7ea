"""Replies of Redis as objects, by hiredis."""

from typing import Any

import hiredis
from redis.exceptions import ResponseError

BULK = b"$"[0]
LONG_BYTES = 1 << 16  # of which a copy less is worth while


def viewed(frame: bytes) -> Any:
    """Return the same, but a long string as a view of the reply: to copy hundreds of megabytes holds everybody up."""
    return memoryview(frame)[text_at(frame) : -2] if is_long_string(frame) else read(frame)


def is_long_string(frame: bytes | memoryview) -> bool:
    """Whether all of a reply is one string of which a copy less is worth while."""
    return len(frame) > LONG_BYTES and frame[0] == BULK


def text_at(frame: bytes | memoryview) -> int:
    """Return where a string begins in its reply."""
    return bytes(frame[:32]).index(b"\n") + 1


def read(frame: bytes | memoryview) -> Any:
    """Return one reply as redis-py reads it; an error as a ResponseError."""
    if is_long_string(frame):
        return bytes(frame[text_at(frame) : -2])
    reader = hiredis.Reader(replyError=ResponseError)
    reader.feed(bytes(frame))
    return reader.gets()
