"""What is answered to one client here: a slot for each reply, and whoever works on it."""

from collections.abc import Coroutine
from typing import Any

from server.resp.caller import Caller
from server.resp.errors import answer as error_reply
from server.resp.passing import Passing
from server.resp.service import Service
from server.resp.session import Session
from server.resp.shortcuts import Shortcuts
from server.resp.slots import Slot
from server.resp.wire.frames import cut, words_of

SIDE_BY_SIDE = 4096  # replies of ours to one client that are worked on at once, as long as they are short
BEGINNING = 8  # of them, before it is known how long they are
LONG_BYTES = 1 << 16
SIDE_BYTES = 16 << 20  # that replies which are long may have together


class Answering(Passing):
    """The side of a connection that our own commands are on."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.shortcuts = Shortcuts(self)
        self._alone = False  # what is worked on changes something: nothing beside it
        self._beside = BEGINNING  # replies that may be worked on at once

    def free(self, *, alongside: bool = False) -> bool:
        """Whether one of ours may begin: every reply to what came before is there, or it bears company."""
        subscriptions = self.session.subscriptions
        if self.got < self.sent or (subscriptions is not None and subscriptions.awaited):
            return False
        if self.upstream is not None and self.upstream.halfway:
            return False
        return not self._slots or (alongside and not self._alone and len(self._slots) < self._beside)

    def bears_company(self) -> bool:
        """Whether what changes nothing may begin at once."""
        return not (self._held or self._full or self.raw) and self.free(alongside=True)

    def slot(self, *, alongside: bool = False, count: int = 1) -> Slot:
        """Take the place of a reply, or of several."""
        session = self.session
        slot = Slot(self, session.muted or session.skip, count)
        session.skip = False
        self._alone = not alongside
        self._slots.queue.append(slot)
        return slot

    def fill(self, slot: Slot, reply: bytes) -> None:
        """Say what a reply is."""
        if len(reply) > LONG_BYTES:
            self._beside = max(1, SIDE_BYTES // len(reply))
        elif self._beside < SIDE_BY_SIDE:
            self._beside += 1
        self._slots.fill(slot, reply)

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
            service.engine, self._ask, session.wire, session.db, session.home, service.configuration,
            session.passes,
        )  # fmt: skip

    async def _ask(self, commands: Any) -> list[Any]:
        return await (await self.connected()).ask(commands)

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
