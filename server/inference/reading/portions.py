"""Portions: what one Redis is asked for in bulk, some at a time.

Redis works off all that a connection has sent before it hands much of the answers over, 64 KiB a round
of its loop: asked for everything at once, it and whoever reads it wait for one another. Asked for some
portions, it works on the next while the answers to one are read.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from models.errors import InsituError, RedisUnavailable
from server.inference.reading.reads import Ask, Done, asked, tell
from server.inference.reading.sealing import Sealed

PORTIONS_AHEAD = 2  # with one Redis waits for us


def at_once() -> float:
    """Let the next leave as soon as one is answered."""
    return 0.0


class Line:
    """What Redis is asked for, in order: so many have left, the others wait here.

    Whenever one is answered, the next leaves after as many seconds as `rest` says then.
    """

    __slots__ = ("_free", "_rest", "_waiting")

    def __init__(self, ahead: int = PORTIONS_AHEAD, rest: Callable[[], float] = at_once) -> None:
        self._free, self._rest = ahead, rest
        self._waiting: deque[tuple[Ask, Sequence[bytes], Done]] = deque()

    def around(self, ask: Ask) -> Ask:
        """Return a way of asking whose commands stand in line; `done` is told later, once, with replies or a fault."""
        return partial(self._put, ask)

    def _put(self, ask: Ask, commands: Sequence[bytes], done: Done) -> None:
        self._waiting.append((ask, commands, done))
        if self._free:
            self._free -= 1
            self._next()

    def _next(self) -> None:
        """Send what has waited longest."""
        while self._waiting:
            ask, commands, done = self._waiting.popleft()
            try:
                ask(commands, partial(self._told, done))
            except InsituError as fault:
                tell(done, fault)
            else:
                return
        self._free += 1

    def _told(self, done: Done, result: list[Any] | InsituError) -> None:
        if rest := self._rest():
            asyncio.get_running_loop().call_later(rest, self._next)
        else:
            self._next()
        tell(done, result)


async def read(ask: Ask, portions: Sequence[bytes], most: int) -> bytearray | InsituError:
    """Return the answers of one Redis to portions of commands as one buffer, or the first fault among them.

    Units: most, bytes of the answers that are listened to.
    """
    parts: list[bytearray] = []
    left = most
    try:
        for answer in [asked(ask, Sealed(portion, most)) for portion in portions]:
            result = await answer
            if isinstance(result, InsituError):
                return result
            parts += result
            left -= len(result[0])
            if left < 0:
                return RedisUnavailable(f"more than {most} bytes came for one read")
    except InsituError as error:
        return error
    return parts[0] if len(parts) == 1 else bytearray().join(parts)
