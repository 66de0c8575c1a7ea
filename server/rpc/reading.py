"""The message of a call out of its bytes: the five before it, and what was compressed."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from server.rpc.beside import LARGE_BYTES, beside
from server.rpc.wire import PREFIX_BYTES, Inflation, Limit, weight

Read = Callable[[], Awaitable[bytes]]
Body = bytes | bytearray


def message_of(body: Body, encoding: bytes | None, limit: Limit) -> bytes:
    """Return the message that a prefix stands before.

    Raises: Refused.
    """
    data = bytes(memoryview(body)[PREFIX_BYTES:])
    return Inflation(data, encoding, limit).whole() if body[0] else data


async def read(body: Body, encoding: bytes | None, limit: Limit) -> bytes:
    """Return the message that a prefix stands before; a large one is read beside the event loop.

    Raises: Refused.
    """
    return await beside(weight(body), message_of, body, encoding, limit)


def found(body: Body, encoding: bytes | None, limit: Limit) -> bytes | Read:
    """Return the message that a prefix stands before; where it is large, what returns it from beside the event loop.

    Raises: Refused.
    """
    if len(body) > LARGE_BYTES:
        return partial(read, body, encoding, limit)
    if not body[0]:
        return message_of(body, encoding, limit)
    inflation = Inflation(bytes(memoryview(body)[PREFIX_BYTES:]), encoding, limit)
    data = inflation.first(LARGE_BYTES)
    return partial(asyncio.to_thread, inflation.whole) if data is None else data
