"""Awake: the loop looks again instead of sleeping, where to wake up would take as long as what is waited for."""

import asyncio
from time import monotonic


class Awake:
    """Keeps the loop of this thread awake, while something short is waited for."""

    __slots__ = ("_looks", "_until")

    def __init__(self) -> None:
        self._looks, self._until = False, 0.0

    def keep(self, until: float) -> None:
        """Let the loop not sleep before then, time.monotonic, whatever else it has to do."""
        self._until = until
        if not self._looks:
            self._looks = True
            asyncio.get_running_loop().call_soon(self._look)

    def end(self) -> None:
        """Let it sleep: what was waited for is there."""
        self._until = 0.0

    def _look(self) -> None:
        self._looks = monotonic() < self._until
        if self._looks:
            asyncio.get_running_loop().call_soon(self._look)
