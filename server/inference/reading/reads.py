"""What waits for Redis: a read of one caller, and the batch of reads that left in one write."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from models.errors import InsituError

log = logging.getLogger(__name__)

Done = Callable[[list[Any] | InsituError], None]
Ask = Callable[[Sequence[bytes], Done], None]
Read = tuple[Sequence[bytes], Done]  # encoded commands, and who is told


class Batch:
    """Reads that leave together; once some are answered, `reads` are those that still wait for a new connection.

    Units: at, monotonic seconds when it was first sent; size, bytes.
    """

    __slots__ = ("again", "at", "commands", "reads", "size")

    def __init__(self, reads: list[Read], commands: int, size: int, at: float) -> None:
        self.reads, self.commands, self.size, self.at = reads, commands, size, at
        self.again = False

    def payload(self) -> bytes:
        """Return the commands as they go over the wire."""
        return b"".join([command for commands, _ in self.reads for command in commands])


def tell(done: Done, result: list[Any] | InsituError) -> None:
    """Tell one caller; what it raises is its own and stops nobody else's replies."""
    try:
        done(result)
    except Exception:
        log.exception("a caller failed over the replies to its read")


def fail(reads: Iterable[Read], fault: InsituError) -> None:
    """Tell callers that their reads have failed."""
    for _, done in reads:
        tell(done, fault)


def asked(ask: Ask, commands: Sequence[bytes]) -> asyncio.Future[list[Any] | InsituError]:
    """Ask, and return what will hold what a caller is told.

    Raises: InsituError, whatever asking raises.
    """
    answer: asyncio.Future[list[Any] | InsituError] = asyncio.get_running_loop().create_future()
    ask(commands, lambda result: None if answer.done() else answer.set_result(result))
    return answer


async def awaited(ask: Ask, commands: Sequence[bytes]) -> list[Any]:
    """Ask and wait for the replies.

    Raises: InsituError, whatever the caller would have been told.
    """
    result = await asked(ask, commands)
    if isinstance(result, InsituError):
        raise result
    return result
