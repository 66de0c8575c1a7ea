"""Turns: so many at a time; one that takes long goes on beside the others instead of holding them up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """A bound on work under way: `at_once` that are quick, and `beside` more that are not."""

    def __init__(self, at_once: int, beside: int, slow_seconds: float) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._places_beside = beside
        self._slow_seconds = slow_seconds

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold a turn; past `slow_seconds` it is given on, while there is a place beside."""
        await self._free.acquire()
        gone_on: list[bool] = []
        clock = asyncio.get_running_loop().call_later(self._slow_seconds, self._go_on_beside, gone_on)
        try:
            yield
        finally:
            clock.cancel()
            if gone_on:
                self._places_beside += 1
            else:
                self._free.release()

    def _go_on_beside(self, gone_on: list[bool]) -> None:
        if self._places_beside:
            self._places_beside -= 1
            gone_on.append(True)
            self._free.release()
