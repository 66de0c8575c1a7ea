"""The hot path: whole plain predict requests answered as their bytes arrive, without an ASGI cycle.

Everything else falls through to uvicorn and FastAPI, unchanged. The two roads call the same
functions for what a request asks and how an answer is worded, so they are one behaviour.
"""

import asyncio
from collections import deque
from typing import Any

from server.rest.connection import END, GOODBYE, Connection, Ending
from server.rest.heads import STARTS, Head, Heads
from server.rest.turns import BODY_BYTES, Turn, Turns
from server.rest.v2.turns import InferTurns

TURNS = 64  # requests of one connection under way; a client that pipelines more waits
HELD_BYTES = 1 << 16  # what is taken in from it meanwhile
PART_SECONDS = 1.0  # how long the rest of a body is waited for here; uvicorn knows what to do with a slow one


class PredictProtocol(Connection):
    """One connection: plain requests for predictions on the short road, the rest on uvicorn's."""

    def __init__(
        self, heads: Heads, asked: Turns, inferred: InferTurns, ending: Ending, **uvicorn: Any
    ) -> None:
        super().__init__(ending, **uvicorn)
        self._read_head = heads.read
        self._asked, self._inferred = asked, inferred
        self._turns: deque[Turn] = deque()
        self._held = b""
        self._taking = False
        self._leaving = False  # the connection ends when everything has been answered
        # Of the last request that came whole and alone, if it may be gathered: its head, read and as it came, and size.
        self._again: Head | None = None
        self._beginning = b""
        self._size = 0
        # A body of which a part has come, and how many bytes there will be; who gives it to uvicorn when it is slow.
        self._parts: list[bytes] = []
        self._missing = 0
        self._patience: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Take bytes in: whole plain requests are answered here."""
        if self._parts:
            self._more(data)
        elif self.untouched and not self._held and not self.flow.write_paused:
            if len(data) == self._size and not self._turns and data.startswith(self._beginning):
                turn = Turn(self.server_state, self.write_answers)  # as nearly always: the same head again
                self._turns.append(turn)
                self._gather(turn, self._again, data[len(self._beginning) :])
            else:
                self._take(data)
        elif self._held or self.waiting():
            self._hold(self._held + data)
        elif self.reading:
            super().data_received(data)
        else:
            self._take(data)

    def _gather(self, turn: Turn, head: Head | None, body: bytes) -> None:
        """Begin a request whose head is the one before's."""
        if head is None:
            raise ValueError("there was no request before")
        if head.infers:
            self._inferred.take(turn, head, body)
        else:
            self._asked.gather(turn, head.target, body)

    def _take(self, data: bytes) -> None:
        """Begin whole plain requests; what follows them waits for their answers, or is uvicorn's."""
        at, size, turns = 0, len(data), self._turns
        self._taking = True
        while at < size and len(turns) < TURNS and data.startswith(STARTS, at):
            head = self._read_head(data, at)
            if head is None:
                break
            body = at + head.size
            end = body + head.length
            if end > size:
                if head.infers and not turns:  # its tensors come in several parts
                    self._begin_parts(data[at:] if at else data, end - size)
                    at = size
                break
            if end - at == size:
                self._remember(head, data[:body], size)
            turn = Turn(self.server_state, self.write_answers)
            turns.append(turn)
            (self._inferred if head.infers else self._asked).take(turn, head, data[body:end])
            at = end
        self._taking = False
        if at == size:
            return
        if turns:
            self._hold(data[at:])
        else:
            super().data_received(data[at:] if at else data)

    def _remember(self, head: Head, beginning: bytes, size: int) -> None:
        """Keep the head of a request that came alone, if those that come after it may be gathered."""
        if head.timeout_ms is None and (head.infers or head.length <= BODY_BYTES):
            self._again, self._beginning, self._size = head, beginning, size

    def _begin_parts(self, data: bytes, missing: int) -> None:
        """Keep the part of a request that has come."""
        self._parts, self._missing = [data], missing
        self.touch()
        self._patience = self.loop.call_later(PART_SECONDS, self._give_parts)

    def _more(self, data: bytes) -> None:
        """Take more of a request that came in parts; what is whole is begun."""
        self._parts.append(data)
        self._missing -= len(data)
        self.touch()
        if self._missing <= 0:
            self._take(self._joined_parts())

    def _joined_parts(self) -> bytes:
        """Return what has come, and wait for no more of it."""
        data, self._parts = b"".join(self._parts), []
        if self._patience is not None:
            self._patience.cancel()
        return data

    def _give_parts(self) -> None:
        """Let uvicorn wait for the rest of a request."""
        if self._parts:
            super().data_received(self._joined_parts())

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
        self._joined_parts()
        turns, self._turns = self._turns, deque()
        for turn in turns:
            self._asked.leave(turn)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End the connection as soon as what was asked has been answered."""
        self._give_parts()
        if self._turns or self._held:
            self._leaving = True
        else:
            self.end()
