"""One client's own connection to Redis: bytes through, and in between replies that are asked for here.

What is asked for here is only sent while nothing of the client's is unanswered, so every reply that
comes meanwhile is ours, but for what is pushed.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from models.encoding import encoded
from models.errors import RedisUnavailable
from server.resp.caller import Word
from server.resp.commands.many_words import MANY_WORDS
from server.resp.refusals import refused
from server.resp.wire.frames import Malformed
from server.resp.wire.reading import read
from server.resp.wire.scanning import Scanner

ASKED_BYTES = 1 << 30  # of the replies to what is asked for together
REPLY_SECONDS = 30.0  # a tensor of 512 MB takes its time


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


class Asked:
    """Commands that were sent for us: the replies that are there, and who waits for all of them."""

    __slots__ = ("count", "frames", "heard", "size")

    def __init__(self, count: int, heard: "asyncio.Future[list[bytes]]") -> None:
        self.count = count
        self.frames: list[bytes] = []
        self.size = 0  # bytes of them
        self.heard = heard


class Upstream(asyncio.Protocol):
    """A connection to Redis that is up."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._asked: deque[Asked] = deque()
        self.scanner = Scanner()
        self.pieces: list[bytes] = []  # of what has come in part, and is handed on whole
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
                self._reason = str(error)
                self.transport.abort()
        else:
            self._owner.replied(data)

    def _take(self, data: bytes) -> None:
        """Take replies to what was asked here; a push in between is the client's."""
        for frame, pushed in self.whole(data):
            if pushed:
                self._owner.pushed(frame)
            elif self._asked:
                self._one(frame)

    def whole(self, data: bytes) -> Iterator[tuple[bytes, bool]]:
        """Give each reply that ends in what came, all of it, and whether it was pushed; keep the beginning of the next.

        Raises: Malformed.
        """
        at = 0
        for end, pushed in self.scanner.ends(data):
            frame = b"".join((*self.pieces, data[at:end]))
            self.pieces.clear()
            at = end
            yield frame, pushed
        if at < len(data):
            self.pieces.append(data[at:])

    @property
    def halfway(self) -> bool:
        """Whether the client has the beginning of something whose end is still to come."""
        return not self.pieces and not self.scanner.between

    def _one(self, frame: bytes) -> None:
        first = self._asked[0]
        first.size += len(frame)
        first.frames.append(frame if first.size <= ASKED_BYTES else b"")  # of too much nothing is kept
        if len(first.frames) < first.count:
            return
        self._asked.popleft()
        if first.heard.done():
            return
        if first.size <= ASKED_BYTES:
            first.heard.set_result(first.frames)
        else:
            told = f"what this command reads has {first.size} bytes, {ASKED_BYTES} are the most; read less at once"
            first.heard.set_exception(refused(told))

    async def frames(self, commands: Sequence[Sequence[Word]]) -> list[bytes]:
        """Send commands and return their replies as they came.

        Raises: RedisUnavailable.
        """
        data = await encoded_by(commands)
        self.check()
        heard: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._asked.append(Asked(len(commands), heard))
        self.write(data)
        late = asyncio.get_running_loop().call_later(REPLY_SECONDS, self._late, heard)
        try:
            return await heard
        finally:
            late.cancel()

    def check(self) -> None:
        """Go on where it is up.

        Raises: RedisUnavailable, it has ended.
        """
        if self._left:
            raise RedisUnavailable(self._reason or "the connection to Redis was lost")

    def _late(self, heard: "asyncio.Future[list[bytes]]") -> None:
        """Give up waiting for Redis, unless it is the client who does not read."""
        if heard.done():
            return
        if self._quiet:
            asyncio.get_running_loop().call_later(REPLY_SECONDS, self._late, heard)
            return
        heard.set_exception(RedisUnavailable(f"no reply within {REPLY_SECONDS:g} s"))
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

    def leave(self) -> None:
        """End it: the client has left."""
        self._left = True
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits."""
        left, self._left = self._left, True
        self._reason = reason = self._reason or f"the connection was lost{f': {error}' if error else ''}"
        while self._asked:
            heard = self._asked.popleft().heard
            if not heard.done():
                heard.set_exception(RedisUnavailable(reason))
        if not left:
            self._owner.lost(reason)


async def encoded_by(commands: Sequence[Sequence[Word]]) -> bytes:
    """Return commands as Redis takes them; those of very many words are written beside the event loop."""
    if sum(map(len, commands)) <= MANY_WORDS:
        return joined(commands)
    return await asyncio.to_thread(joined, commands)


def joined(commands: Sequence[Sequence[Word]]) -> bytes:
    """Return commands as Redis takes them."""
    return b"".join(map(encoded, commands))
