"""Replies of Redis as objects, by hiredis."""

from typing import Any

import hiredis
from redis.exceptions import ResponseError


def read(frame: bytes) -> Any:
    """Return one reply as redis-py reads it; an error as a ResponseError."""
    reader = hiredis.Reader(replyError=ResponseError)
    reader.feed(frame)
    return reader.gets()
