"""What came in one moment, from any number of clients, and is alike: gathered, so that it is asked for together."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

from server.inference.engine import Engine
from server.resp.errors import answer as error_reply
from server.resp.slots import Slot

SIDE_BY_SIDE = 2  # groups under way that are alike: one is read for while the other is run
LARGE = 256  # commands
Target = TypeVar("Target", bound=Hashable)


class Group:
    """What is asked for together: `parts` of it in the order of the slots, `count` commands in all."""

    __slots__ = ("answered", "count", "parts", "slots", "target")

    def __init__(self, target: Any) -> None:
        self.target = target
        self.answered = False
        self.parts: list[Any] = []
        self.slots: list[Slot] = []
        self.count = 0


class Gathered(Generic[Target]):
    """The groups of a moment, by what they have in common.

    A group is asked for when it is as large as the last moment was, or when the moment ends: so one
    that is alone is not held up, and those that come together leave together. While one is under way
    what is like it waits for its end, so that the busier it is the more is asked for at once.
    """

    def __init__(self, engine: Engine, ask: Callable[[Target, Group], None]) -> None:
        """Take what asks for a group."""
        self._moment, self._most, self._ask = engine.moment, engine.limits.rows, ask
        self._groups: dict[Target, Group] = {}
        self._under_way: dict[Target, int] = {}
        self._loop = asyncio.get_running_loop()
        self._begun = False  # something has come in this moment
        self._asked, self._expected = 0, 1  # commands of this moment, and as many as the last one had

    def group(self, target: Target) -> Group:
        """Return the group that something belongs to; `add` says what it is."""
        group = self._groups.get(target)
        if group is None:
            if not self._begun:
                self._begun = True
                self._loop.call_soon(self._end)
            group = self._groups[target] = Group(target)
        return group

    def add(self, target: Target, group: Group, slot: Slot) -> None:
        """Add commands of one client, whose replies go to this slot, to their group."""
        group.slots.append(slot)
        group.count += slot.count
        enough = self._may_leave(target, group) and self._asked + group.count >= self._expected
        if enough or group.count >= self._most:
            with self._moment:
                self._leave(target)

    def _leave(self, target: Target) -> None:
        group = self._groups.pop(target)
        self._asked += group.count
        self._under_way[target] = self._under_way.get(target, 0) + 1
        try:
            self._ask(target, group)
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
            self.fail(group, error)

    def finish(self, group: Group, replies: Callable[[], Sequence[bytes]]) -> None:
        """Hand out the replies to a group, one for each command; a fault in making them is the reply to each."""
        try:
            told = replies()
        except Exception as error:  # noqa: BLE001  # as in _leave
            self.fail(group, error)
        else:
            self.done(group)
            hand_out(group.slots, told)

    def fail(self, group: Group, error: Exception) -> None:
        """Answer every command of a group with an error."""
        self.done(group)
        hand_out(group.slots, [error_reply(error)] * group.count)

    def done(self, group: Group) -> None:
        """Take note that a group has been answered, or will be by others, and let what waits for that go."""
        if group.answered:
            return
        group.answered, target = True, group.target
        left = self._under_way.pop(target) - 1
        if left:
            self._under_way[target] = left
        if (
            target in self._groups and not self._begun
        ):  # what has come meanwhile, but is not read yet, goes along
            self._begun = True
            self._loop.call_soon(self._end)

    def _may_leave(self, target: Target, group: Group) -> bool:
        """Whether a group need not wait for those under way: there is none, or both are large."""
        under_way = self._under_way.get(target, 0)
        return not under_way or (under_way < SIDE_BY_SIDE and group.count >= LARGE)

    def _end(self) -> None:
        """End a moment: ask for everything that came in it."""
        with self._moment:
            for target, group in [*self._groups.items()]:
                if self._may_leave(target, group):
                    self._leave(target)
        self._expected, self._asked, self._begun = self._asked, 0, False


def hand_out(slots: Sequence[Slot], replies: Sequence[bytes]) -> None:
    """Give every client its replies, one for each command."""
    if len(slots) == len(replies):
        for slot, reply in zip(slots, replies, strict=True):
            slot.client.fill(slot, reply)
        return
    at = 0
    for slot in slots:
        after = at + slot.count
        slot.client.fill(slot, b"".join(replies[at:after]))
        at = after
