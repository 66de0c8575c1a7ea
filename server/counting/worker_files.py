"""Worker files: the cells of one worker in a directory that the workers of one server share.

    worker-N.lock    held (flock) while the worker lives; its process id
    worker-N.index   one JSON line a block: name, at, size, lasting; the newest line of a place holds
    worker-N.cells   float64, mapped by the worker, read by whoever is asked for metrics

A worker that starts takes the lowest number that nobody holds and goes on counting in its files: a
kill loses nothing, and the directory holds as many files as workers ever lived at the same time.
It should lie in memory (tmpfs), or counting waits for a disk now and then.
"""

import fcntl
import json
import mmap
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from server.counting.cells import CELL_BYTES, FREE, SEGMENT_CELLS, Numbers, Place, Wanted

SEGMENT_BYTES = SEGMENT_CELLS * CELL_BYTES
SPARE_LINES = 1000  # lines that say nothing any more before an index is written anew
HELD: set[int] = set()  # locks of this process


def let_go() -> None:
    """Close the locks in a child made by fork: it would keep a dead worker alive."""
    while HELD:
        os.close(HELD.pop())


os.register_at_fork(after_in_child=let_go)


class WorkerFiles:
    """The files of this worker, and a reader of the others'.

    Raises: OSError, the directory is not there, or full.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number, self._lock = claimed(directory)
        self._index = directory / f"worker-{self._number}.index"
        self._parsed: dict[int, tuple[bytes, list[Place]]] = {}
        try:
            self._places = {place.at: place for place in map(left, places_in(read(self._index)))}
            self._write_index()
            self._cells = os.open(cells_of(directory, self._number), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            self._let_go()
            raise

    def places(self) -> list[Place]:
        """Return the blocks an earlier worker of this number left; what described it is free."""
        return list(self._places.values())

    def segment(self, number: int) -> "memoryview[float]":
        """Return a segment, making it when it is the next one.

        Raises: OSError, there is no room for it.
        """
        at = number * SEGMENT_BYTES
        if os.fstat(self._cells).st_size < at + SEGMENT_BYTES:
            fill(self._cells, at, SEGMENT_BYTES)  # a hole in the file would fail later, by SIGBUS
        return memoryview(mmap.mmap(self._cells, SEGMENT_BYTES, offset=at)).cast("d")

    def note(self, place: Place) -> None:
        """Keep what a block is from now on.

        Raises: OSError, there is no room for it.
        """
        if self._lines > len(self._places) + SPARE_LINES:
            self._write_index()
        with self._index.open("ab") as file:
            file.write(line(place))
        self._places[place.at] = place
        self._lines += 1

    def _write_index(self) -> None:
        """Write the index anew, without what says nothing any more."""
        fresh = self._index.with_suffix(".fresh")
        fresh.write_bytes(b"".join(map(line, self._places.values())))
        fresh.replace(self._index)
        self._lines = len(self._places)

    def others(self, wanted: Wanted) -> Iterator[Numbers]:
        """Read the numbers of the other workers: of the living all, of the dead the lasting ones."""
        for number, alive in self._numbers():
            if number != self._number:
                yield self._read(number, alive, wanted)

    def _numbers(self) -> list[tuple[int, bool]]:
        """Return the workers that ever were, and whether each lives."""
        locks = self._directory.glob("worker-*.lock")
        return [(int(lock.stem.removeprefix("worker-")), held(lock)) for lock in sorted(locks)]

    def _read(self, number: int, alive: bool, wanted: Wanted) -> Numbers:
        text = read(self._directory / f"worker-{number}.index")
        known, places = self._parsed.get(number, (None, []))
        if text != known:
            places = [place for place in places_in(text) if place.name != FREE]
            self._parsed[number] = text, places
        cells = mapped(cells_of(self._directory, number))
        return [
            (place, cells[place.at : place.at + place.size])
            for place in places
            if (alive or place.lasting) and place.at + place.size <= len(cells) and wanted(place.name)
        ]

    def workers(self) -> dict[int, int]:
        """Return the process of each living worker, by the worker's number."""
        alive = [number for number, alive in self._numbers() if alive]
        return {number: int(read(self._directory / f"worker-{number}.lock") or b"0") for number in alive}

    def close(self) -> None:
        """Count as ended."""
        os.close(self._cells)
        self._let_go()

    def _let_go(self) -> None:
        HELD.discard(self._lock)
        os.close(self._lock)


def claimed(directory: Path) -> tuple[int, int]:
    """Return the lowest worker number that nobody holds, and its lock."""
    number = 0
    while (lock := locked(directory / f"worker-{number}.lock")) is None:
        number += 1
    HELD.add(lock)
    os.ftruncate(lock, os.pwrite(lock, str(os.getpid()).encode(), 0))
    return number, lock


def locked(path: Path) -> int | None:
    """Return a lock that was free, held now; None when a living worker holds it."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def held(path: Path) -> bool:
    """Whether a living worker holds a lock; asking with a shared one hinders nobody else who asks."""
    try:
        with path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # the server is ending and its directory leaves
        return False
    return False


def cells_of(directory: Path, number: int) -> Path:
    """Return the file of a worker's numbers."""
    return directory / f"worker-{number}.cells"


def read(path: Path) -> bytes:
    """Return what a file holds; one that is not there yet holds nothing."""
    with suppress(FileNotFoundError):
        return path.read_bytes()
    return b""


def mapped(path: Path) -> NDArray[np.float64]:
    """Copy the numbers of a file; each is read whole, as its worker wrote it."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size // SEGMENT_BYTES * SEGMENT_BYTES
        if size:
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as cells:
                return np.frombuffer(cells).copy()
    return np.zeros(0)


def line(place: Place) -> bytes:
    """Return the line of a block in an index; it opens with the newline, so that no torn one spoils it."""
    facts = {"name": place.name, "at": place.at, "size": place.size, "lasting": place.lasting}
    return b"\n" + json.dumps(facts, separators=(",", ":")).encode()


def fill(file: int, start: int, size: int) -> None:
    """Write zeros at the end of a file, all of them or none.

    Raises: OSError. A file system that is nearly full takes a part of them first, and says nothing.
    """
    at, end = start, start + size
    try:
        while at < end:
            at += os.pwrite(file, bytes(end - at), at)
    except OSError:
        os.ftruncate(file, start)
        raise


def places_in(index: bytes) -> list[Place]:
    """Return what each block became in the end; a line that a kill cut off counts as not written."""
    places = {}
    for one in index.split(b"\n"):
        with suppress(ValueError):
            facts = json.loads(one)
            places[facts["at"]] = Place(tuple(facts["name"]), facts["at"], facts["size"], facts["lasting"])
    return list(places.values())


def left(place: Place) -> Place:
    """Return what becomes of a block when its worker is dead."""
    return place if place.lasting else replace(place, name=FREE)
