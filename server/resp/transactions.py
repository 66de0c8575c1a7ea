"""A transaction that a client has begun, and what of it is ours: stand-ins, whose replies are turned in EXEC's."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise

from server.resp.caller import Word
from server.resp.commands.command import Command, Turned
from server.resp.refusals import IN_TRANSACTION
from server.resp.wire.frames import END
from server.resp.wire.reading import LONG_BYTES, read
from server.resp.wire.replies import error
from server.resp.wire.scanning import Scanner

TURNED_BYTES = 512 << 20  # that the replies of ours in one transaction have together
TOO_MUCH = error(
    f"ERR the replies of this server in one transaction have {TURNED_BYTES} bytes together at the most, and this one "
    "would be beyond; the transaction is done; ask for less in one, or outside of it"
)
UNFIT = ("EVAL", "return 0")  # too few words: Redis then refuses to EXEC, as it does after any such mistake
Noted = Callable[[bytes], None]


def failing(text: str) -> Sequence[Word]:
    """Return a command that is queued and then fails with an error."""
    return ("EVAL", "return redis.error_reply(ARGV[1])", 0, text)


def refusing(command: Command) -> Sequence[Word]:
    """Return what is queued for a command of ours that is not for transactions."""
    name = command.name
    return failing(
        IN_TRANSACTION if name.startswith("AI.") else IN_TRANSACTION.replace("RedisAI command", name)
    )


class Transaction:
    """What was queued: `begun` is how many commands had been sent through with its MULTI.

    `turned` makes other replies of some, `noted` looks at those of others, by their places in EXEC's.
    `selects` is whether it changes the database between them.
    """

    __slots__ = ("begun", "beside", "noted", "selects", "turned")

    def __init__(self, begun: int) -> None:
        self.begun = begun
        self.beside = 0  # ours, less what was sent through and not queued
        self.selects = False
        self.turned: dict[int, Turned] = {}
        self.noted: dict[int, Noted] = {}

    def queue(self, sent: int, turned: Turned | None) -> None:
        """Take note of one of ours, that is queued after `sent` commands."""
        if turned is not None:
            self.turned[sent - self.begun + self.beside] = turned
        self.beside += 1

    def note(self, sent: int, noted: Noted) -> None:
        """Have the reply looked at that EXEC gives to what was sent through last, `sent` commands with it."""
        self.noted[sent - self.begun + self.beside - 1] = noted

    async def told(self, frame: bytes) -> bytes:
        """Return the reply to EXEC with ours turned; an error or nothing is left as it is.

        Between long ones others have their turn. What ours have beyond so many bytes is an error in its place.
        """
        line = frame.index(END) + 2
        if frame[:1] != b"*" or frame[1:2] == b"-":
            return frame
        view, size = memoryview(frame), 0
        told: list[bytes | memoryview] = [view[:line]]
        ends = [line, *(end for end, _ in Scanner().ends(frame, line))]
        for place, (start, end) in enumerate(pairwise(ends)):
            part = view[start:end]
            if noted := self.noted.get(place):
                noted(bytes(part))
            if turned := self.turned.get(place):
                reply = await turned_within(turned, part, TURNED_BYTES - size)
                size += len(reply)
                told.append(reply)
            else:
                told.append(part)
        return b"".join(told)


async def turned_within(turned: Turned, part: memoryview, most: int) -> bytes:
    """Return what becomes of one reply of Redis, or an error where that has too many bytes."""
    if most <= 0:
        return TOO_MUCH
    found = turned(read(part))
    reply = found if isinstance(found, bytes) else await found
    if len(reply) > LONG_BYTES:
        await asyncio.sleep(0)
    return reply if len(reply) <= most else TOO_MUCH
