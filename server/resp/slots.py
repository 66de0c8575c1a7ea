"""Replies of ours to one client, in the order of what they answer."""

from collections import deque
from collections.abc import Callable


class Slot:
    """The place of one reply."""

    __slots__ = ("reply", "silent")

    def __init__(self, silent: bool) -> None:
        self.reply: bytes | None = None
        self.silent = silent


class Slots:
    """The places that are not written yet."""

    __slots__ = ("_freed", "_queue", "_write")

    def __init__(self, write: Callable[[bytes], None], freed: Callable[[], None]) -> None:
        """Take what writes, and what hears that every reply has left."""
        self._write, self._freed = write, freed
        self._queue: deque[Slot] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, *, silent: bool = False) -> Slot:
        """Take the place after all others; of a silent one nothing is written."""
        slot = Slot(silent)
        self._queue.append(slot)
        return slot

    def fill(self, slot: Slot, reply: bytes) -> None:
        """Say what a place holds, and write what can be written."""
        slot.reply = reply
        self.flush()

    def flush(self) -> None:
        """Write every reply whose turn it is, in one go."""
        queue = self._queue
        ready: list[bytes] = []
        while queue and (reply := queue[0].reply) is not None:
            if not queue.popleft().silent:
                ready.append(reply)
        if ready:
            self._write(ready[0] if len(ready) == 1 else b"".join(ready))
        if not queue:
            self._freed()
