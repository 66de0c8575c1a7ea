"""Departures: whether a client that says nothing more still listens, or has gone; it knows no request.

TCP tells the end of what a client says in one way, whether it has closed the connection or listens on. What is sent to
one that has closed it comes back as a reset. So a client that is silent and still waited for is sent an interim answer,
100 Continue, over which every client of HTTP/1.1 passes; and again later, since it may go after it has read one.

Source: RFC 9110, 15.2: a client parses interim answers before the final one, expected or not. Go's takes five.
"""

import asyncio
import socket
from collections.abc import Callable

INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
ASK_SECONDS = 1.0  # an answer that comes sooner is not preceded by anything; then twice as long each time
ASKS_MOST = 5
LOOK_SECONDS = 0.01  # then twice as long each time
SELDOM_SECONDS = 1.0


class Departure:
    """Ends the connection of a silent client that has gone; it hears of nothing otherwise."""

    def __init__(
        self, transport: asyncio.Transport, waits: Callable[[], bool], between: Callable[[], bool]
    ) -> None:
        """Watch a connection: whether an answer to it `waits`, and whether it is `between` two answers."""
        self._transport = transport
        self._waits = waits
        self._between = between
        self._loop = asyncio.get_running_loop()
        self._looking: asyncio.TimerHandle | None = None
        self._loop.call_later(ASK_SECONDS, self._ask, 1)

    def _ask(self, asks: int) -> None:
        """Say something, the first time or a later one, which a client that has gone refuses."""
        if self._transport.is_closing() or not self._waits():
            return
        if self._between():
            self._transport.write(INTERIM)
        if asks < ASKS_MOST:
            self._loop.call_later(ASK_SECONDS * 2**asks, self._ask, asks + 1)
        if self._looking is not None:
            self._looking.cancel()
        self._look(LOOK_SECONDS)

    def _look(self, seconds: float) -> None:
        """Look whether it was refused; nothing is read any more, so no event tells."""
        if self._transport.is_closing() or not self._waits():
            return
        if self._transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
        else:
            later = min(2 * seconds, SELDOM_SECONDS)
            self._looking = self._loop.call_later(seconds, self._look, later)
