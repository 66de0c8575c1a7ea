"""What is answered to one client here: a slot for each reply, and whoever works on it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from server.resp.caller import Caller
from server.resp.errors import answer as error_reply
from server.resp.passing import Passing
from server.resp.refusals import Refused
from server.resp.room import no_room_for_replies
from server.resp.service import Service
from server.resp.session import Session
from server.resp.shortcuts import Shortcuts
from server.resp.slots import Slot
from server.resp.transactions import UNFIT
from server.resp.wire.frames import cut, words_of
from server.resp.wire.reading import read, viewed

SIDE_BY_SIDE = 4096  # replies of ours to one client that are worked on at once, as long as they are short
BEGINNING = 8  # of them, before it is known how long they are
LONG_BYTES = 1 << 16
# That replies which are long may have together, and the commands that are worked on beside.
SIDE_BYTES = 16 << 20
# That the long replies of one client may have, and what is read for them, until it takes them: a tensor as large as
# they are, read and replied.
REPLIES_BYTES = 1 << 30


class Answering(Passing):
    """The side of a connection that our own commands are on."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.shortcuts = Shortcuts(self)
        self._alone = False  # what is worked on changes something: nothing beside it
        self._beside = BEGINNING  # replies that may be worked on at once
        self._kept = 0  # bytes of what is worked on
        self._untaken = 0  # bytes of replies that the client has not taken, and of what is read for them
        self._read = dict[Any, int]()  # of that what was read, by who works on the reply
        self._returning = 0  # bytes of replies of Redis to us that are still coming
        self._coming = 0  # bytes of a long command that is still coming

    def free(self, *, alongside: bool = False) -> bool:
        """Whether one of ours may begin: every reply to what came before is there, or it bears company."""
        subscriptions = self.session.subscriptions
        if (
            self.got < self.sent
            or self._unwanted is not None
            or (subscriptions is not None and subscriptions.awaited)
        ):
            return False
        if self.upstream is not None and self.upstream.halfway:
            return False
        return not self._slots or (alongside and not self._alone and self._may_be_beside())

    def _may_be_beside(self) -> bool:
        """Whether one more may be worked on: there are not too many, nor are they too long."""
        few = len(self._slots) < self._beside
        little = self._kept <= SIDE_BYTES and self._untaken <= SIDE_BYTES
        return few and little and not self.service.room.full and not self.service.replies.full

    def bears_company(self) -> bool:
        """Whether what changes nothing may begin at once."""
        return not (self._held or self._full or self.raw) and self.free(alongside=True)

    def slot(self, *, alongside: bool = False, count: int = 1, size: int = 0) -> Slot:
        """Take the place of a reply, or of several, to commands of so many bytes."""
        if size:
            self.keep(size)
        session = self.session
        slot = Slot(self, session.muted or session.skip, count)
        session.skip = False
        self._alone = not alongside
        self._slots.queue.append(slot)
        return slot

    def fill(self, slot: Slot, reply: bytes) -> None:
        """Say what a reply is; a long one that finds no room is an error."""
        if len(reply) > LONG_BYTES and self._crowded:
            reply = error_reply(self._too_much("; what the command was to write is written")) * slot.count
        if len(reply) > LONG_BYTES:
            self._beside = max(1, SIDE_BYTES // len(reply))
        elif self._beside < SIDE_BY_SIDE:
            self._beside += 1
        self._slots.fill(slot, reply)
        if self._untaken or len(reply) > LONG_BYTES:
            self.note()

    def keep(self, size: int) -> None:
        """Take note of what is worked on until everything is answered."""
        self._kept += size
        self.service.room.take(size)

    def finds_room(self, size: int) -> bool:
        """Whether so much of a long command that is still coming may be kept; it is noted."""
        room = self.service.room
        if room.full:
            return False
        room.take(size - self._coming)
        self._coming = size
        return True

    @property
    def _crowded(self) -> bool:
        """Whether no long reply finds room, nor what is read for one."""
        return self._untaken >= REPLIES_BYTES or self.service.replies.full

    def _too_much(self, done: str = "") -> Refused:
        return no_room_for_replies(self.service.replies, self._untaken, REPLIES_BYTES, done)

    def note(self) -> None:
        """Take note of what is kept of replies by now."""
        if not self.transport.is_closing():
            read, held = sum(self._read.values()), self._slots.held
            self._keep_untaken(read + held + self._returning + self.transport.get_write_buffer_size())

    def _keep_untaken(self, size: int) -> None:
        before, self._untaken = self._untaken, size
        self.service.replies.take(size - before)

    def take_back(self) -> None:
        """Take note that nothing is kept of replies any more."""
        self._read.clear()
        self._returning = 0
        self._keep_untaken(0)

    def came(self) -> None:
        """Take note that no long command is still coming."""
        coming, self._coming = self._coming, 0
        self.service.room.leave(coming)

    def let_go(self) -> None:
        """Take note that nothing is worked on any more."""
        kept, self._kept = self._kept, 0
        self.service.room.leave(kept)

    def _freed(self) -> None:
        """Go on with what waited for our replies."""
        if self._kept:
            self.let_go()
        self._read.clear()
        super()._freed()

    def tell(self, reply: bytes) -> None:
        """Answer at once."""
        self.fill(self.slot(), reply)

    def tell_when_free(self, reply: bytes) -> bool:
        """Answer as soon as every reply to what came before is there; whether it was."""
        if not self.free():
            return False
        self.tell(reply)
        return True

    def fail(self, error: Exception) -> None:
        """Answer at once with an error."""
        self.tell(error_reply(error))

    def refuse(self, error: Refused) -> None:
        """Answer at once with an error; inside a transaction Redis then refuses to EXEC, as after any mistake."""
        if self.session.multi is not None and self.session.passes:
            self.answer(self._spoiled(error))
        else:
            self.fail(error)

    async def _spoiled(self, error: Refused) -> bytes:
        await self._ask([UNFIT])
        raise error

    def answer(self, work: Coroutine[Any, Any, bytes], *, alongside: bool = False) -> None:
        """Answer with what work returns, or the error it raises."""
        self.spawn(self._worked(self.slot(alongside=alongside), work))

    async def _worked(self, slot: Slot, work: Coroutine[Any, Any, bytes]) -> None:
        try:
            reply = await work
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
            reply = error_reply(error)
        self._read.pop(asyncio.current_task(), None)
        self.fill(slot, reply)

    def caller(self) -> Caller:
        """Return this client as commands see it."""
        service, session = self.service, self.session
        return Caller(
            service.engine, self._ask, session.wire, session.db, session.home, service.configuration,
            session.passes, session.by_token, views=self._views, makes=self._makes,
        )  # fmt: skip

    async def _ask(self, commands: Any) -> list[Any]:
        """Return replies of Redis.

        Raises: RedisUnavailable, RedisRefused; Refused, they are too long to be kept.
        """
        return [*map(read, await self.frames(commands))]

    async def _views(self, commands: Any) -> list[Any]:
        """Return replies of Redis, long strings as views of them.

        Raises: as `_ask`.
        """
        return [*map(viewed, await self.frames(commands))]

    def _makes(self, size: int) -> None:
        """Take note of so much of a long reply that is being made.

        Raises: Refused, it finds no room.
        """
        task = asyncio.current_task()
        self._read[task] = self._read.get(task, 0) + size
        self.note()
        if self._crowded:
            raise self._too_much()

    async def frames(self, commands: Any, seconds: float | None = None) -> list[bytes]:
        """Return replies of Redis as they came; that long ones are kept is noted until what asks has its own reply.

        Units:  seconds, as `Upstream.frames`.
        Raises: RedisUnavailable, RedisRefused; Refused, they are too long to be kept.
        """
        frames = await (await self.connected()).frames(commands, seconds) if commands else []
        size = sum(map(len, frames))
        if size > LONG_BYTES:
            task = asyncio.current_task()
            self._read[task] = self._read.get(task, 0) + size
            self.note()
        return frames

    def finds_place(self, size: int) -> Refused | None:
        """Take note that so much of Redis' replies to us is coming; why it may not be kept, None where it may."""
        before, self._returning = self._returning, 0
        mine, of_all = self._untaken - before, self.service.replies.taken - before
        full = mine >= REPLIES_BYTES or of_all >= self.service.replies.most
        if size > LONG_BYTES and full:
            self.note()
            return self._too_much()
        self._returning = size
        self.note()
        return None

    def begin_anew(self) -> None:
        """Forget everything the client has said of itself, and its connection to Redis."""
        upstream, self.upstream = self.upstream, None
        if upstream is not None:
            upstream.leave()
        self.session = Session(self.service.access, self.service.home)
        self.shortcuts.forget()

    async def each(self, slot: Slot) -> None:
        """Answer the commands of a slot one after the other."""
        replies, at, caller = [], 0, self.caller()
        while at < len(slot.data) and (one := cut(slot.data, at)) is not None:
            command = self.service.commands[one.name]
            try:
                replies.append(await command.answer(caller, words_of(slot.data, one)[1:]))
            except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
                replies.append(error_reply(error))
            at = one.end
        self.fill(slot, b"".join(replies))
