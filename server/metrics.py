"""Metrics: what a server counts, added up over its workers.

Counting is an addition in place, for the event loop's thread alone. A model that is not stored
counts as `unknown`, so that no caller can make series without end. docs/metrics.md has the table.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable, Collection
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from server.counting import series
from server.counting.cache_counts import CacheCounts
from server.counting.cells import Cells, Ground, Memory, Name
from server.counting.exposition import written
from server.counting.processes import Processes
from server.counting.series import SECONDS, TRIP
from server.counting.usage import Usage
from server.counting.version_metrics import VersionMetrics
from server.counting.version_statistics import Place, Statistics, of_versions
from server.counting.worker_files import WorkerFiles

log = logging.getLogger(__name__)

# With numbers of their own; a version has 10 KB of text. Batches are told apart by their sizes.
MOST = {series.VERSION: 4096, series.FAULT: 16_384, series.BATCHES: 16_384, series.RESET: 4096}
TRIP_AT, TRIP_SUM = TRIP.at, TRIP.total
OTHER = "other"  # the model of those past the most


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
        self._pending: dict[Place, Watched] = {}
        self._named: dict[str, set[Name]] = {}  # model -> its blocks, those a dead worker left included
        for name in self._cells.names():
            if name[0] in MOST:
                self._named.setdefault(name[1], set()).add(name)
        self._redis = self._take((series.REDIS,))
        self._processes = Processes(self._cells.workers)
        self.redis_up = Watched(self._take((series.UP,)))
        self.in_flight = Watched(self._take((series.IN_FLIGHT,)))
        self.jobs = Watched(self._take((series.JOBS,)))
        self.model_cache = CacheCounts(self._take((series.CACHE,)), self._take((series.CACHE_BYTES,)))

    def of(self, model: str, version: int) -> VersionMetrics:
        """Return the numbers of one version."""
        name: Name = (series.VERSION, model, str(version))
        found = self._versions.get(name)
        if found is None:
            name = self._bounded(name, (series.VERSION, OTHER, ""))
            of_size = partial(self._of_size, name[1], name[2])
            found = self._versions.setdefault(name, VersionMetrics(self._take(name), of_size))
        return found

    def _of_size(self, model: str, version: str, rows: int) -> "memoryview[float]":
        """Return the numbers of a version's batches of one size."""
        return self._take(
            self._bounded((series.BATCHES, model, version, str(rows)), (series.BATCHES, OTHER, "", str(rows)))
        )

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

    @property
    def own_commands(self) -> float:
        """How many commands this worker has sent to Redis for features."""
        return float(self._redis[0])

    def commands(self) -> float:
        """Return how many commands all workers have sent to Redis for features; as slow as `statistics`."""
        return sum(float(cells[0]) for _, cells in self._cells.read(lambda name: name == (series.REDIS,)))

    def loaded(self, model: str, version: int, provider: str, memory_bytes: int) -> None:
        """Note that this worker has a version loaded."""
        self._take((series.LOADED, model, str(version), provider))[0] = 1
        self._take((series.MEMORY, model, str(version)))[0] = memory_bytes

    def pending(self, model: str, version: int) -> Watched:
        """Return the gauge of what waits for a version, until it is unloaded."""
        return self._pending.setdefault(
            (model, version), Watched(self._take((series.PENDING, model, str(version))))
        )

    def unloaded(self, model: str, version: int, provider: str) -> None:
        """Note that this worker has let a version go; what it counted stays."""
        self._cells.free((series.LOADED, model, str(version), provider))
        self._cells.free((series.MEMORY, model, str(version)))
        self._pending.pop((model, version), None)
        self._cells.free((series.PENDING, model, str(version)))

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
        for pending in list(self._pending.values()):
            pending.refresh()

    def statistics(self, model: str, version: int) -> Statistics:
        """Return what was counted of one version; of one that was never met, nothing.

        It takes a while, so not for the loop's thread.
        """
        wanted = (model, str(version))
        found = of_versions(self._cells.read(lambda name: name[1:3] == wanted))
        return found.get((model, version)) or Statistics()

    def usage(self, model: str, version: int) -> Usage:
        """Return what a version was used for since that was reset; as slow as `statistics`."""
        name = (series.RESET, model, str(version))
        before = np.zeros(series.USED)
        for _, values in self._cells.read(lambda one: one == name):
            before += values
        return Usage.of(self.statistics(model, version)).since(before.tolist())

    def reset_usage(self, model: str, version: int, usage: Usage) -> None:
        """Count what a version is used for anew from what it was, for all workers; every other number goes on."""
        name = (series.RESET, model, str(version))
        cells = self._take(self._bounded(name, (series.RESET, OTHER, "")))
        for at, number in enumerate(usage):
            cells[at] += number

    def every_statistics(self, model: str | None = None) -> dict[Place, Statistics]:
        """Return what was counted of each version, of all models or of one; as slow as `statistics`."""
        every = self._cells.read(lambda name: model is None or name[1:2] == (model,))
        return of_versions(every)

    def exposition(self) -> bytes:
        """Return every series in Prometheus' text format; takes a while, so not for the loop's thread."""
        self.refresh()
        workers = np.array([max(1.0, len(self._cells.workers()))])
        numbers = chain(self._cells.read(series.told), [((series.WORKERS,), workers)])
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
