"""Vigil: after the answer to a lone request the loop stays awake for a moment, for a client that asks again at once.

To wake up takes about as long as to answer: docs/adr/0026-a-lone-read-is-awaited-awake.md.
"""

from time import monotonic

from server.inference.awake import Awake


class Vigil:
    """Whether the next request of a client that asks one after the other is waited for awake."""

    __slots__ = ("_answered", "_awake", "_quick", "_seconds")

    def __init__(self, seconds: float) -> None:
        """Take how long the loop may stay awake, 0 for not at all."""
        self._seconds = seconds
        self._answered = 0.0  # when the last lone request was
        self._quick = False  # the one that is being answered came so soon after it
        self._awake = Awake()

    def asked(self) -> None:
        """Take note of a request that came by itself."""
        self._quick = monotonic() - self._answered < self._seconds

    def answered(self) -> None:
        """Stay awake, if the request that has been answered by itself came soon after the one before."""
        self._answered = now = monotonic()
        if self._quick:
            self._awake.keep(now + self._seconds)
