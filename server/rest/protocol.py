"""The hot path: whole plain predict requests answered as their bytes arrive, without an ASGI cycle.

Everything else falls through to uvicorn and FastAPI, unchanged. The two roads call the same
functions for what a request asks and how an answer is worded, so they are one behaviour.
"""

from collections import deque
from typing import Any

from server.rest.connection import END, GOODBYE, Connection, Ending
from server.rest.heads import START, Heads, Target
from server.rest.turns import BODY_BYTES, Turn, Turns

TURNS = 64  # requests of one connection under way; a client that pipelines more waits
HELD_BYTES = 1 << 16  # what is taken in from it meanwhile


class PredictProtocol(Connection):
    """One connection: plain predict requests on the short road, the rest on uvicorn's."""

    def __init__(self, heads: Heads, asked: Turns, ending: Ending, **uvicorn: Any) -> None:
        super().__init__(ending, **uvicorn)
        self._read_head = heads.read
        self._asked = asked
        self._turns: deque[Turn] = deque()
        self._held = b""
        self._taking = False
        self._leaving = False  # the connection ends when everything has been answered
        # Of the last request that came whole and alone, if it may be gathered: its target, head and size.
        self._target: Target = ("", None)
        self._beginning = b""
        self._size = 0

    def data_received(self, data: bytes) -> None:
        """Take bytes in: whole plain requests are answered here."""
        if self.untouched and not self._held and not self.flow.write_paused:
            if len(data) == self._size and not self._turns and data.startswith(self._beginning):
                turn = Turn(self.server_state, self.write_answers)  # as nearly always: the same head again
                self._turns.append(turn)
                self._asked.gather(turn, self._target, data[len(self._beginning) :])
            else:
                self._take(data)
        elif self._held or self.waiting():
            self._hold(self._held + data)
        elif self.reading:
            super().data_received(data)
        else:
            self._take(data)

    def _take(self, data: bytes) -> None:
        """Begin whole plain requests; what follows them waits for their answers, or is uvicorn's."""
        at, size, turns = 0, len(data), self._turns
        self._taking = True
        while at < size and len(turns) < TURNS and data.startswith(START, at):
            head = self._read_head(data, at)
            if head is None:
                break
            body = at + head.size
            end = body + head.length
            if end > size:
                break
            if end - at == size and head.timeout_ms is None and head.length <= BODY_BYTES:
                self._target, self._beginning, self._size = head.target, data[:body], size
            turn = Turn(self.server_state, self.write_answers)
            turns.append(turn)
            self._asked.take(turn, head, data[body:end])
            at = end
        self._taking = False
        if at == size:
            return
        if turns:
            self._hold(data[at:])
        else:
            super().data_received(data[at:] if at else data)

    def _hold(self, data: bytes) -> None:
        """Keep bytes until the requests before them have been answered."""
        self._held = data
        self.more_asked()
        if len(data) > HELD_BYTES:
            self.stop_reading()

    def write_answers(self) -> None:
        """Write the answers whose turn it is; when all are written, go on with what was held."""
        turns = self._turns
        if not turns or (reply := turns[0].reply) is None:
            return
        turns.popleft()
        answered = 1
        earlier: list[bytes] = []
        while turns and (following := turns[0].reply) is not None:  # of a client that pipelines
            earlier.append(reply)
            reply = following
            turns.popleft()
            answered += 1
        self.server_state.total_requests += answered
        self._active = self.loop.time()
        if self.transport.is_closing():
            return
        if self.ending.begun and not (turns or self._held or self._taking):
            reply = reply.replace(END, GOODBYE, 1)
        self.transport.write(b"".join((*earlier, reply)) if earlier else reply)
        if self._held or self._leaving:
            self._go_on()

    def _go_on(self) -> None:
        """Take what was held, once nothing before it waits; then end the connection, if it was to."""
        while self._held and self._may_go_on():
            held, self._held = self._held, b""
            self.go_on_reading()
            self.data_received(held)
        if self._leaving and not (self._held or self._turns or self._taking):
            self.end()

    def _may_go_on(self) -> bool:
        if self._taking or self._turns:
            return False
        return not self.waiting()

    def resume_writing(self) -> None:
        """Go on with what was held while the client read no answers."""
        super().resume_writing()
        self._go_on()

    def on_response_complete(self) -> None:
        """Go on with what was held while uvicorn answered."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._go_on()

    def busy(self) -> bool:
        """Whether something is waited for that is not the client."""
        return bool(self._turns) or self.answering()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what the client is no longer there to hear."""
        self._held = b""
        turns, self._turns = self._turns, deque()
        for turn in turns:
            self._asked.leave(turn)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End the connection as soon as what was asked has been answered."""
        if self._turns or self._held:
            self._leaving = True
        else:
            self.end()
