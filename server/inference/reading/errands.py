"""One ask over the nodes of a cluster: sent in parts, followed where slots have moved, answered in order."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from redis.exceptions import ResponseError

from models.encoding import encoded
from models.errors import InsituError, RedisUnavailable
from server.inference.reading.faults import errors_in
from server.inference.reading.link import Link
from server.inference.reading.reads import Done, tell
from server.inference.reading.slots import slot_of

ASKING = encoded(("ASKING",))
HOPS = 16  # as redis-py: redirections of one command
QUICK_HOPS = 4  # those at once; more come of nodes that do not agree yet, which takes a moment
ELSEWHERE = ("MOVED ", "ASK ", "TRYAGAIN", "CLUSTERDOWN")
PENDING = object()
FIRST = (0,)


class Routes(Protocol):
    """What an errand wants of a cluster."""

    def owner(self, slot: int) -> Link:
        """Return the node that is asked for a slot."""

    def redirected(self, text: str, link: Link) -> Link:
        """Return the node that MOVED or ASK names."""

    def later(self, again: Callable[[], None]) -> None:
        """Call in a moment."""

    def doubt(self) -> None:
        """Ask for the map again."""


class Errand:
    """The commands of one caller and what has come back for them."""

    __slots__ = ("_commands", "_done", "_missing", "_replies", "_routes")

    def __init__(self, routes: Routes, commands: Sequence[bytes], done: Done) -> None:
        self._routes, self._commands, self._done = routes, commands, done
        self._replies: list[Any] = [None] * len(commands)
        self._missing = len(commands)

    def run(self) -> None:
        """Send each command to its node.

        Raises: InsituError, when not one could be sent.
        """
        if len(self._commands) == 1:
            link = self._routes.owner(slot_of(self._commands[0]))
            link.ask(self._commands, partial(self._take, link, FIRST, 0))
            return
        parts: dict[Link, list[int]] = {}
        for index, command in enumerate(self._commands):
            parts.setdefault(self._routes.owner(slot_of(command)), []).append(index)
        for link, indexes in parts.items():
            try:
                link.ask([self._commands[index] for index in indexes], partial(self._take, link, indexes, 0))
            except InsituError as error:
                self._put(indexes, [error] * len(indexes))
        if not self._missing:
            raise self._replies[0]

    def _take(self, link: Link, indexes: Sequence[int], hops: int, result: list[Any] | InsituError) -> None:
        """Take the replies of one node; those that say where to ask instead are followed."""
        if (
            len(indexes) == len(self._commands)
            and not isinstance(result, InsituError)
            and not errors_in(result)
        ):
            tell(self._done, result)
            return
        replies = [result] * len(indexes) if isinstance(result, InsituError) else result
        followed = [
            self._followed(link, index, hops, str(reply))
            if isinstance(reply, ResponseError) and str(reply).startswith(ELSEWHERE)
            else reply
            for index, reply in zip(indexes, replies, strict=True)
        ]
        self._put(indexes, followed)
        if not self._missing:
            tell(self._done, self._verdict())

    def _put(self, indexes: Sequence[int], replies: Sequence[Any]) -> None:
        for index, reply in zip(indexes, replies, strict=True):
            if reply is not PENDING:
                self._replies[index] = reply
                self._missing -= 1

    def _followed(self, link: Link, index: int, hops: int, text: str) -> Any:
        """Ask one command again where it belongs; return PENDING, or why it cannot be answered."""
        if text.startswith("CLUSTERDOWN") or hops == HOPS:
            self._routes.doubt()
            return RedisUnavailable(text)
        apart = text.startswith("TRYAGAIN")
        asking = apart or text.startswith("ASK")
        there = link if apart else self._routes.redirected(text, link)
        if apart or hops >= QUICK_HOPS:
            self._routes.later(partial(self._ask_again, there, index, hops + 1, asking))
            return PENDING
        return self._sent(there, index, hops + 1, asking)

    def _ask_again(self, link: Link, index: int, hops: int, asking: bool) -> None:
        """Ask one command again, and take its fault if it cannot be sent."""
        fault = self._sent(link, index, hops, asking)
        if fault is not PENDING:
            self._take(link, (index,), hops, fault)

    def _sent(self, link: Link, index: int, hops: int, asking: bool) -> Any:
        command = self._commands[index]
        take = partial(self._take, link, (index,), hops)
        try:
            if asking:
                link.ask((ASKING, command), lambda result: take(without_first(result)))
            else:
                link.ask((command,), take)
        except InsituError as error:
            return error
        return PENDING

    def _verdict(self) -> list[Any] | InsituError:
        """Return the replies; a node that is away is the affair of its own keys unless they are all."""
        faults = [reply for reply in self._replies if isinstance(reply, InsituError)]
        for fault in faults:
            if not isinstance(fault, RedisUnavailable):
                return fault
        return faults[0] if len(faults) == len(self._replies) else self._replies


def without_first(result: list[Any] | InsituError) -> list[Any] | InsituError:
    """Return replies without the one to ASKING."""
    return result if isinstance(result, InsituError) else result[1:]
