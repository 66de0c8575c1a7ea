r"""One client: commands in, replies out, in order; what is not ours goes through to Redis byte for byte.

At any time either replies of Redis are awaited, or replies of ours: what comes meanwhile and is for
the other side waits. So one of ours sees everything the client sent before it, and nothing after.

    client -> input -> cut -> through, counted -> Redis
                          \-> ours -> a slot -> the core
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from models.errors import InsituError, RedisUnavailable
from server.resp.caller import Caller
from server.resp.errors import answer as error_reply
from server.resp.gathered import Turn
from server.resp.joined import HEAD as PREDICTIONS
from server.resp.joined import predictions_in
from server.resp.joined_dags import Form
from server.resp.reaching import opened
from server.resp.service import Service
from server.resp.session import Session
from server.resp.slots import Slot, Slots
from server.resp.upstream import Upstream
from server.resp.wire.frames import Bytes, Cut, Foreign, Malformed, Rest, TooLong, cut, words_of
from server.resp.wire.scanning import whole

INPUT_BYTES = 1 << 20  # held while something else has its turn; then the client is not read from
STREAMED_BYTES = 1 << 16  # a command that is longer goes through in parts
UNKNOWN_BYTES = 1 << 16  # of a command of somebody who has not said who they are
LEAVING_SECONDS = 1.0
BLOCKED_SECONDS = 0.1  # after the client closed its side, Redis still has for what it was asked
SIDE_BY_SIDE = 4096  # replies of ours to one client that are worked on at once

Observer = Callable[[bytes], None]
Special = Callable[["Connection", Bytes, Cut], bool]
CLIENT, REDIS = 1, 2  # who takes no more for now
PONG = b"+PONG\r\n"


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, service: Service, specials: Mapping[bytes, Special]) -> None:
        self.service, self.specials = service, specials
        self.session = Session(service.access, service.home)
        self.upstream: Upstream | None = None
        self.transport: Any = None
        self._write: Any = None
        self._input: Bytes = b""
        self._need = 0  # bytes of input before it is worth while to look
        self._part: Cut | None = None  # what the input begins with, as far as it was looked at
        self._rest: Rest | None = None
        self._held = False  # input waits for something else than the client
        self._reading = False
        self._stopped = False  # the client is not read from
        self._full = 0  # who takes no more for now: nothing is begun until they do
        self._alone = False  # what is worked on changes something: nothing beside it
        self._slots = Slots(self._tell, self._freed)
        self.sent = self.got = 0  # commands that went through, and their replies
        self._observers: deque[tuple[int, Observer]] = deque()
        self._silent: deque[int] = deque()  # those whose replies nobody wants
        self._making = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving = False
        self.form: Form | None = None  # of the DAG that went well last
        self.raw = False  # nothing is looked at any more

    # The client.

    def connection_made(self, transport: Any) -> None:
        """Begin; Redis is connected to when something is for it."""
        self.transport, self._write = transport, transport.write
        self.service.open.add(self)

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        if self._input:
            self._more(data)
        elif (data.startswith(PREDICTIONS) and (after := self._predictions(data))) or (
            self.form is not None
            and data.startswith(self.form.before)
            and (after := self._dags(data, self.form))
        ):
            self._input = data[after:]
        elif self.raw and self.upstream is not None:
            self.upstream.write(data)
        else:
            self._input = data
        if self._held:
            if len(self._input) > INPUT_BYTES:
                self._stop()
        elif self._input and len(self._input) >= self._need:
            self.read()

    def _more(self, data: bytes) -> None:
        """Put what came to what is there."""
        if not isinstance(self._input, bytearray):
            self._input = bytearray(self._input)
        self._input += data

    def _predictions(self, data: bytes) -> int:
        """Begin predictions of one key each together with those of others; return where they end, 0 for none."""
        session = self.session
        if self._held or self._full or self.raw or not session.predicts or not self.free(alongside=True):
            return 0
        found = predictions_in(data)
        if found is None:
            return 0
        model, keys, end = found
        turn = Turn(self, self.slot(alongside=True), len(keys))
        self.service.joined.take(model, keys, session.wire, turn)
        return end

    def _dags(self, data: bytes, form: Form) -> int:
        """Begin DAGs of the client's form together with those of others; return where they end, 0 for none."""
        session = self.session
        if self._held or self._full or self.raw or not session.joins or not self.free(alongside=True):
            return 0
        found = form.tensors_in(data) if len(data) >= form.size else None
        if found is None:
            return 0
        tensors, count = found
        end = count * form.size
        turn = Turn(self, self.slot(alongside=True), count, data[:end])
        self.service.dags.take(form, tensors, session.wire, turn)
        return end

    async def each(self, turn: Turn) -> None:
        """Answer the commands of a turn one after the other."""
        replies, at, caller = [], 0, self.caller()
        while at < len(turn.data) and (one := cut(turn.data, at)) is not None:
            command = self.service.commands[one.name]
            try:
                replies.append(await command.answer(caller, words_of(turn.data, one)[1:]))
            except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
                replies.append(error_reply(error))
            at = one.end
        self.fill(turn.slot, b"".join(replies))

    def _stop(self) -> None:
        if not self._stopped and not self.transport.is_closing():
            self._stopped = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Answer what was asked before the client closed its side, if that takes no time, then end."""
        self.leave()
        loop = asyncio.get_running_loop()
        loop.call_later(BLOCKED_SECONDS, self._gone)
        loop.call_later(LEAVING_SECONDS, self.transport.abort)
        return self.transport.get_extra_info("sslcontext") is None

    def _gone(self) -> None:
        """End what is blocked in Redis: nobody is there any more to have what it waits for."""
        if self.got < self.sent:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """Take along the connection to Redis and what is worked on."""
        self.service.open.discard(self)
        self._input, self._held = b"", True
        for task in self._tasks:
            task.cancel()
        if self.upstream is not None:
            self.upstream.leave()
            self.upstream = None

    def pause_writing(self) -> None:
        """Let Redis send no more than the client reads, and begin nothing that makes it more."""
        self._full |= CLIENT
        self._stop()
        if not self._slots:
            self._quieten()

    def _quieten(self) -> None:
        """Read no more of what is for the client; what is asked for here has come."""
        if self.upstream is not None and not self.upstream.transport.is_closing():
            self.upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._full &= ~CLIENT
        if self.upstream is not None and not self.upstream.transport.is_closing():
            self.upstream.transport.resume_reading()
        self.read()

    def hold(self) -> None:
        """Read no more from the client for now: Redis does not take it."""
        self._full |= REDIS
        self._stop()

    def let(self) -> None:
        """Go on: Redis takes more."""
        self._full &= ~REDIS
        self.read()

    def leave(self) -> None:
        """End as soon as what was asked has been answered."""
        self._leaving = True
        self._end_if_done()

    def drop(self) -> None:
        """End now."""
        self.transport.abort()

    def _end_if_done(self) -> None:
        if self._leaving and not self._slots and self.sent == self.got and not self._held:
            self.transport.close()

    # Its commands.

    def read(self) -> None:
        """Pass on and begin what came, as far as it may be by now."""
        if self._reading or self._full or self.transport.is_closing():
            return
        self._held, self._need, self._reading = False, 0, True
        try:
            self._cut_up()
        except Foreign:
            self.transport.abort()
        except Malformed as error:
            self._mistaken(error)
        finally:
            self._reading = False
        self._resume()
        if self._leaving:
            self._end_if_done()

    def _resume(self) -> None:
        """Read from the client again, unless something is full."""
        full = self._full or (self._held and len(self._input) > INPUT_BYTES)
        if self._stopped and not full and not self.transport.is_closing():
            self._stopped = False
            self.transport.resume_reading()

    def _cut_up(self) -> None:
        """Cut the input into commands, and have each begun.

        Raises: Malformed, Foreign.
        """
        data, at = self._input, 0
        try:
            while at < len(data) and not self.raw and not self._full and not self.transport.is_closing():
                after = self._one(data, at)
                if after == at:
                    break
                at = after
        finally:
            if at:
                self._input = data[at:] if at < len(data) else b""
        if self._full and at < len(data):
            self._held = True
        if self.raw and self.upstream is not None:
            self.upstream.write(self._input)
            self._input = b""

    def _one(self, data: Bytes, at: int) -> int:
        """Begin what is next in the input; return where it ends, or `at` where it has to wait.

        Raises: Malformed, Foreign.
        """
        if self._rest is not None:
            return self._continued(data, at)
        one = cut(data, at) if self._part is None else self._part.gone_on(data)
        self._part = None
        if one is None:
            return at
        special = self.specials.get(one.name)
        if special is None:
            return self._plain(data, at, one)
        if one.end <= 0:
            return self._awaited(at, one)
        if special(self, data, one):
            return one.end
        self._held = True
        return at

    def _plain(self, data: Bytes, start: int, one: Cut) -> int:
        """Pass on a command and those after it that are not ours either; return where they end.

        Raises: Malformed, Foreign.
        """
        if not self.session.passes:
            return self._forbidden(data, start, one)
        if not self.open():
            return start
        at, count, specials = start, 0, self.specials
        while one.end > 0:
            at = one.end
            count += one.words > 0
            try:
                following = cut(data, at) if at < len(data) else None
            except Malformed:  # is said after the replies to these
                break
            if following is None or following.name in specials:
                break
            one = following
        else:
            if len(data) - at > STREAMED_BYTES:
                self._rest = Rest(one.words)
                at = self._rest.take(data, one.at)
                count += 1
            else:
                self._need = min(-one.end - at, STREAMED_BYTES + 1)
        if at > start:
            self.through(data if at - start == len(data) else data[start:at], count)
        return at

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

    def _continued(self, data: Bytes, at: int) -> int:
        """Pass on more of a command whose beginning has gone through.

        Raises: Malformed.
        """
        rest, upstream = self._rest, self.upstream
        if rest is None or upstream is None:
            return at
        after = rest.take(data, at)
        upstream.write(data[at:after])
        if rest.done:
            self._rest = None
        return after

    def _awaited(self, at: int, one: Cut) -> int:
        """Wait for the rest of a command that is looked at whole.

        Raises: Malformed, it is longer than is taken.
        """
        self._need = max(0, -one.end - at)
        most = self.service.own_bytes if self.session.scopes else UNKNOWN_BYTES
        if max(self._need, len(self._input) - at) > most:
            raise TooLong(f"{one.name.decode('ascii', 'replace')} is longer than {most} bytes")
        self._part = one.moved(-at)
        return at

    def _forbidden(self, data: Bytes, start: int, one: Cut) -> int:
        """Refuse a command of somebody who may not reach Redis.

        Raises: Malformed, it is longer than is taken.
        """
        if one.end <= 0:
            if len(data) - start > UNKNOWN_BYTES:
                raise Malformed("unauthenticated bulk length")
            return start
        if not self.free():
            self._held = True
            return start
        if one.name == b"PING" and one.words == 1 and self.session.scopes:
            self.tell(PONG)
        elif one.words:
            self.fail(self.session.refusal("admin"))
        return one.end

    def _mistaken(self, error: Malformed) -> None:
        """Have Redis say what is wrong with what came, or say it, after what was asked before it, and end."""
        if self._rest is None and not self.free():
            self._held = True
        elif not self.session.passes or isinstance(error, TooLong):
            self._write(error_reply(error))
            self.transport.close()
        elif self.upstream is not None:
            self.raw = True
            self.upstream.write(self._input)
            self._input = b""
        else:
            self.open()

    # What goes through.

    def through(self, data: Bytes, count: int, observer: Observer | None = None) -> None:
        """Send commands through to Redis; `observer` hears the reply to the last one."""
        session = self.session
        if session.muted or session.skip:
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
            if pushed | self._published(frame, pushed) or self._counted(frame):
                wanted.append(frame)
        return b"".join(wanted)

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
        self.got += 1
        while self._observers and self._observers[0][0] <= self.got:
            self._observers.popleft()[1](frame)
        if self._silent and self._silent[0] == self.got:
            self._silent.popleft()
            return False
        return True

    def lost(self, reason: str) -> None:
        """End with the connection to Redis: nobody could say any more which reply is to what."""
        upstream, self.upstream = self.upstream, None
        if self.transport.is_closing():
            return
        if upstream is not None and upstream.scanner.between and self.sent > self.got:
            self._write(error_reply(RedisUnavailable(reason)))
        if upstream is not None:
            upstream.leave()
        self.transport.close()

    async def connected(self) -> Upstream:
        """Return the client's connection to Redis, made when it is first needed.

        Raises: RedisUnavailable, RedisRefused.
        """
        if self.upstream is None:
            async with self._making:
                if self.upstream is None:
                    self.upstream = await opened(self.service, self.session, self)
        return self.upstream

    async def _reach(self) -> None:
        """Connect to Redis for what is held; where that fails it is told, and the connection ends."""
        try:
            await self.connected()
        except InsituError as error:
            self._write(error_reply(error))
            self.transport.close()
        else:
            self.read()

    # What is answered here.

    def free(self, *, alongside: bool = False) -> bool:
        """Whether one of ours may begin: every reply to what came before is there, or it bears company."""
        subscriptions = self.session.subscriptions
        if self.got < self.sent or (subscriptions is not None and subscriptions.awaited):
            return False
        if self.upstream is not None and self.upstream.halfway:
            return False
        return not self._slots or (alongside and not self._alone and len(self._slots) < SIDE_BY_SIDE)

    def slot(self, *, alongside: bool = False) -> Slot:
        """Take the place of a reply."""
        session = self.session
        silent, session.skip = session.muted or session.skip, False
        self._alone = not alongside
        return self._slots.add(silent=silent)

    def fill(self, slot: Slot, reply: bytes) -> None:
        """Say what a reply is."""
        self._slots.fill(slot, reply)

    def tell(self, reply: bytes) -> None:
        """Answer at once."""
        self.fill(self.slot(), reply)

    def fail(self, error: Exception) -> None:
        """Answer at once with an error."""
        self.tell(error_reply(error))

    def answer(self, work: Coroutine[Any, Any, bytes], *, alongside: bool = False) -> None:
        """Answer with what work returns, or the error it raises."""
        self.spawn(self._worked(self.slot(alongside=alongside), work))

    async def _worked(self, slot: Slot, work: Coroutine[Any, Any, bytes]) -> None:
        try:
            reply = await work
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
            reply = error_reply(error)
        self.fill(slot, reply)

    def caller(self) -> Caller:
        """Return this client as commands see it."""
        service, session = self.service, self.session
        return Caller(
            service.engine, self._ask, session.wire, session.db, session.home, service.configuration
        )

    async def _ask(self, commands: Any) -> list[Any]:
        return await (await self.connected()).ask(commands)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done beside; it ends with the client."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def begin_anew(self) -> None:
        """Forget everything the client has said of itself, and its connection to Redis."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.leave()
        self.session, self.form = Session(self.service.access, self.service.home), None

    def _tell(self, reply: bytes) -> None:
        if not self.transport.is_closing():
            self._write(reply)

    def _freed(self) -> None:
        """Go on with what waited for our replies."""
        if self._full & CLIENT:
            self._quieten()
        if self._held:
            self.read()
        elif self._leaving and not self._reading:
            self._end_if_done()
