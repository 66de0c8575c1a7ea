"""Requests that are under way, and the one timer that gives up those whose time is over."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from models.assembly import Prepared
from models.errors import InsituError
from models.values import Missing
from server.inference.asking import Answer, Ask, Row
from server.inference.errors import DeadlineExceeded
from server.inference.jobs import Job
from server.inference.loading import Serving
from server.inference.routing import Route

Done = Callable[[Answer | Exception], None]

SWEEP_SECONDS = 0.001  # no deadline is kept more exactly
SWEEP_SHARE = 20  # looking for them takes 1/20 of the time, at the most


class Work(Job):
    """Rows that one version answers."""

    serving: Serving

    def take(self, prepared: Prepared, missing: Missing) -> None:
        """Take what has to be read; a row that cannot be is refused."""
        self.prepared = prepared
        if missing is not None:
            self.missing = missing
        if prepared.errors:
            for row, error in prepared.errors.items():
                self.refuse(row, error)

    def replied(self, outcome: list[Any] | InsituError) -> None:
        """Wait for a run, now that what it needs was read."""
        serving = self.serving
        if isinstance(outcome, InsituError):
            serving.batcher.release(len(self.rows), self.priority)
            self.end(outcome)
            return
        self.replies = outcome
        serving.batcher.add(self)
        serving.metrics.read(self.arrived - self.asked, self.callers)


class Request(Work):
    """One request, from its asking to its answer; nearly always one version answers all its rows.

    Else its parts do, and hold the same rows. `ended` hears once that every row has its answer, or
    what is wrong with the request.
    """

    parts: "Sequence[Part]" = ()
    route: Route | None = None
    waiting: int = 0

    def __init__(self, ask: Ask, asked: float, deadline: float, done: Done, ended: "Ended") -> None:
        self.ask = ask
        self.asked = asked
        self.deadline = deadline
        self.done = done
        self.ended = ended

    def end(self, error: Exception | None = None) -> None:
        """Let whoever waits hear of it, once; what has not run yet need not."""
        if self.open:
            if error is not None:
                self.leave()
            self.open = False
            self.ended(self, error)

    def leave(self) -> None:
        """Nobody waits any more."""
        self.open = False
        for part in self.parts:
            part.open = False


Ended = Callable[[Request, Exception | None], None]


class Part(Work):
    """The rows of a divided request that one version answers."""

    def __init__(self, request: Request, serving: Serving, rows: Sequence[Row]) -> None:
        super().__init__(request.asked, request.deadline)
        self.request = request
        self.serving = serving
        self.raw = request.ask.raw
        self.callers = min(request.callers, len(rows))
        self.priority = request.priority
        self.of(rows)

    def end(self, error: Exception | None = None) -> None:
        """End the request with its last part, or with a fault; any part's but the first is its rows' alone."""
        if self.open:
            self.open = False
            request = self.request
            if isinstance(error, InsituError) and self is not request.parts[0]:
                for row in self.rows:
                    row.error = row.error or error
                error = None
            request.waiting -= 1
            if error is not None or not request.waiting:
                request.end(error)


class Requests:
    """The requests under way, each given up when its time is over."""

    def __init__(self) -> None:
        self._under_way: set[Request] = set()
        self.callers = 0
        self._next = math.inf
        self._rested = 0.0  # when the next sweep may begin
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request: Request) -> None:
        """Watch a request."""
        self._under_way.add(request)
        self.callers += request.callers
        if request.deadline < self._next:
            self._arm(request.deadline)

    def discard(self, request: Request) -> None:
        """Watch a request no longer."""
        if request in self._under_way:
            self._under_way.remove(request)
            self.callers -= request.callers

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = at
        wait = max(at, self._rested) - time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(max(SWEEP_SECONDS, wait), self._sweep)

    def _sweep(self) -> None:
        """Give up what is over, and look again when the next one is."""
        self._timer, self._next = None, math.inf
        now = time.monotonic()
        over = [request for request in self._under_way if request.deadline <= now]
        first = min((one.deadline for one in self._under_way if one.deadline > now), default=math.inf)
        self._rested = now + SWEEP_SHARE * (time.monotonic() - now)
        try:
            while over:
                request = over.pop()
                request.end(DeadlineExceeded(request.deadline - request.asked))
        finally:
            first = min(first, self._next, now if over else math.inf)
            if first < math.inf:
                self._arm(first)

    def close(self, error: InsituError) -> None:
        """End the timer, and every request that is still under way."""
        if self._timer is not None:
            self._timer.cancel()
        for request in [*self._under_way]:
            request.end(error)
