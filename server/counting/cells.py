"""Cells: numbers in named blocks, in plain memory or in a file that other workers read; it knows no metric.

A block is a run of float64. It is handed out as a memoryview, so that counting is an addition in
place. Only the thread that took a block may write it; reading is for every thread.
"""

import logging
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

CELL_BYTES = 8
SEGMENT_CELLS = 8192  # 64 KiB: a multiple of every page size in use
REST_SECONDS = 60.0  # a freed block rests while somebody may still read or write it

Name = tuple[str, ...]  # the kind of a block, then its labels
FREE: Name = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a block lies, counted in cells; `lasting` numbers outlive their worker, others describe it."""

    name: Name
    at: int
    size: int
    lasting: bool = True


Numbers = list[tuple[Place, NDArray[np.float64]]]
Wanted = Callable[[Name], bool]  # which blocks somebody reads


def every(_name: Name) -> bool:
    """Want every block."""
    return True


class Ground(Protocol):
    """What cells lie in."""

    def places(self) -> list[Place]:
        """Return the blocks that are there already, free ones named FREE."""

    def segment(self, number: int) -> "memoryview[float]":
        """Return a segment, making it when it is the next one.

        Raises: OSError, there is no room for it.
        """

    def note(self, place: Place) -> None:
        """Keep what a block is from now on.

        Raises: OSError, there is no room for it.
        """

    def others(self, wanted: Wanted) -> Iterator[Numbers]:
        """Read the numbers of the other workers that count."""

    def workers(self) -> dict[int, int]:
        """Return the process of each living worker, by the worker's number."""

    def close(self) -> None:
        """Count as ended."""


def plain(size: int) -> "memoryview[float]":
    """Return cells of this process alone."""
    return memoryview(bytearray(size * CELL_BYTES)).cast("d")


class Memory:
    """Ground of a process that runs alone."""

    def places(self) -> list[Place]:
        """Return nothing: memory starts empty."""
        return []

    def segment(self, number: int) -> "memoryview[float]":
        """Return a new segment."""
        return plain(SEGMENT_CELLS)

    def note(self, place: Place) -> None:
        """Keep nothing: nobody else reads it."""

    def others(self, wanted: Wanted) -> Iterator[Numbers]:
        """Return nobody's numbers."""
        return iter(())

    def workers(self) -> dict[int, int]:
        """Return nobody: a process that runs alone is no worker."""
        return {}

    def close(self) -> None:
        """Do nothing."""


class Cells:
    """The blocks of this process, and the numbers of all workers together."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._segments: list[memoryview[float]] = []
        self._end = 0  # the first cell that was never handed out
        self._blocks: dict[Name, tuple[Place | None, memoryview[float]]] = {}
        self._kinds: Counter[str] = Counter()
        self._resting: defaultdict[int, deque[tuple[float, int]]] = defaultdict(deque)
        self._full = False  # the last block that was taken found no room
        for place in ground.places():
            self._resume(place)

    def _resume(self, place: Place) -> None:
        """Go on with a block that an earlier worker left."""
        self._end = max(self._end, place.at + place.size)
        if place.name == FREE:
            self._resting[place.size].append((time.monotonic(), place.at))
        else:
            self._blocks[place.name] = place, self._view(place)
            self._kinds[place.name[0]] += 1

    def names(self) -> list[Name]:
        """Return the names of the blocks of this process."""
        return list(self._blocks)

    def count(self, kind: str) -> int:
        """Return how many blocks of a kind this process has."""
        return self._kinds[kind]

    def take(self, name: Name, size: int, *, lasting: bool = True) -> "memoryview[float]":
        """Return the block of that name, made of zeros when there is none yet."""
        if name not in self._blocks:
            try:
                self._blocks[name] = self._placed(name, size, lasting)
                self._full = False
            except OSError as error:
                level = logging.DEBUG if self._full else logging.WARNING  # thousands may follow the first
                log.log(level, "%s is counted for other workers no more: %s", " ".join(name), error)
                self._full = True
                self._blocks[name] = None, plain(size)
            self._kinds[name[0]] += 1
        return self._blocks[name][1]

    def _placed(self, name: Name, size: int, lasting: bool) -> "tuple[Place, memoryview[float]]":
        place = Place(name, self._room(size), size, lasting)
        view = self._view(place)
        view[:] = plain(size)
        self._ground.note(place)
        return place, view

    def _room(self, size: int) -> int:
        """Return where a block of that size may lie: one that rested for long, or new cells."""
        resting = self._resting[size]
        if resting and time.monotonic() - resting[0][0] >= REST_SECONDS:
            return resting.popleft()[1]
        left = -self._end % SEGMENT_CELLS
        at = self._end if left >= size else self._end + left
        self._end = at + size
        return at

    def _view(self, place: Place) -> "memoryview[float]":
        number, first = divmod(place.at, SEGMENT_CELLS)
        while len(self._segments) <= number:
            self._segments.append(self._ground.segment(len(self._segments)))
        return self._segments[number][first : first + place.size]

    def free(self, name: Name) -> None:
        """Give up a block; its cells are handed out again after a rest."""
        if name not in self._blocks:
            return
        place, _ = self._blocks.pop(name)
        self._kinds[name[0]] -= 1
        if place is not None:
            with suppress(OSError):  # who reads the index goes on seeing it, so its cells stay as they are
                self._ground.note(Place(FREE, place.at, place.size))
                self._resting[place.size].append((time.monotonic(), place.at))

    def read(self, wanted: Wanted = every) -> Iterator[tuple[Name, NDArray[np.float64]]]:
        """Copy the wanted numbers of every worker: of the living all, of the dead the lasting ones.

        A name comes once for each worker that has it.
        """
        for name, (_, view) in list(self._blocks.items()):
            if wanted(name):
                yield name, np.array(view)
        for numbers in self._ground.others(wanted):
            for place, values in numbers:
                yield place.name, values

    def workers(self) -> dict[int, int]:
        """Return the process of each living worker by its number; nothing for a process that runs alone."""
        return self._ground.workers()

    def close(self) -> None:
        """Count as ended: what lasts stays for the next worker."""
        self._ground.close()
