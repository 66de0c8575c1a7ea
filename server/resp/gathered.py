"""What came in one moment, from any number of clients, and is alike: gathered, so that it is asked for together."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from server.inference.engine import Engine
from server.resp.slots import Slot

Target = TypeVar("Target", bound=Hashable)


class Client(Protocol):
    """Whoever hears of replies."""

    def fill(self, slot: Slot, reply: bytes) -> None:
        """Take the replies that belong in a slot."""


class Turn:
    """Commands of one client that came one after the other: where their replies go, and how many they are."""

    __slots__ = ("client", "count", "data", "slot")

    def __init__(self, client: Any, slot: Slot, count: int, data: bytes = b"") -> None:
        self.client, self.slot = client, slot
        self.count, self.data = count, data


class Group:
    """What is asked for together: `parts` of it in the order of the turns."""

    __slots__ = ("count", "parts", "turns")

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.turns: list[Turn] = []
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
            group = self._groups[target] = Group()
        return group

    def add(self, target: Target, group: Group, turn: Turn) -> None:
        """Add a turn to its group."""
        group.turns.append(turn)
        group.count += turn.count
        enough = target not in self._under_way and self._asked + group.count >= self._expected
        if enough or group.count >= self._most:
            with self._moment:
                self._leave(target)

    def _leave(self, target: Target) -> None:
        group = self._groups.pop(target)
        self._asked += group.count
        self._under_way[target] = self._under_way.get(target, 0) + 1
        self._ask(target, group)

    def done(self, target: Target) -> None:
        """Take note that what was asked for has been answered, and let what waits for that go."""
        left = self._under_way.pop(target) - 1
        if left:
            self._under_way[target] = left
        elif target in self._groups:
            self._leave(target)

    def _end(self) -> None:
        """End a moment: ask for everything that came in it."""
        with self._moment:
            for target in [*self._groups]:
                if target not in self._under_way:
                    self._leave(target)
        self._expected, self._asked, self._begun = self._asked, 0, False


def hand_out(turns: Sequence[Turn], replies: Sequence[bytes]) -> None:
    """Give every client its replies, one for each command."""
    if len(turns) == len(replies):
        for turn, reply in zip(turns, replies, strict=True):
            turn.client.fill(turn.slot, reply)
        return
    at = 0
    for turn in turns:
        after = at + turn.count
        turn.client.fill(turn.slot, b"".join(replies[at:after]))
        at = after
