"""Portions: what one Redis is asked for in bulk, some at a time.

Redis works off all that a connection has sent before it hands much of the answers over, 64 KiB a round
of its loop: asked for everything at once, it and whoever reads it wait for one another. Asked for some
portions, it works on the next while the answers to one are read.
"""

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from models.errors import InsituError, RedisUnavailable
from server.inference.reading.raw import Sealed
from server.inference.reading.reads import Ask, Done, asked, tell

PORTIONS_AHEAD = 2  # with one Redis waits for us


class Portions:
    """Reads of one Redis, in order: so many of them have left, the others wait here."""

    __slots__ = ("_ask", "_free", "_waiting")

    def __init__(self, ask: Ask, ahead: int = PORTIONS_AHEAD) -> None:
        self._ask, self._free = ask, ahead
        self._waiting: deque[tuple[Sequence[bytes], Done]] = deque()

    def ask(self, commands: Sequence[bytes], done: Done) -> None:
        """Read; `done` is told later, once, with the replies or with a fault."""
        self._waiting.append((commands, done))
        if self._free:
            self._free -= 1
            self._next()

    def _next(self) -> None:
        """Send the read that has waited longest."""
        while self._waiting:
            commands, done = self._waiting.popleft()
            try:
                self._ask(commands, partial(self._told, done))
            except InsituError as fault:
                tell(done, fault)
            else:
                return
        self._free += 1

    def _told(self, done: Done, result: list[Any] | InsituError) -> None:
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
