"""Replies of Redis as objects, by hiredis."""

from typing import Any

import hiredis
from redis.exceptions import ResponseError

BULK = b"$"[0]
LONG_BYTES = 1 << 16  # of which a copy less is worth while


def read(frame: bytes | memoryview) -> Any:
    """Return one reply as redis-py reads it; an error as a ResponseError."""
    if len(frame) > LONG_BYTES and frame[0] == BULK:  # all of it is one string
        return bytes(frame[bytes(frame[:32]).index(b"\n") + 1 : -2])
    reader = hiredis.Reader(replyError=ResponseError)
    reader.feed(bytes(frame))
    return reader.gets()
