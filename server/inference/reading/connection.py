"""One socket to Redis: batches of commands out, replies back to their callers in order.

It knows no reconnecting: whoever owns it gets back what was not answered.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Any, Protocol

import hiredis
from redis.exceptions import ResponseError

from models.errors import InsituError, RedisUnavailable, shown
from server.inference.moments import Moment
from server.inference.reading.faults import UNNAMED
from server.inference.reading.reads import Batch, Done, Read, tell

log = logging.getLogger(__name__)

UNFINISHED = object()  # what hiredis gives while a reply is not whole
PARSE_BUFFER_BYTES = 1 << 20  # kept between replies; hiredis' own 16 KiB are allocated anew for each burst
STALL_SECONDS = 0.01  # our own loop may have been the slow one: what has arrived is read before a verdict


class Owner(Protocol):
    """Who keeps a connection, and what it is told."""

    def answered(self, batch: Batch, seconds: float) -> None:
        """Every read of a batch has its replies."""

    def judged(self, connection: "Connection", replies: Sequence[Any]) -> InsituError | None:
        """Return what is wrong with replies among which is an error, None when it is a row's affair."""

    def lost(self, connection: "Connection", left: list[Batch], reason: str) -> None:
        """The connection is over; these batches have reads that were not answered."""

    def writable(self) -> None:
        """Whether Redis' side takes more has changed."""


class Connection:
    """One connection, from its making to its loss; a protocol of asyncio by its methods, which compiles to less."""

    __slots__ = (
        "_call_later",
        "_failed",
        "_gets",
        "_handing_out",
        "_heard",
        "_moment",
        "_open",
        "_owner",
        "_parser",
        "_reads",
        "_sent",
        "_stalled",
        "_timeout",
        "_timer",
        "_transport",
        "ended",
        "paused",
    )

    def __init__(self, owner: Owner, timeout_seconds: float, moment: Moment) -> None:
        self._owner, self._timeout, self._moment = owner, timeout_seconds, moment
        self._call_later = asyncio.get_running_loop().call_later
        self._transport: Any = None
        self._sent: deque[Batch] = deque()
        self._reads: Iterator[Read] = iter(())  # those of the first batch that no reply has come for
        self._open: Read | None = None  # the read whose replies are coming
        self._failed = False  # an error is among the replies of the read at hand
        self._timer: asyncio.TimerHandle | None = None
        self._stalled = False
        self._heard = monotonic()
        self.paused = False
        self.ended = ""  # why, once it has
        self._parser: Any = hiredis.Reader(replyError=self._error, notEnoughData=UNFINISHED)
        self._parser.setmaxbuf(PARSE_BUFFER_BYTES)
        self._gets: Callable[[], Any] = self._parser.gets
        self._handing_out: Iterator[None] = self._hand_out()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = transport

    def send(self, batch: Batch, payload: bytes) -> None:
        """Write a batch; its reads are answered in order, after those sent before."""
        if not self._sent:
            self._reads = iter(batch.reads)
        self._sent.append(batch)
        if self._timer is None:
            self._timer = self._call_later(self._timeout, self._look)
        self._transport.write(payload)

    def greet(self, commands: Sequence[bytes], done: Done) -> None:
        """Send the first commands of a connection, which nobody counts; one that has ended by then tells why."""
        if self.ended:
            tell(done, RedisUnavailable(self.ended))
            return
        batch = Batch([(commands, done)], 0, 0, monotonic())
        self.send(batch, batch.payload())

    def eof_received(self) -> None:
        """Let the transport close: nothing is sent to a Redis that says nothing more."""

    def data_received(self, data: bytes) -> None:
        """Hand out what has become whole."""
        self._heard = monotonic()
        try:
            self._parser.feed(data)
            with self._moment:
                next(self._handing_out, None)
        except hiredis.HiredisError as error:
            self.drop(f"what came is no reply of Redis: {error}")

    def _hand_out(self) -> Iterator[None]:
        """Give each read its replies; rests wherever the bytes end.

        A caller may end the connection: whoever does takes the reads that are left out of the
        iterator, so that the loop over them ends here too.
        """
        gets = self._gets
        while not self.ended:
            for read in self._reads:
                self._open = read
                commands, done = read
                replies: list[Any] = []
                keep, missing = replies.append, len(commands)
                while missing:
                    reply = gets()
                    if reply is UNFINISHED:
                        yield
                    else:
                        keep(reply)
                        missing -= 1
                self._open = None
                if self._failed:
                    self._judge(done, replies)
                    continue
                try:
                    done(replies)
                except Exception:
                    log.exception("a caller failed over the replies to its read")
            if not self._next():
                yield

    def _next(self) -> bool:
        """Turn to the next batch; False while there is none."""
        if self._sent and not self.ended:
            batch = self._sent.popleft()
            if self._sent:
                self._reads = iter(self._sent[0].reads)
            self._owner.answered(batch, self._heard - batch.at)
            return True
        if not self.ended and (reply := self._gets()) is not UNFINISHED:
            self.drop(unasked(reply))
        return bool(self.ended)

    def _error(self, text: str) -> ResponseError:
        """Make the reply that stands for an error, and remember that there is one."""
        self._failed = True
        return ResponseError(text)

    def _judge(self, done: Done, replies: list[Any]) -> None:
        self._failed = False
        fault = self._owner.judged(self, replies)
        tell(done, replies if fault is None else fault)

    def _look(self) -> None:
        """Look at the oldest batch: nothing heard for the whole timeout is the end of the connection."""
        self._timer = None
        if not self._sent:
            return
        wait = max(self._sent[0].at, self._heard) + self._timeout - monotonic()
        if wait <= 0 and self._stalled:
            self.drop(f"no reply within {self._timeout:g} s")
            return
        self._stalled = wait <= 0
        self._timer = self._call_later(max(wait, STALL_SECONDS), self._look)

    def pause_writing(self) -> None:
        """Redis takes no more for now."""
        self.paused = True
        self._owner.writable()

    def resume_writing(self) -> None:
        """Redis takes more again."""
        self.paused = False
        self._owner.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has closed, or we have."""
        self.drop(f"connection lost: {exc}" if exc else "connection closed by Redis")

    def drop(self, reason: str) -> None:
        """End the connection now and give back what was not answered; once."""
        if self.ended:
            return
        self.ended = reason
        left = self._left()
        if self._timer is not None:
            self._timer.cancel()
        self._transport.abort()
        self._handing_out = iter(())
        self._owner.lost(self, left, reason)

    def _left(self) -> list[Batch]:
        """Take out the batches that still have reads without replies."""
        if self._sent:
            rest = list(self._reads)
            self._sent[0].reads = [self._open, *rest] if self._open is not None else rest
            self._open = None
        left = list(self._sent)
        self._sent.clear()
        return left


def unasked(reply: Any) -> str:
    """Return what a reply that nobody asked for says: an error is why Redis takes nobody in."""
    if isinstance(reply, ResponseError):
        return shown(reply).removeprefix(UNNAMED)
    return f"a reply that nobody asked for: {shown(reply)}"
