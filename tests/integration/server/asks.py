"""Asking a reader as tests do: waiting for the replies, or counting who was told."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from models.encoding import encoded
from models.errors import InsituError
from server.inference.reading.reader import Reader
from server.inference.reading.reads import awaited

ENOUGH_SECONDS = 30.0


def command(number: int) -> bytes:
    return encoded(("HGET", f"k:{number}", "x"))


async def answers(reader: Reader, *commands: bytes) -> list[Any]:
    """Ask and wait; raises what the caller is told or the ask raised."""
    return await asyncio.wait_for(awaited(reader.ask, commands), ENOUGH_SECONDS)


async def repeated(ask: Callable[[], Awaitable[Any]], true: Callable[[Any], bool]) -> Any:
    """Ask until an outcome is as wanted, a fault being one, and return it."""
    async with asyncio.timeout(ENOUGH_SECONDS):
        while True:
            try:
                outcome = await ask()
            except InsituError as fault:
                outcome = fault
            if true(outcome):
                return outcome
            await asyncio.sleep(0.05)


class Tally:
    """Asks of many callers, each of which must be told exactly once; what each was told."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.told: dict[int, list[Any] | InsituError] = {}
        self.times: Counter[int] = Counter()
        self.asked = 0
        self.refused = 0

    def ask(self, *commands: bytes) -> None:
        """Ask once; a refusal at once is counted, not raised."""
        number = self.asked

        def done(result: list[Any] | InsituError) -> None:
            self.told[number] = result
            self.times[number] += 1

        try:
            self.reader.ask(commands, done)
        except InsituError:
            self.refused += 1
        else:
            self.asked += 1

    async def all(self) -> list[list[Any] | InsituError]:
        """Wait until every caller was told, and a moment longer for those told twice; in order of the asks."""
        async with asyncio.timeout(ENOUGH_SECONDS):
            while len(self.told) < self.asked:  # noqa: ASYNC110  # the reader tells callers, not tests
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert set(self.times.values()) <= {1}
        return [self.told[number] for number in range(self.asked)]


def good(results: Sequence[Sequence[Any] | InsituError], expected: Sequence[Any]) -> int:
    """Count the replies that came; each must be what was asked for."""
    came = [
        (result, wanted)
        for result, wanted in zip(results, expected, strict=True)
        if not isinstance(result, InsituError)
    ]
    assert all(result == wanted for result, wanted in came)
    return len(came)
