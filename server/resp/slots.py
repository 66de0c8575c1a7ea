"""Replies of ours to one client, in the order of what they answer."""

from collections import deque
from collections.abc import Callable
from typing import Any


class Slot:
    """The place of a reply, or of the replies to so many commands that came one after the other.

    `data` are the commands, where they may have to be answered one by one. Of a silent one nothing is
    written.
    """

    __slots__ = ("client", "count", "data", "reply", "silent")

    def __init__(self, client: Any, silent: bool, count: int = 1) -> None:
        self.client = client
        self.count = count
        self.silent = silent
        self.reply: bytes | None = None
        self.data = b""


class Slots:
    """The places that are not written yet."""

    __slots__ = ("_freed", "_write", "held", "queue")

    def __init__(self, write: Callable[[bytes], None], freed: Callable[[], None]) -> None:
        """Take what writes, and what hears that every reply has left."""
        self._write, self._freed = write, freed
        self.queue: deque[Slot] = deque()
        self.held = 0  # bytes of the replies that wait for those before them

    def __len__(self) -> int:
        return len(self.queue)

    def fill(self, slot: Slot, reply: bytes) -> None:
        """Say what a place holds, and write what can be written."""
        slot.reply = reply
        self.held += len(reply)
        queue = self.queue
        if not queue or queue[0] is not slot:
            return
        ready: list[bytes] = []
        while queue and (said := queue[0].reply) is not None:
            self.held -= len(said)
            if not queue.popleft().silent:
                ready.append(said)
        if ready:
            self._write(ready[0] if len(ready) == 1 else b"".join(ready))
        if not queue:
            self._freed()
