"""The hot path: whole plain predict requests answered as their bytes arrive, without an ASGI cycle.

Everything else falls through to uvicorn and FastAPI, unchanged. The two roads call the same
functions for what a request asks and how an answer is worded, so they are one behaviour.
"""

from collections import deque
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from server.rest.heads import START, Heads
from server.rest.turns import Turn, Turns

TURNS = 64  # requests of one connection under way; a client that pipelines more waits
HELD_BYTES = 1 << 16  # what is taken in from it meanwhile


class PredictProtocol(HttpToolsProtocol):
    """One connection: plain predict requests on the short road, the rest on uvicorn's."""

    def __init__(self, heads: Heads, asked: Turns, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self._read_head = heads.read
        self._asked = asked
        self._turns: deque[Turn] = deque()
        self._held = b""
        self._reading = False  # uvicorn is in the middle of a message
        self._leaving = False  # the connection ends when its turns have been answered
        self._active = 0.0

    def data_received(self, data: bytes) -> None:
        """Take bytes in: whole plain requests are answered here."""
        if self._held or self.flow.write_paused:
            self._hold(self._held + data)
        elif self._reading or self._asgi_cycle():
            self._active = self.loop.time()
            super().data_received(data)
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Begin whole plain requests; what follows them waits for their answers, or is uvicorn's."""
        at, size, turns, asked = 0, len(data), self._turns, self._asked
        while at < size and len(turns) < TURNS and data.startswith(START, at):
            head = self._read_head(data, at)
            if head is None:
                break
            body = at + head.size
            end = body + head.length
            if end > size:
                break
            turn = Turn(self.server_state, self.write_answers)
            turns.append(turn)
            asked.take(turn, head, data[body:end])
            at = end
        if at and self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if at == size:
            return
        if turns:
            self._hold(data[at:])
        else:
            super().data_received(data[at:] if at else data)

    def _hold(self, data: bytes) -> None:
        """Keep bytes until the requests before them have been answered."""
        self._held = data
        if len(data) > HELD_BYTES:
            self.flow.pause_reading()

    def write_answers(self) -> None:
        """Write the answers whose turn it is; when all are written, go on with what was held."""
        turns = self._turns
        replies: list[bytes] = []
        while turns and (reply := turns[0].reply) is not None:
            replies.append(reply)
            turns.popleft()
        if not replies:
            return
        self.server_state.total_requests += len(replies)
        self._active = self.loop.time()
        if not self.transport.is_closing():
            self.transport.write(replies[0] if len(replies) == 1 else b"".join(replies))
            if not turns and (self._held or self._leaving):
                self._answered_all()

    def _answered_all(self) -> None:
        if self._held and not self.flow.write_paused:
            held, self._held = self._held, b""
            self.flow.resume_reading()
            self._take(held)
        if self._leaving and not self._turns:
            super().shutdown()

    def resume_writing(self) -> None:
        """Go on with what was held while the client read no answers."""
        super().resume_writing()
        if not self._turns:
            self._answered_all()

    def on_message_begin(self) -> None:
        """Note that uvicorn reads a message."""
        self._reading = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """Note that uvicorn has read it."""
        self._reading = False
        super().on_message_complete()

    def connection_made(self, transport: Any) -> None:
        """Watch over a connection; one that says nothing for too long is closed."""
        super().connection_made(transport)
        self._active = self.loop.time()
        self._idle = self.loop.call_later(self.timeout_keep_alive, self._check_idle)

    def _check_idle(self) -> None:
        """Close a connection that nothing happens on; a message that uvicorn reads has bounds of its own."""
        left = self._active + self.timeout_keep_alive - self.loop.time()
        if self._turns or self._asgi_cycle():
            left = self.timeout_keep_alive
        if left <= 0:
            self.transport.close()
        else:
            self._idle = self.loop.call_later(left, self._check_idle)

    def _asgi_cycle(self) -> bool:
        """Whether uvicorn answers something."""
        cycle: RequestResponseCycle | None = self.cycle  # None until the first
        return bool(self.pipeline) or (cycle is not None and not cycle.response_complete)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn promises None, asyncio takes either
        """Let a client that has sent all it wants to still have its answers."""
        if not self._turns:
            return False
        self._leaving = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what the client is no longer there to hear."""
        self._idle.cancel()
        self._held = b""
        turns, self._turns = self._turns, deque()
        for turn in turns:
            self._asked.leave(turn)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End the connection as soon as what it asked has been answered."""
        if self._turns:
            self._leaving = True
        else:
            super().shutdown()
