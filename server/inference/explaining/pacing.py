"""Whose turn it is to run rows for explanations: one part at a time, and predictions go first.

A part is small, so that a prediction that comes meanwhile waits for milliseconds. After one that
predictions had to wait for, explanations rest for several times as long as it took: however many
there are, they take a small share of the processor while others are served.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

PART_SECONDS = 0.004  # what one part should take
PART_ROWS = 32  # of the first part, before anything was measured
PART_ROWS_MOST = 512
PART_BYTES = 4 << 20  # of the rows of one part
LOOK_SECONDS = 0.001  # who was answered together with a part needs about that to ask again
REST = 4  # times as long as a part took, while predictions are under way


class Turns:
    """The turns of one process; `under_way` tells how many requests are waited for, our own aside."""

    def __init__(self, under_way: Callable[[], int]) -> None:
        self._under_way = under_way
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold the turn for one part, then rest where others wait."""
        async with self._turn:
            started = time.monotonic()
            yield
            took = time.monotonic() - started
            await asyncio.sleep(LOOK_SECONDS)
            if self._under_way():
                await asyncio.sleep(REST * took)


class Pace:
    """How many rows a part has, by the quickest so far: others' rows may have run beside a slow one's."""

    def __init__(self, row_bytes: int, rows_most: int) -> None:
        self._most = max(1, min(rows_most, PART_ROWS_MOST, PART_BYTES // max(1, row_bytes)))
        self._row_seconds = math.inf
        self.rows = min(PART_ROWS, self._most)

    def took(self, rows: int, seconds: float) -> None:
        """Note what so many rows took; the next part has at most twice as many."""
        self._row_seconds = min(self._row_seconds, max(seconds, 1e-9) / rows)
        self.rows = max(1, min(self._most, 2 * self.rows, int(PART_SECONDS / self._row_seconds)))
