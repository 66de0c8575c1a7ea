"""Metrics: what a server counts, added up over its workers.

Counting is an addition in place, for the event loop's thread alone. A model that is not stored
counts as `unknown`, so that no caller can make series without end. docs/metrics.md has the table.
"""

import logging
import math
from bisect import bisect_left
from collections.abc import Callable, Collection
from itertools import chain
from pathlib import Path

import numpy as np

from server.counting import series
from server.counting.cells import Cells, Ground, Memory, Name, plain
from server.counting.exposition import written
from server.counting.processes import Processes
from server.counting.series import (
    AGE,
    AGES,
    ANSWERED,
    BATCH,
    DIFFERENCE,
    DIFFERENCES,
    DIFFERENT,
    FILLED,
    MISSING,
    OF_JOBS,
    QUEUE,
    READ,
    REQUEST,
    ROWS,
    RUN,
    SECONDS,
    SHADOWED,
    SKIPPED,
    TRIP,
)
from server.counting.worker_files import WorkerFiles

log = logging.getLogger(__name__)

MOST = {series.VERSION: 4096, series.FAULT: 16_384}  # with series of their own; a version has 10 KB of text
OTHER = "other"  # the model of those past the most

REQUEST_AT, REQUEST_SUM, READ_AT, READ_SUM = REQUEST.at, REQUEST.total, READ.at, READ.total
QUEUE_AT, QUEUE_SUM, RUN_AT, RUN_SUM = QUEUE.at, QUEUE.total, RUN.at, RUN.total
BATCH_AT, BATCH_SUM, TRIP_AT, TRIP_SUM = BATCH.at, BATCH.total, TRIP.at, TRIP.total
AGE_AT, AGE_SUM, DIFFERENCE_AT, DIFFERENCE_SUM = AGE.at, AGE.total, DIFFERENCE.at, DIFFERENCE.total


class VersionMetrics:
    """The numbers of one version, looked up once."""

    __slots__ = ("_cells",)

    def __init__(self, cells: "memoryview[float]") -> None:
        self._cells = cells

    def request(self, rows: int, seconds: float, requests: int = 1) -> None:
        """Count requests that were answered, and their rows."""
        cells = self._cells
        cells[ANSWERED] += rows
        cells[REQUEST_AT + bisect_left(SECONDS, seconds)] += requests
        cells[REQUEST_SUM] += seconds * requests

    def filled(self, rows: int) -> None:
        """Count rows with a value stood in for."""
        self._cells[FILLED] += rows

    def missing(self, rows: int) -> None:
        """Count rows refused for an absent key or field."""
        self._cells[MISSING] += rows

    def read(self, seconds: float, requests: int = 1) -> None:
        """Count how long the features of requests took to read."""
        cells = self._cells
        cells[READ_AT + bisect_left(SECONDS, seconds)] += requests
        cells[READ_SUM] += seconds * requests

    def waited(self, seconds: float, requests: int = 1) -> None:
        """Count how long requests waited for their run."""
        cells = self._cells
        cells[QUEUE_AT + bisect_left(SECONDS, seconds)] += requests
        cells[QUEUE_SUM] += seconds * requests

    def ran(self, rows: int, seconds: float) -> None:
        """Count a run of a batch."""
        cells = self._cells
        cells[RUN_AT + bisect_left(SECONDS, seconds)] += 1
        cells[RUN_SUM] += seconds
        cells[BATCH_AT + bisect_left(ROWS, rows)] += 1
        cells[BATCH_SUM] += rows

    def aged(self, seconds: float) -> None:
        """Count the age of a feature; one that claims to come from the future is new."""
        if not 0 <= seconds < math.inf:
            seconds = 0.0
        cells = self._cells
        cells[AGE_AT + bisect_left(AGES, seconds)] += 1
        cells[AGE_SUM] += seconds

    def shadowed(self, rows: int, different: int, largest_difference: float) -> None:
        """Count rows of a request that a shadow answered too; what is no number differs without end."""
        cells = self._cells
        cells[SHADOWED] += rows
        cells[DIFFERENT] += different
        if largest_difference < math.inf:
            cells[DIFFERENCE_AT + bisect_left(DIFFERENCES, largest_difference)] += 1
            cells[DIFFERENCE_SUM] += largest_difference
        else:
            cells[DIFFERENCE_AT + len(DIFFERENCES)] += 1

    def skipped(self, rows: int) -> None:
        """Count rows of a request that a shadow was not asked for: it had too much to do."""
        self._cells[SKIPPED] += rows

    def job(self, rows: int) -> None:
        """Count rows that a scoring job looked at."""
        self._cells[OF_JOBS] += rows

    def retire(self) -> None:
        """Count nowhere from now on: who still holds this must not write into another's cells."""
        self._cells = plain(DIFFERENCE.end)


class Watched:
    """A gauge that is asked when somebody wants to know."""

    def __init__(self, cells: "memoryview[float]") -> None:
        self._cells = cells
        self._ask: Callable[[], float] = float

    def set_function(self, ask: Callable[[], float]) -> None:
        """Take the function that knows."""
        self._ask = ask

    def refresh(self) -> None:
        """Ask, and keep the answer for other workers to read."""
        self._cells[0] = self._ask()


class Metrics:
    """Every series of the server; with `shared`, a directory, of all workers that share it."""

    def __init__(self, shared: Path | None = None) -> None:
        self._cells = Cells(ground(shared))
        self._versions: dict[Name, VersionMetrics] = {}
        self._faults: dict[Name, memoryview[float]] = {}
        self._named: dict[str, set[Name]] = {}  # model -> its blocks, those a dead worker left included
        for name in self._cells.names():
            if name[0] in MOST:
                self._named.setdefault(name[1], set()).add(name)
        self._redis = self._take((series.REDIS,))
        self._processes = Processes(self._cells.workers)
        self.redis_up = Watched(self._take((series.UP,)))
        self.in_flight = Watched(self._take((series.IN_FLIGHT,)))
        self.jobs = Watched(self._take((series.JOBS,)))

    def of(self, model: str, version: int) -> VersionMetrics:
        """Return the numbers of one version."""
        name: Name = (series.VERSION, model, str(version))
        found = self._versions.get(name)
        if found is None:
            name = self._bounded(name, (series.VERSION, OTHER, ""))
            found = self._versions.setdefault(name, VersionMetrics(self._take(name)))
        return found

    def failed(self, model: str, code: str, count: int = 1, version: int | None = None) -> None:
        """Count failed requests or rows; `model` is a stored one or `unknown`."""
        name: Name = (series.FAULT, model, "" if version is None else str(version), code)
        cells = self._faults.get(name)
        if cells is None:
            name = self._bounded(name, (series.FAULT, OTHER, "", code))
            cells = self._faults[name] = self._take(name)
        cells[0] += count

    def pipeline(self, commands: int, seconds: float) -> None:
        """Count one round trip to Redis."""
        cells = self._redis
        cells[0] += commands
        cells[TRIP_AT + bisect_left(SECONDS, seconds)] += 1
        cells[TRIP_SUM] += seconds

    def loaded(self, model: str, version: int, provider: str, memory_bytes: int) -> None:
        """Note that this worker has a version loaded."""
        self._take((series.LOADED, model, str(version), provider))[0] = 1
        self._take((series.MEMORY, model, str(version)))[0] = memory_bytes

    def unloaded(self, model: str, version: int, provider: str) -> None:
        """Note that this worker has let a version go; what it counted stays."""
        self._cells.free((series.LOADED, model, str(version), provider))
        self._cells.free((series.MEMORY, model, str(version)))

    def keep(self, model: str, versions: Collection[int]) -> None:
        """Drop the series of a model's versions but these; with none, everything about the model."""
        kept = {str(version) for version in versions} | ({""} if versions else set())
        for name in list(self._named.get(model, ())):
            if name[2] not in kept:
                self._drop(name)

    def forget(self, model: str, version: int) -> None:
        """Drop the series of a version that is no longer stored, or they would add up for good."""
        for name in list(self._named.get(model, ())):
            if name[2] == str(version):
                self._drop(name)

    def refresh(self) -> None:
        """Ask for what other workers cannot ask: they read what was true here last."""
        self.redis_up.refresh()
        self.in_flight.refresh()
        self.jobs.refresh()

    def exposition(self) -> bytes:
        """Return every series in Prometheus' text format; takes a while, so not for the loop's thread."""
        self.refresh()
        workers = np.array([max(1.0, len(self._cells.workers()))])
        numbers = chain(self._cells.read(), [((series.WORKERS,), workers)])
        return written(chain([self._processes.text()], series.pieces(numbers)))

    def close(self) -> None:
        """Count as ended; what was counted stays."""
        self._cells.close()

    def _take(self, name: Name) -> "memoryview[float]":
        kind = name[0]
        return self._cells.take(name, series.SIZES.get(kind, 1), lasting=kind not in series.PASSING)

    def _bounded(self, name: Name, other: Name) -> Name:
        """Return a name that adds up, or the one that those past the most share."""
        if name not in self._named.get(name[1], ()) and self._cells.count(name[0]) >= MOST[name[0]]:
            name = other
        self._named.setdefault(name[1], set()).add(name)
        return name

    def _drop(self, name: Name) -> None:
        held = self._versions.pop(name, None)
        if held is not None:
            held.retire()
        self._faults.pop(name, None)
        self._cells.free(name)
        named = self._named[name[1]]
        named.discard(name)
        if not named:
            del self._named[name[1]]


def ground(shared: Path | None) -> Ground:
    """Return what to count in; a directory that cannot be used must not keep a worker from answering."""
    if shared is not None:
        try:
            return WorkerFiles(shared)
        except OSError as error:
            log.warning("this worker counts for itself alone, %s cannot be used: %s", shared, error)
    return Memory()
