"""Predictions of one key each that came in one moment, from any number of clients, asked for together.

What a request costs is then paid once a moment. Where not all can be answered at once, each is asked
for by itself, and gets the error that is its own.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.errors import TOO_MUCH_AT_ONCE
from server.resp.errors import answer as error_reply
from server.resp.rows import replies_of
from server.resp.slots import Slot
from server.resp.wire.replies import Encoder

HEAD = b"*3\r\n$14\r\nINSITU.PREDICT\r\n"
WORDS = 7  # lines of a prediction of one key
LISTED = b"*1\r\n"  # before the one row of a reply
Target = tuple[bytes, Encoder]


class Client(Protocol):
    """Whoever hears of replies."""

    def fill(self, slot: Slot, reply: bytes) -> None:
        """Take the replies that belong in a slot."""


Turn = tuple[Client, Slot, int]  # with the number of its rows


class Group:
    """What one moment brought for one model: keys, and whose they are, in order."""

    __slots__ = ("keys", "turns")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.turns: list[Turn] = []


class Joined:
    """Asks for groups and hands their answers out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rows = engine.limits.rows
        self._groups: dict[Target, Group] = {}
        self._loop = asyncio.get_running_loop()
        self._begun = False  # something has come in this moment
        self._asked, self._expected = 0, 1  # rows of this moment, and as many as the last one had

    def take(self, model: bytes, keys: Sequence[str], wire: Encoder, turn: Turn) -> None:
        """Answer predictions of one client; the turn's slot is filled with all their replies."""
        target = model, wire
        group = self._groups.get(target)
        if group is None:
            if not self._begun:
                self._begun = True
                self._loop.call_soon(self._end)
            group = self._groups[target] = Group()
        group.keys += keys
        group.turns.append(turn)
        if len(group.keys) >= self._rows or self._asked + len(group.keys) >= self._expected:
            with self._engine.moment:
                self._ask(target)

    def _end(self) -> None:
        """End a moment: ask for everything that came in it."""
        with self._engine.moment:
            for target in [*self._groups]:
                self._ask(target)
        self._expected, self._asked, self._begun = self._asked, 0, False

    def _ask(self, target: Target) -> None:
        group = self._groups.pop(target)
        self._asked += len(group.keys)
        model = target[0].decode("utf-8", "replace")
        ask = Ask(model, None, group.keys, callers=len(group.keys))
        self._engine.predictor.submit(ask, partial(self._answered, target, group))

    def _answered(self, target: Target, group: Group, outcome: Answer | Exception) -> None:
        """Hand out the answer to a group; where it was too much at once, each is asked for by itself."""
        if isinstance(outcome, TOO_MUCH_AT_ONCE) and len(group.keys) > 1:
            self._one_by_one(target, group)
            return
        if isinstance(outcome, Exception):
            replies = [error_reply(outcome)] * len(group.keys)
        else:
            replies = [LISTED + one for one in replies_of(target[1], outcome)]
        hand_out(group.turns, replies)

    def _one_by_one(self, target: Target, group: Group) -> None:
        every = Apart(group.turns, len(group.keys))
        model = target[0].decode("utf-8", "replace")
        for at, key in enumerate(group.keys):
            heard = partial(every.heard, target[1], at)
            self._engine.predictor.submit(Ask(model, None, (key,)), heard)


class Apart:
    """Rows of a group that are asked for one by one."""

    def __init__(self, turns: Sequence[Turn], rows: int) -> None:
        self._turns, self._left = turns, rows
        self._replies = [b""] * rows

    def heard(self, wire: Encoder, at: int, outcome: Answer | Exception) -> None:
        """Take the answer to one of them."""
        one = (
            error_reply(outcome) if isinstance(outcome, Exception) else LISTED + replies_of(wire, outcome)[0]
        )
        self._replies[at] = one
        self._left -= 1
        if not self._left:
            hand_out(self._turns, self._replies)


def hand_out(turns: Sequence[Turn], replies: Sequence[bytes]) -> None:
    """Give every client its replies."""
    if len(turns) == len(replies):
        for (client, slot, _), reply in zip(turns, replies, strict=True):
            client.fill(slot, reply)
        return
    at = 0
    for client, slot, rows in turns:
        client.fill(slot, b"".join(replies[at : at + rows]))
        at += rows


def predictions_in(data: bytes) -> tuple[bytes, list[str], int] | None:
    """Return the model and the keys of predictions of one key each, and where they end.

    None where they are not plainly that: other commands, several models, a key that is no text.
    """
    parts = data.split(b"\r\n")
    count = (len(parts) - 1) // WORDS
    last = count * WORDS
    models, keys = parts[4:last:WORDS], parts[6:last:WORDS]
    if (
        not count
        or parts[0:last:WORDS].count(b"*3") != count
        or parts[2:last:WORDS].count(b"INSITU.PREDICT") != count
        or models.count(models[0]) != count
        or parts[3:last:WORDS].count(b"$%d" % len(models[0])) != count
        or parts[1:last:WORDS].count(b"$14") != count
        or parts[5:last:WORDS] != [b"$%d" % len(key) for key in keys]
    ):
        return None
    try:
        texts = [key.decode() for key in keys]
    except UnicodeDecodeError:
        return None
    end = len(data) - sum(map(len, parts[last:])) - 2 * (len(parts) - last - 1)
    return models[0], texts, end
