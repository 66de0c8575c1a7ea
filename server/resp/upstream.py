"""One client's own connection to Redis: bytes through, and in between replies that are asked for here.

What is asked for here is only sent while nothing of the client's is unanswered, so every reply that
comes meanwhile is ours, but for what is pushed.
"""

import asyncio
import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any, Protocol

from models.encoding import pieces
from models.errors import RedisUnavailable
from server.resp.caller import Word
from server.resp.commands.many_words import MANY_WORDS
from server.resp.refusals import Refused, refused
from server.resp.wire.frames import Malformed
from server.resp.wire.reading import read
from server.resp.wire.scanning import Scanner

ASKED_BYTES = 1 << 30  # of the replies to what is asked for together
KEPT_BYTES = 1 << 16  # of which note is taken
REPLY_SECONDS = 5.0  # in which something more has to come, or be taken of what was sent
CLIENTS_SECONDS = 30.0  # the same, of transactions and scripts of clients: Redis may be at work on them
LAST_READS, READ_BYTES = 16, 1 << 16  # of what lies unread when a connection is lost
READ_SECONDS = 0.05  # in which what has come by then is read


class Owner(Protocol):
    """Whose connection it is, and what it is told."""

    def replied(self, data: bytes) -> None:
        """Redis sent what is the client's."""

    def pushed(self, data: bytes) -> None:
        """Redis pushed what is the client's between what is ours."""

    def lost(self, reason: str) -> None:
        """The connection has ended, and not because the client left."""

    def hold(self) -> None:
        """Redis takes no more for now."""

    def let(self) -> None:
        """Redis takes more again."""

    def finds_place(self, size: int) -> Refused | None:
        """So many bytes of replies to us are here by now, or none any more; why they may not be kept."""


class Asked:
    """Commands that were sent for us: the replies that are there, and who waits for all of them."""

    __slots__ = ("count", "frames", "heard", "size", "unkept")

    def __init__(self, count: int, heard: "asyncio.Future[list[bytes]]") -> None:
        self.count = count
        self.frames: list[bytes] = []
        self.size = 0  # bytes of them, and of what is there of the next
        self.unkept: Refused | None = None  # why nothing is kept of them
        self.heard = heard


class Patience:
    """How long something is waited for between looks, and what of all that was sent Redis had not taken at the last."""

    __slots__ = ("next", "over", "seconds", "unsent")

    def __init__(self, seconds: float, unsent: int) -> None:
        self.seconds, self.unsent = seconds, unsent
        self.over = False  # but for what may lie there unread
        self.next: asyncio.TimerHandle | None = None

    def ended(self) -> None:
        """Look no more."""
        if self.next is not None:
            self.next.cancel()


class Upstream(asyncio.Protocol):
    """A connection to Redis that is up."""

    def __init__(self, owner: Owner, place: str = "") -> None:
        self._owner = owner
        self.place = place  # where it leads
        self._asked: deque[Asked] = deque()
        self.scanner = Scanner()
        self.pieces: list[bytes] = []  # of what has come in part, and is handed on whole
        self._pile = 0  # bytes of the pieces of a reply to us
        # What there is of one that is long: joined as it comes, not in the end.
        self._long: BytesIO | None = None
        self._came = False  # something for us has, since that was looked at
        self.astray = False  # the database that the client is to be in could not be chosen yet
        self._left = False
        self._reason = ""  # that it ended for
        self._quiet = False  # it is not read from: the client does not read either
        self.transport: Any = None
        self.write: Any = None

    def connection_made(self, transport: Any) -> None:
        """Begin."""
        self.transport, self.write = transport, transport.write

    def data_received(self, data: bytes) -> None:
        """Hand on what is the client's; take what is ours."""
        if self._asked:
            try:
                self._take(data)
            except Malformed as error:
                self.end(str(error))
        else:
            self._owner.replied(data)

    def _take(self, data: bytes) -> None:
        """Take replies to what was asked here; a push in between is the client's."""
        for frame, pushed in self.whole(data):
            if pushed:
                self._owner.pushed(frame)
            elif self._asked:
                self._one(frame)
        if self.pieces and self._asked:
            self._piled(self._asked[0])

    def whole(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Give each reply that ends in what came, all of it, and whether it was pushed; keep the beginning of the next.

        Raises: Malformed.
        """
        at = 0
        for end, pushed in self.scanner.ends(data):
            frame = self._joined(data[at:end])
            at = end
            yield frame, pushed
        if at < len(data):
            self.pieces.append(data[at:])

    def _joined(self, last: bytes) -> bytes:
        """Return the reply that has come in pieces, of which this is the last."""
        pieces, self.pieces[:] = b"".join((*self.pieces, last)), []
        whole, self._long = self._long, None
        if whole is None:
            return pieces
        whole.write(pieces)
        return whole.getvalue()

    @property
    def halfway(self) -> bool:
        """Whether the client has the beginning of something whose end is still to come."""
        return not self.pieces and not self.scanner.between

    def _piled(self, first: Asked) -> None:
        """Take note of one more piece of a reply; nothing is kept of what has no room."""
        self._came = True
        size = len(self.pieces[-1])
        self._pile += size
        first.size += size
        if not first.unkept:
            first.unkept = self._unkept(first.size)
        if first.unkept:
            first.frames[:] = [b""] * len(first.frames)
            self._long = None
            self.pieces[:] = [b""]  # still something: the reply has not ended
        elif self._pile > KEPT_BYTES:
            self._long = self._long or BytesIO()  # it hands out what it holds without copying it
            self._long.writelines(self.pieces)
            self.pieces[:] = [b""]

    def _unkept(self, size: int) -> Refused | None:
        """Return why so much that was asked for is not kept, None where it is."""
        if size > ASKED_BYTES:
            return too_long(size)
        return self._owner.finds_place(size) if size > KEPT_BYTES else None

    def _one(self, frame: bytes) -> None:
        first = self._asked[0]
        self._came = True
        pile, self._pile = self._pile, 0
        first.size += len(frame) - (0 if first.unkept else pile)
        first.frames.append(b"" if first.unkept else frame)
        if len(first.frames) < first.count:
            return
        self._asked.popleft()
        if first.size > KEPT_BYTES:
            first.unkept = self._unkept(first.size) or first.unkept
            self._owner.finds_place(0)
        if first.heard.done():
            return
        if first.unkept:
            first.heard.set_exception(first.unkept)
        else:
            first.heard.set_result(first.frames)

    async def frames(self, commands: Sequence[Sequence[Word]], seconds: float | None = None) -> list[bytes]:
        """Send commands and return their replies as they came.

        Units:  seconds, in which something more has to come; REPLY_SECONDS where none are given.
        Raises: RedisUnavailable.
        """
        data = await pieces_by(commands)
        self.check()
        heard: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._asked.append(Asked(len(commands), heard))
        for piece in data:
            self.write(piece)
        patience = Patience(seconds or REPLY_SECONDS, self.transport.get_write_buffer_size())
        self._look_in(patience.seconds, heard, patience)
        try:
            return await heard
        finally:
            patience.ended()

    def _look_in(self, seconds: float, heard: "asyncio.Future[list[bytes]]", patience: Patience) -> None:
        patience.next = asyncio.get_running_loop().call_later(seconds, self._late, heard, patience)

    def check(self) -> None:
        """Go on where it is up.

        Raises: RedisUnavailable, it has ended.
        """
        if self._left:
            raise RedisUnavailable(self._reason or "the connection to Redis was lost")

    def _late(self, heard: "asyncio.Future[list[bytes]]", patience: Patience) -> None:
        """Give up waiting for Redis, unless it is the client who does not read, or something moves either way."""
        if heard.done():
            return
        before, patience.unsent = patience.unsent, self.transport.get_write_buffer_size()
        if self._quiet or self._came or patience.unsent < before:
            self._came = patience.over = False
            self._look_in(patience.seconds, heard, patience)
            return
        if not patience.over:  # a loop that stood still looks at its clocks before it reads what has come
            patience.over = True
            self._look_in(READ_SECONDS, heard, patience)
            return
        heard.set_exception(RedisUnavailable(f"no reply within {patience.seconds:g} s"))
        self.transport.abort()

    def quieten(self) -> None:
        """Read no more for now."""
        if not self.transport.is_closing():
            self._quiet = True
            self.transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        self._quiet = False
        if not self.transport.is_closing():
            self.transport.resume_reading()

    async def ask(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Send commands and return their replies, read; an error is a ResponseError in its place.

        Raises: RedisUnavailable.
        """
        if not commands:
            return []
        return [read(frame) for frame in await self.frames(commands)]

    def pause_writing(self) -> None:
        """Let the client send no more for now."""
        self._owner.hold()

    def resume_writing(self) -> None:
        """Let the client go on."""
        self._owner.let()

    def end(self, reason: str) -> None:
        """End it as if it had broken for a reason."""
        self._reason = reason
        self.transport.abort()

    def leave(self) -> None:
        """End it: the client has left."""
        self._left = True
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits, of what Redis has said last first: a write that fails leaves it unread."""
        left = self._left
        late = () if error is None or left or self._quiet else (*unread(self.transport),)
        for data in late:
            self.data_received(data)
        self._left = True
        self._reason = reason = self._reason or f"the connection was lost{f': {error}' if error else ''}"
        while self._asked:
            heard = self._asked.popleft().heard
            if not heard.done():
                heard.set_exception(RedisUnavailable(reason))
        if not left and late:  # who waited for that has its turn first
            asyncio.get_running_loop().call_soon(self._owner.lost, reason)
        elif not left:
            self._owner.lost(reason)


def unread(transport: Any) -> Iterator[bytes]:
    """Give what has come over a connection in clear that is lost and not closed yet, and was not read."""
    if transport.get_extra_info("ssl_object") is not None:
        return
    descriptor = transport.get_extra_info("socket").fileno()
    with suppress(OSError):
        for _ in range(LAST_READS):
            if not (data := os.read(descriptor, READ_BYTES)):
                return
            yield data


def too_long(size: int) -> Refused:
    """Return the error of a command that asks Redis for too much."""
    told = f"what this command reads has {size} bytes, {ASKED_BYTES} are the most; read less at once"
    return refused(told)


async def pieces_by(commands: Sequence[Sequence[Word]]) -> list[bytes]:
    """Return commands as Redis takes them; those of very many words are written beside the event loop."""
    if sum(map(len, commands)) <= MANY_WORDS:
        return pieces(commands)
    return await asyncio.to_thread(pieces, commands)
