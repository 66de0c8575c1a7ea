"""One HTTP connection with the bounds and the endings that uvicorn leaves out; it knows no route.

Beyond uvicorn's protocol: a connection on which nothing happens is closed even when nothing ever
did; a head is bounded in bytes and time; a client that has said all still hears the answers; bytes
that are no HTTP are told so after the answers to what came before them; an offer of another
protocol is not taken up; only the last answer of a connection says that it ends.
"""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from models.errors import InsituError
from server.rest import errors
from server.rest.departures import Departure
from server.rest.refusals import HeadTooLarge, MalformedRequest

HEAD_BYTES = 1 << 16  # and what one read brings: the parser counts no better
END = b"\r\n\r\n"
REQUEST_LINE = re.compile(rb"^[!-~]{1,64} (/[!-~]*) HTTP/1\.[01]\r?$", re.MULTILINE)
LINGER_SECONDS = 2.0
CONNECT = b"CONNECT"
GOODBYE = b"\r\nconnection: close\r\n\r\n"


class Ending:
    """Whether the server ends; every connection looks here."""

    begun = False


class Flow(FlowControl):
    """uvicorn's flow control, which reads no more while enough is held."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self.full = False

    def resume_reading(self) -> None:
        """Read on, if there is room."""
        if not self.full:
            super().resume_reading()


class Connection(HttpToolsProtocol):
    """One connection."""

    def __init__(self, ending: Ending, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.ending = ending
        self.reading = False  # uvicorn is in the middle of a message
        self.untouched = True  # uvicorn neither reads nor answers anything
        self.half_closed = False
        self._in_head = False
        self._offering = False  # the head that was read last offers another protocol
        self._head_bytes = 0
        self._active = 0.0
        self._last_word: Callable[[], None] | None = None
        self._last: RequestResponseCycle | None = None  # told to say that the connection ends
        self._answered: RequestResponseCycle | None = None  # `cycle` is the newest, which waits for its turn

    def answering(self) -> bool:
        """Whether uvicorn answers something."""
        cycle: RequestResponseCycle | None = self.cycle  # None until the first
        return bool(self.pipeline) or (cycle is not None and not cycle.response_complete)

    def waiting(self) -> bool:
        """Whether what comes now has to wait: for answers to what came before, or for their reader."""
        if not self.reading:
            return self.flow.write_paused or self.answering()
        return bool(self.pipeline) or (self.answering() and not self.cycle.more_body)

    def connection_made(self, transport: Any) -> None:
        """Watch over a connection."""
        super().connection_made(transport)
        self.flow: Flow = Flow(transport)
        self.touch()
        self._idle = self.loop.call_later(self.timeout_keep_alive, self._check_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no longer; what is answered hears of it, also while later requests wait, which are never begun."""
        self._idle.cancel()
        super().connection_lost(exc)
        cycle = self._answered
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def touch(self) -> None:
        """Note that something happens."""
        self._active = self.loop.time()

    def busy(self) -> bool:
        """Whether something is waited for that is not the client."""
        return self.answering()

    def _check_idle(self) -> None:
        """Close a connection that nothing happens on; a body that uvicorn reads has bounds of its own."""
        left = self._active + self.timeout_keep_alive - self.loop.time()
        if self.busy():
            left = self.timeout_keep_alive
        if left <= 0:
            self.transport.close()
        else:
            self._idle = self.loop.call_later(left, self._check_idle)

    def data_received(self, data: bytes) -> None:
        """Let uvicorn read."""
        if self._last_word is not None:
            return
        in_head, message = self._in_head, self.scope
        if not in_head:
            self.touch()
        self._parse(data)
        if in_head and self._in_head and self.scope is message:  # not in the head of a later one
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._end_with(HeadTooLarge(HEAD_BYTES))

    def _parse(self, data: bytes) -> None:
        """Let uvicorn's parser read; a head that offers another protocol once more, without the offer.

        The parser takes what follows such a head for the other protocol, and the body for none.
        """
        while data:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as offer:
                if not self._offering:
                    return  # CONNECT, which is answered; nothing that follows it is HTTP
                self._offering = False
                data = self._without_offer() + data[offer.args[0] :]
            except HttpParserError:
                if not self.url:  # it gave up before the path: at a method that is none
                    lines = REQUEST_LINE.findall(data)
                    self.url = lines[-1] if lines else b""
                said = "Invalid HTTP request received."
                self.logger.warning(said)
                self.send_400_response(said)
                return
            else:
                return

    def _without_offer(self) -> bytes:
        """Return the head that was read last without its Upgrade."""
        version = self.parser.get_http_version().encode()
        line = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)
        kept = (b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade")
        return b"".join((line, *kept, END[2:]))

    def on_message_begin(self) -> None:
        """Note that uvicorn reads a message."""
        self.reading = self._in_head = True
        self.untouched = False
        self._head_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header without the spaces behind its value, which are no part of it (RFC 9110, 5.5)."""
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """Let the newest answer say that the connection ends, when it does."""
        if self.parser.should_upgrade() and self.parser.get_method() != CONNECT:
            self._offering = True
            return
        self._in_head = False
        super().on_headers_complete()
        self.more_asked()
        if self.ending.begun and self.cycle.keep_alive:
            self._last, self.cycle.keep_alive = self.cycle, False

    def more_asked(self) -> None:
        """Take back that an answer is the last, if nobody was told yet."""
        if self._last is not None and not self._last.response_started:
            self._last.keep_alive = True
        self._last = None

    def on_message_complete(self) -> None:
        """Note that uvicorn has read it."""
        if self._offering:
            return
        self.reading = False
        super().on_message_complete()
        self.untouched = not self.answering()

    def on_response_complete(self) -> None:
        """Go on after an answer of uvicorn's."""
        super().on_response_complete()
        self.untouched = not (self.reading or self.answering())
        self._unset_keepalive_if_required()  # _check_idle watches
        self.touch()
        if self._last_word is not None and not self.answering():
            self._last_word()

    def send_400_response(self, msg: str) -> None:  # uvicorn's own words
        """Refuse what is no HTTP, or a path that is longer than the parser takes."""
        long = len(path_of(self)) >= HEAD_BYTES
        self._end_with(HeadTooLarge(HEAD_BYTES) if long else MalformedRequest())

    def _end_with(self, error: InsituError) -> None:
        """Say the last word of a connection, after the answers to what came before."""
        if not self.answering() or self.cycle.more_body:
            self._refuse(error)
            return
        self._last_word = partial(self._refuse, error)
        self.stop_reading()

    def stop_reading(self) -> None:
        """Take no more in until `go_on_reading`."""
        self.flow.full = True
        self.flow.pause_reading()

    def go_on_reading(self) -> None:
        """Take more in."""
        self.flow.full = False
        self.flow.resume_reading()

    def _refuse(self, error: InsituError) -> None:
        """Answer, close, and read on for a moment: a client that is still sending would get a reset for an answer."""
        self.transport.write(last_answer(error, self))
        self._last_word = self.transport.close
        self.go_on_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def end(self) -> None:
        """End the connection after the answer that uvicorn gives, now if there is none."""
        if self.half_closed and self.reading:
            self.transport.close()  # the rest of it never comes
        else:
            super().shutdown()

    def shutdown(self) -> None:
        """End the connection as soon as what was asked has been answered."""
        self.end()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn promises None, asyncio takes either
        """Let a client that has sent all it wants to still have its answers; TLS has no such thing."""
        if self.scheme == "https" or self.reading or not self.busy():
            return False
        self.half_closed = True
        self.shutdown()
        if not self.transport.is_closing():
            Departure(self.transport, self.busy, self._between_answers)
        return True

    def _between_answers(self) -> bool:
        """Whether an interim answer may be sent: nothing of the next one has been, and who asks knows of such."""
        cycle = self._answered
        if cycle is None or not self.answering():
            return True
        return not cycle.response_started and cycle.scope["http_version"] == "1.1"


def last_answer(error: InsituError, connection: HttpToolsProtocol) -> bytes:
    """Return the answer to what cannot be read, which is the last on a connection."""
    answer = errors.answer(error, path_of(connection).partition(b"?")[0].decode("latin-1"))
    headers = (*connection.server_state.default_headers, *answer.raw_headers)
    head = b"".join((STATUS_LINE[answer.status_code], *[b"%b: %b\r\n" % header for header in headers]))
    return head + GOODBYE[2:] + bytes(answer.body)


def path_of(connection: HttpToolsProtocol) -> bytes:
    """Return the path of the last message, as much of it as was read; nothing where none was begun."""
    return connection.url or b""  # None until the first message begins
