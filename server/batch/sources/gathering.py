"""Gathering: steps as a walk happens to give them made into steps worth taking; pure but for the clock."""

import time
from collections.abc import AsyncIterator, Iterator

from server.batch.parts import Part, Step

STEP_ROWS = 4096  # the most that one step has
ENOUGH_ROWS = STEP_ROWS // 2
LINGER_SECONDS = 1.0  # a walk that finds little is heard of all the same


async def gathered(found: AsyncIterator[Step], position: str, *, once: bool) -> AsyncIterator[Step]:
    """Join steps that are small and split those that are large; `once` gives no key twice in one.

    A step that had to be split goes on before it, not in the middle of it: its rows may come again.
    """
    held = Held(position, once=once)
    async for step in found:
        if step.anew:
            held.dropped()
        elif held.rows + len(step.part) > STEP_ROWS:
            for whole in held.given():
                yield whole
        held.take(step)
        if held.rows >= ENOUGH_ROWS or held.seconds > LINGER_SECONDS:
            for whole in held.given():
                yield whole
    for whole in held.given():
        yield whole


class Held:
    """Keys of steps that are not given yet."""

    def __init__(self, position: str, *, once: bool) -> None:
        self._before, self._once = position, once
        self._keys: list[bytes] = []
        self._last: Step | None = None
        self._anew = False
        self._since = 0.0

    @property
    def rows(self) -> int:
        """How many keys are held."""
        return len(self._keys)

    @property
    def seconds(self) -> float:
        """How long the oldest of them has been."""
        return time.monotonic() - self._since

    def dropped(self) -> None:
        """Forget what is held: it will be found again."""
        self._keys, self._last = [], None

    def take(self, step: Step) -> None:
        """Hold one step more."""
        if self._last is None:
            self._since = time.monotonic()
        self._keys += step.part.keys
        self._last, self._anew = step, self._anew or step.anew

    def given(self) -> Iterator[Step]:
        """Give what is held, in steps of bounded size."""
        if self._last is None:
            return
        last, keys = self._last, list(dict.fromkeys(self._keys)) if self._once else self._keys
        self.dropped()
        parts = Part(keys).split(STEP_ROWS) or [Part()]
        for part in parts[:-1]:
            yield Step(part, self._before, last.share, self._began())
        self._before = last.position
        yield Step(parts[-1], last.position, last.share, self._began())

    def _began(self) -> bool:
        anew, self._anew = self._anew, False
        return anew
