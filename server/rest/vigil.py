"""Vigil: after the answer to a lone request the loop stays awake for a moment, for a client that asks again at once.

To wake up takes about as long as to answer: docs/adr/0026-a-lone-read-is-awaited-awake.md.
"""

import asyncio
from time import monotonic
from typing import Any


class Vigil:
    """Whether the next request of a client that asks one after the other is waited for awake."""

    __slots__ = ("_answered", "_awake", "_call_soon", "_quick", "_seconds", "_until")

    def __init__(self, seconds: float) -> None:
        """Take how long the loop may stay awake, 0 for not at all."""
        self._seconds = seconds
        self._call_soon: Any = asyncio.get_running_loop().call_soon
        self._answered = 0.0  # when the last lone request was
        self._quick = False  # the one that is being answered came so soon after it
        self._awake, self._until = False, 0.0

    def asked(self) -> None:
        """Take note of a request that came by itself."""
        self._quick = monotonic() - self._answered < self._seconds

    def answered(self) -> None:
        """Stay awake, if the request that has been answered by itself came soon after the one before."""
        self._answered = now = monotonic()
        if self._quick:
            self._until = now + self._seconds
            if not self._awake:
                self._awake = True
                self._call_soon(self._look)

    def _look(self) -> None:
        """Let the loop look again instead of sleeping."""
        self._awake = monotonic() < self._until
        if self._awake:
            self._call_soon(self._look)
