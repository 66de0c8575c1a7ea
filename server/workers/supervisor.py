"""Supervisor: keeps as many workers at work as were asked for; it knows neither models nor HTTP.

SIGTERM, SIGINT   every worker answers what it has accepted and ends; a second one ends them at once
SIGHUP            one worker after the other is replaced by a new one; no request fails
a worker dies     another takes its place at once, later and later when it dies again and again
"""

import logging
import os
import selectors
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from models.errors import InsituError
from server.cores import worker_count
from server.settings import ServerSettings
from server.workers.listeners import DOORS, Doors, place
from server.workers.processes import Worker
from server.workers.reports import Task, WorkerFailed
from server.workers.signals import ENDING, Signals, bury_strangers

Started = Callable[[str, Mapping[str, str]], None]  # the URL, and the addresses of the doors beside it
log = logging.getLogger(__name__)

STEADY_SECONDS = 10.0  # a worker that lived so long did not die of its start
BACKOFF_SECONDS = 0.5
BACKOFF_MOST_SECONDS = 30.0
STARTS = 4  # in vain, with nobody who answers: then we end, and say why
LOAD_SECONDS = 30.0  # while others answer, a new worker may load before it does
CLOSE_SECONDS = 5.0  # beside the time for requests: closing connections and files
LEAST_MEMORY_BYTES = 1 << 20
MEMORY_FILES = Path("/dev/shm")  # noqa: S108  # a private directory is made in it


def supervise(settings: ServerSettings, started: Started) -> None:
    """Serve in several processes until SIGTERM or SIGINT; `started` gets the addresses once all of them answer.

    Raises: OSError, the port is taken; what a worker refuses to start with; WorkerFailed, none comes up.
    """
    count = worker_count(settings)
    with (
        closing(Doors(settings.host, settings.port, settings.beside, count)) as doors,
        tempfile.TemporaryDirectory(prefix="insitu-metrics-", dir=memory_files()) as metrics,
        closing(Signals()) as signals,
    ):
        task = Task(share_of(settings, count, doors.ports), Path(metrics))
        Supervisor(task, doors, signals, started).run()


def memory_files() -> Path | None:
    """Return where files lie in memory: workers count in them, and a disk would keep them waiting."""
    return MEMORY_FILES if os.access(MEMORY_FILES, os.W_OK) else None


def share_of(settings: ServerSettings, count: int, held: Mapping[str, int]) -> ServerSettings:
    """Return the settings of one worker of several; all of them open the ports that are held."""
    memory = max(LEAST_MEMORY_BYTES, settings.model_memory_bytes // count)
    ports = {f"{door}_port": held.get(door, -1) for door in DOORS}
    return settings.model_copy(update={"workers": count, "model_memory_bytes": memory, **ports})


@dataclass(eq=False, slots=True)
class Slot:
    """The place of one worker: who is there, who is to follow, and when to start one (time.monotonic)."""

    number: int
    worker: Worker | None = None
    successor: Worker | None = None
    failures: int = 0
    due: float | None = 0.0

    @property
    def answering(self) -> bool:
        """Whether connections are taken here."""
        return self.worker is not None and self.worker.answering


class Supervisor:
    """The workers of one server."""

    def __init__(self, task: Task, doors: Doors, signals: Signals, started: Started) -> None:
        self._task = task
        self._doors = doors
        self._signals = signals
        self._tell = started
        self._slots = [Slot(number) for number in range(1, task.settings.workers + 1)]
        self._leaving: list[Worker] = []
        self._to_renew: deque[Slot] = deque()
        self._selector = selectors.DefaultSelector()
        self._selector.register(signals, selectors.EVENT_READ)
        self._started = self._stopping = False
        self._fault: InsituError | None = None

    def run(self) -> None:
        """Keep the workers at work until they are to end.

        Raises: what a worker refuses to start with; WorkerFailed, none comes up.
        """
        log.info("starting %d workers", len(self._slots))
        try:
            while not self._stopping or self._workers():
                self._start_due()
                self._hear()
                self._bury()
                self._take_note()
                self._renew()
        finally:
            for worker in self._workers():
                worker.process.kill()
                worker.process.wait()
            self._selector.close()
        log.info("stopped")
        if self._fault is not None:
            raise self._fault

    def _workers(self) -> list[Worker]:
        held = [one for slot in self._slots for one in (slot.worker, slot.successor) if one is not None]
        return held + self._leaving

    def _start_due(self) -> None:
        for slot in self._slots:
            if slot.due is not None and slot.due <= time.monotonic() and not self._stopping:
                slot.due = None
                try:
                    slot.worker = self._new(slot)
                except OSError as error:  # no process or file is to be had: the others go on
                    slot.failures += 1
                    why = f"cannot be started: {error}"
                    self._try_again(slot, f"worker {slot.number} {why}", in_vain(why, slot))

    def _new(self, slot: Slot, *, follows: bool = False) -> Worker:
        others = any(one.answering for one in self._slots)
        task = Task(self._task.settings, self._task.metrics, LOAD_SECONDS if others else None, follows)
        listener, beside = self._doors.of(slot.number - 1)
        worker = Worker.start(slot.number, listener, task, beside)
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)
        log.info("%s starts", worker)
        return worker

    def _hear(self) -> None:
        """Wait until something happens, and take in what it is."""
        for key, _ in self._selector.select(self._seconds_left()):
            if key.data is None:
                for number in self._signals.came():
                    self._signalled(number)
            elif not key.data.hear():
                self._selector.unregister(key.fileobj)

    def _take_note(self) -> None:
        """Act on who answers by now."""
        for slot in self._slots:
            if slot.successor is not None and slot.successor.answering:
                self._succeed(slot)
        if self._stopping:
            return
        self._doors.prefer([slot.number - 1 for slot in self._slots if slot.answering])
        if not self._started and all(slot.answering for slot in self._slots):
            self._all_answer()

    def _seconds_left(self) -> float | None:
        times = [worker.kill_at for worker in self._workers()] + [slot.due for slot in self._slots]
        known = [at for at in times if at is not None]
        return max(0.0, min(known) - time.monotonic()) if known else None

    def _all_answer(self) -> None:
        self._started = True
        worker = self._slots[0].worker
        if worker is not None and worker.url is not None:
            log.info("%d workers answer on %s", len(self._slots), worker.url)
            self._tell(worker.url, addresses(self._task.settings))

    def _signalled(self, number: int) -> None:
        if number in ENDING:
            log.info("stopping: %s", signal.Signals(number).name)
            self._stop()
        elif number == signal.SIGHUP and not self._stopping:
            log.info("replacing the workers one after the other: SIGHUP")
            self._to_renew = deque(self._slots)

    def _stop(self) -> None:
        """Let every worker end; at once when that was asked before."""
        for worker in self._workers():
            if self._stopping:
                worker.process.kill()
            else:
                worker.stop(self._task.settings.shutdown_seconds + CLOSE_SECONDS)
        self._stopping = True
        self._doors.close()
        for slot in self._slots:
            slot.due = None

    def _bury(self) -> None:
        """Take leave of the workers that have ended."""
        for worker in self._workers():
            worker.hurry()
            if worker.ended():
                self._forget(worker)
        bury_strangers(worker.process.pid for worker in self._workers())

    def _forget(self, worker: Worker) -> None:
        if worker.channel in self._selector.get_map():
            self._selector.unregister(worker.channel)
        worker.channel.close()
        if worker in self._leaving:
            self._leaving.remove(worker)
            log.info("%s ended", worker)
            return
        slot = self._slots[worker.number - 1]
        if slot.successor is worker:
            slot.successor = None
        else:
            slot.worker = None
        if self._stopping:
            log.info("%s ended", worker)
        elif slot.worker is None:
            self._lost(slot, worker)
        else:
            self._to_renew.clear()
            also = ", with the certificate they have" if self._task.settings.tls_cert else ""
            log.error("%s ended (%s); those that are there stay%s", worker, worker.why(), also)

    def _lost(self, slot: Slot, worker: Worker) -> None:
        """Have another worker take the place of one that died."""
        if slot.successor is not None:
            slot.worker, slot.successor = slot.successor, None
            log.warning("%s ended (%s); the one to follow it is on its way", worker, worker.why())
            return
        steady = worker.answering and worker.age_seconds >= STEADY_SECONDS
        slot.failures = 0 if steady else slot.failures + 1
        what = f"{worker} ended after {worker.age_seconds:.1f} s ({worker.why()})"
        why = f"ended at {slot.failures} starts in a row, the last time with {worker.why()}"
        fault = worker.fault or in_vain(f"{why}; what it wrote stands above", slot, worker.process.returncode)
        self._try_again(slot, what, fault, refused=worker.fault is not None)

    def _try_again(self, slot: Slot, what: str, fault: InsituError, refused: bool = False) -> None:
        """Have another worker started later; end with the fault where that is of no use."""
        if self._hopeless(slot, refused):
            self._fault = fault
            self._stop()
            return
        seconds = backoff_seconds(slot.failures)
        slot.due = time.monotonic() + seconds
        log.warning("%s; another starts in %.1f s", what, seconds)

    def _hopeless(self, slot: Slot, refused: bool) -> bool:
        """Whether trying again is of no use: refused or dead before all were up, or nobody answers for long."""
        vain = slot.failures >= STARTS
        if not self._started:
            return vain or refused
        return vain and not any(one.answering for one in self._slots)

    def _renew(self) -> None:
        """Start the successor of the next worker, when the last one has taken over."""
        if not self._to_renew or self._stopping or self._leaving or not self._settled():
            return
        slot = self._to_renew.popleft()
        try:
            slot.successor = self._new(slot, follows=True)
        except OSError as error:
            self._to_renew.clear()
            log.warning("worker %d cannot be replaced: %s; those that are there stay", slot.number, error)

    def _settled(self) -> bool:
        return all(slot.answering and slot.successor is None for slot in self._slots)

    def _succeed(self, slot: Slot) -> None:
        """Let the worker that was there end, now that its successor answers at the same socket."""
        if slot.worker is not None:
            slot.worker.stop(self._task.settings.shutdown_seconds + CLOSE_SECONDS)
            self._leaving.append(slot.worker)
        slot.worker, slot.successor = slot.successor, None


def in_vain(why: str, slot: Slot, status: int | None = None) -> WorkerFailed:
    """Return what a server ends with whose workers do not come up."""
    return WorkerFailed(f"no worker comes up: worker {slot.number} {why}", status=status)


def addresses(settings: ServerSettings) -> dict[str, str]:
    """Return where the doors beside HTTP answer."""
    return {door: place(settings.host, port) for door, port in settings.beside.items()}


def backoff_seconds(failures: int) -> float:
    """Return how long to wait before a worker is started again: not at all the first time."""
    if failures <= 1:
        return 0.0
    return float(min(BACKOFF_SECONDS * 2 ** (failures - 2), BACKOFF_MOST_SECONDS))
