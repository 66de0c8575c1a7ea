"""What of one client goes through to Redis, and its replies on their way back: counted, and looked at where need be."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from models.errors import InsituError, RedisUnavailable
from server.resp.errors import answer as error_reply
from server.resp.reaching import opened
from server.resp.refusals import Refused
from server.resp.service import Service
from server.resp.session import Session
from server.resp.slots import Slots
from server.resp.upstream import Upstream
from server.resp.wire.frames import END, Bytes, Malformed, Rest
from server.resp.wire.scanning import whole

CLIENT, REDIS = 1, 2  # who takes no more for now
ENDING_SECONDS = 30.0  # in which a client reads what is left for it
Observer = Callable[[bytes], None]


class Passing:
    """The side of a connection that Redis is on; what reads the client's commands is built upon it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.session = Session(service.access, service.home)
        self.upstream: Upstream | None = None
        self.transport: Any = None
        self.sent = self.got = 0  # commands that went through, and their replies
        self.raw = False  # nothing is looked at any more
        self._write: Any = None
        self._held = False  # input waits for something else than the client
        self._full = 0  # who takes no more for now: nothing is begun until they do
        self._stopped = False  # the client is not read from
        self._leaving = False
        self._reading = False  # what came is being begun
        self._slots = Slots(self._tell, self._freed)
        self._observers: deque[tuple[int, Observer]] = deque()
        self._silent: deque[int] = deque()  # those whose replies nobody wants
        self._refusal = b""  # why Redis takes nobody in: it says so unasked, and ends the connection
        self._begun: bool | None = (
            None  # whether the client has the beginning of the reply that is coming, or nobody
        )
        self._unwanted: Rest | None = None  # what is still to come of a command that was refused
        self._making = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def read(self) -> None:
        """Pass on and begin what came, as far as it may be by now."""
        raise NotImplementedError

    def finds_place(self, size: int) -> Refused | None:
        """Take note that so much of Redis' replies to us is coming; why it may not be kept, None where it may."""
        raise NotImplementedError

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done beside; it ends with the client."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop(self) -> None:
        if not self._stopped and not self.transport.is_closing():
            self._stopped = True
            self.transport.pause_reading()

    def hold(self) -> None:
        """Read no more from the client for now: Redis does not take it."""
        self._full |= REDIS
        self._stop()

    def let(self) -> None:
        """Go on: Redis takes more."""
        self._full &= ~REDIS
        self.read()

    def open(self) -> bool:
        """Whether commands may go through now; else they are held until they may."""
        subscriptions = self.session.subscriptions
        if self._slots or (subscriptions is not None and subscriptions.awaited):
            self._held = True
            return False
        if self.upstream is None:
            self._held = True
            if not self._making.locked():
                self.spawn(self._reach())
            return False
        return True

    def through(self, data: Bytes, count: int, observer: Observer | None = None) -> None:
        """Send commands through to Redis; `observer` hears the reply to the last one."""
        session = self.session
        if count and (session.muted or session.skip):
            self._silent.extend(range(self.sent + 1, self.sent + 1 + (count if session.muted else 1)))
            session.skip = False
        self.sent += count
        if observer is not None:
            self._observers.append((self.sent, observer))
        if self.upstream is not None:
            self.upstream.write(data)

    def replied(self, data: bytes) -> None:
        """Hand on what Redis sent to the client."""
        upstream = self.upstream
        if upstream is None:
            self._refused_by_redis(data)
            return
        if self.raw:
            self._write(data)
            return
        try:
            if (
                self.got >= self.sent
                or self._observers
                or self._silent
                or upstream.pieces
                or self._begun is not None
                or self.session.subscriptions is not None
            ):
                data = self._looked_at(data, upstream)
            elif upstream.scanner.between and whole(data):
                self.got += 1
            else:
                self.got += sum(not pushed for _, pushed in upstream.scanner.ends(data))
        except Malformed as error:
            self.lost(str(error))
            return
        self._write(data)
        if self._held and self.got >= self.sent:
            self.read()
        elif self._leaving:
            self._end_if_done()

    def pushed(self, data: bytes) -> None:
        """Hand on what Redis pushed between replies of ours."""
        self._write(data)

    def _looked_at(self, data: bytes, upstream: Upstream) -> bytes:
        """Look at replies on their way; return what the client is to have of them."""
        wanted: list[bytes] = []
        for frame, pushed in upstream.whole(data):
            begun, self._begun = self._begun, None
            if begun is None:
                has = bool(pushed | self._published(frame, pushed)) or self._counted(frame)
            else:
                has = self._counted(frame)
            if has:
                wanted.append(frame)
        if upstream.pieces and (self._begun is not None or self._needs_no_look(upstream.pieces[0])):
            self._begun = not self._silent or self._silent[0] != self.got + 1
            if self._begun:
                wanted += upstream.pieces
            upstream.pieces.clear()
        return b"".join(wanted)

    def _needs_no_look(self, beginning: bytes) -> bool:
        """Whether a reply that begins so need not be whole: it is a command's, and nobody looks for it."""
        ours = self.got >= self.sent or (self._observers and self._observers[0][0] <= self.got + 1)
        told = self.session.subscriptions is not None and self.session.wire.version < 3
        return not ours and not told and beginning[:1] not in b">-"

    def _published(self, frame: bytes, pushed: bool) -> bool:
        """Whether something is a message or a confirmation, and no reply that was counted on."""
        subscriptions = self.session.subscriptions
        if subscriptions is None:
            return False
        heard = (pushed or self.session.wire.version < 3 or frame[:1] == b"-") and subscriptions.hear(
            frame, pushed
        )
        if not subscriptions.awaited and not subscriptions.any:
            self.session.subscriptions = None
        return heard

    def _counted(self, frame: bytes) -> bool:
        """Count a reply, and tell whoever looks for it; whether the client wants it."""
        if self.got >= self.sent and self._refused_by_redis(frame):
            return False
        self.got += 1
        while self._observers and self._observers[0][0] <= self.got:
            self._observers.popleft()[1](frame)
        if self._silent and self._silent[0] == self.got:
            self._silent.popleft()
            return False
        return True

    def _refused_by_redis(self, said: bytes) -> bool:
        """Keep an error that Redis says unasked until the connection ends; whether it is one."""
        if said.startswith(b"-"):
            self._refusal = said[: said.find(END) + len(END)]
            return True
        return False

    def lost(self, reason: str) -> None:
        """End with the connection to Redis: nobody could say any more which reply is to what."""
        upstream, self.upstream = self.upstream, None
        if upstream is None or self.transport.is_closing():  # whoever was about to have it is told
            return
        if self._refusal:
            self._write(self._refusal)
        elif upstream.scanner.between and self.sent > self.got:
            self._write(error_reply(RedisUnavailable(reason)))
        upstream.leave()
        self.finish()

    def moved(self, place: str) -> None:
        """End with a connection to where Redis is no more."""
        upstream = self.upstream
        if upstream is not None and upstream.place != place:
            upstream.end(f"{upstream.place} was replaced by {place}")

    async def connected(self) -> Upstream:
        """Return the client's connection to Redis, made when it is first needed.

        Raises: RedisUnavailable, RedisRefused; Refused, Redis takes nobody in, in its own words.
        """
        if self.upstream is None:
            async with self._making:
                if self.upstream is None:
                    self.upstream = await self._made()
        return self.upstream

    async def _made(self) -> Upstream:
        """Return a new connection to Redis.

        Raises: as `connected`.
        """
        self._refusal = b""
        try:
            upstream = await opened(self.service, self.session, self)
            upstream.check()
        except RedisUnavailable:
            if self._refusal:
                raise Refused(self._refusal[1:].decode("utf-8", "replace").strip()) from None
            raise
        return upstream

    async def _reach(self) -> None:
        """Connect to Redis for what is held; where that fails it is told, and the connection ends."""
        try:
            await self.connected()
        except InsituError as error:
            self._write(error_reply(error))
            self.finish()
        else:
            self.read()

    def finish(self) -> None:
        """End once the client has read what is written; one that does not read it in time is not waited for."""
        self.transport.close()
        if self.transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(ENDING_SECONDS, self.transport.abort)

    def _end_if_done(self) -> None:
        begun = not self._reading and not self._held
        if self._leaving and begun and not self._slots and self.sent == self.got:
            self.finish()

    def _tell(self, reply: bytes) -> None:
        if not self.transport.is_closing():
            self._write(reply)

    def _freed(self) -> None:
        """Go on with what waited for our replies."""
        if self._held:
            self.read()
        elif self._leaving:
            self._end_if_done()
