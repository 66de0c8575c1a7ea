"""The hot path: whole plain predict requests answered as their bytes arrive, without an ASGI cycle.

Everything else falls through to uvicorn and FastAPI, unchanged. The two roads call the same
functions for what a request asks and how an answer is worded, so they are one behaviour.
"""

import logging
from collections import deque
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from models.errors import InsituError
from server.inference.asking import Answer
from server.inference.engine import Engine
from server.inference.requests import Request
from server.rest import asks, errors, predict
from server.rest.heads import START, Head, Heads
from server.rest.refusals import Broken
from server.rest.wire import JSON_KIND, Json, as_json

log = logging.getLogger(__name__)

TURNS = 64  # requests of one connection under way; a client that pipelines more waits
HELD_BYTES = 1 << 16  # what is taken in from it meanwhile
FORM = b"%b%%bcontent-length: %%d\r\ncontent-type: %b\r\n\r\n%%b" % (STATUS_LINE[200], JSON_KIND.encode())


class Turn:
    """One request of a connection; answers leave in the order of the requests."""

    __slots__ = ("protocol", "reply", "request")

    def __init__(self, protocol: "PredictProtocol") -> None:
        self.protocol = protocol
        self.reply: bytes | None = None
        self.request: Request | None = None

    def answered(self, outcome: Answer | Exception) -> None:
        """Write the answer when it is this one's turn."""
        protocol = self.protocol
        self.reply = protocol.road.reply(outcome, protocol.server_state.default_headers)
        protocol.write_answers()


class Road:
    """What all connections share: who may ask, whom to ask, how answers are written."""

    def __init__(self, engine: Engine, heads: Heads) -> None:
        self._engine = engine
        self._default_headers: Any = None
        self._begin = b""
        self.heads = heads

    def take(self, turn: Turn, head: Head, body: bytes) -> None:
        """Begin to answer one request."""
        try:
            ask = asks.of_keys(head.model, head.reference, body) if head.timeout_ms is None else None
            ask = ask or predict.of_bytes(head.model, head.reference, body, head.timeout_ms)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is answered
            predict.count(self._engine, error)
            turn.answered(error)
            return
        turn.request = self._engine.predictor.submit(ask, turn.answered)

    def leave(self, turn: Turn) -> None:
        """Give a request up: its client has gone."""
        if turn.request is not None:
            self._engine.predictor.leave(turn.request)

    def reply(self, outcome: Answer | Exception, default_headers: list[tuple[bytes, bytes]]) -> bytes:
        """Return the whole answer as bytes."""
        if (
            default_headers is not self._default_headers
        ):  # uvicorn makes a new list every second, for the date
            self._default_headers = default_headers
            self._begin = b"".join(b"%b: %b\r\n" % header for header in default_headers)
        if not isinstance(outcome, Answer):
            return self._error(outcome)
        try:
            body = as_json(predict.worded(predict.whole(outcome)))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is answered
            return self._error(error)
        return FORM % (self._begin, len(body), body)

    def _error(self, error: Exception) -> bytes:
        if not isinstance(error, InsituError):
            log.error("a prediction failed", exc_info=error)
            error = Broken()
        answer: Json = errors.answer(error)
        headers = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        return b"".join((STATUS_LINE[answer.status_code], self._begin, headers, b"\r\n", bytes(answer.body)))


class PredictProtocol(HttpToolsProtocol):
    """One connection: plain predict requests on the short road, the rest on uvicorn's."""

    def __init__(self, road: Road, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.road = road
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
        at, size, turns, road = 0, len(data), self._turns, self.road
        while at < size and len(turns) < TURNS and data.startswith(START, at):
            head = road.heads.read(data, at)
            if head is None:
                break
            body = at + head.size
            end = body + head.length
            if end > size:
                break
            turn = Turn(self)
            turns.append(turn)
            road.take(turn, head, data[body:end])
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
            self.road.leave(turn)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End the connection as soon as what it asked has been answered."""
        if self._turns:
            self._leaving = True
        else:
            super().shutdown()
