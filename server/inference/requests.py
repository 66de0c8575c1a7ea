"""Requests that are under way, and the one timer that gives up those whose time is over."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from models.assembly import Prepared
from models.errors import InsituError
from server.inference.asking import Answer, Ask, Row
from server.inference.errors import DeadlineExceeded
from server.inference.jobs import Job
from server.inference.loading import Serving
from server.inference.routing import Route

Done = Callable[[Answer | Exception], None]

SWEEP_SECONDS = 0.001  # no deadline is kept more exactly
SWEEP_SHARE = 20  # a sweep is as long as 1/20 of the time between two, at the most


class Part(Job):
    """The rows of a request that one version answers."""

    __slots__ = ("request", "serving")

    def __init__(self, request: "Request", serving: Serving, rows: list[Row]) -> None:
        super().__init__(rows, request.started, request.deadline, request.ask.raw)
        self.request = request
        self.serving = serving

    def take(self, prepared: Prepared) -> None:
        """Take what has to be read; a row that cannot be is refused."""
        self.prepared = prepared
        self.missing = self.request.ask.missing
        if prepared.errors:
            for row, error in prepared.errors.items():
                self.refuse(row, error)

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

    def replied(self, outcome: list[Any] | InsituError) -> None:
        """Wait for a run, now that what it needs was read."""
        serving = self.serving
        if isinstance(outcome, InsituError):
            serving.batcher.release(len(self.rows))
            self.end(outcome)
            return
        self.replies = outcome
        serving.batcher.add(self)
        serving.metrics.read(self.arrived - self.asked)


class Request:
    """One request, from its asking to its answer.

    `rows` are in the order of the request; its parts hold the same ones. `ended` hears once that
    all parts have, or what is wrong with the request.

    Units: started and deadline, seconds of time.monotonic.
    """

    __slots__ = ("ask", "deadline", "done", "ended", "open", "parts", "route", "rows", "started", "waiting")

    def __init__(
        self,
        ask: Ask,
        started: float,
        deadline: float,
        done: Done,
        ended: "Callable[[Request, Exception | None], None]",
    ) -> None:
        self.ask = ask
        self.started = started
        self.deadline = deadline
        self.done = done
        self.ended = ended
        self.open = True
        self.parts: Sequence[Part] = ()
        self.route: Route | None = None
        self.rows: list[Row] = []
        self.waiting = 0

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


class Requests:
    """The requests under way, each given up when its time is over."""

    def __init__(self) -> None:
        self._under_way: set[Request] = set()
        self._next = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._under_way)

    def add(self, request: Request) -> None:
        """Watch a request."""
        self._under_way.add(request)
        if request.deadline < self._next:
            self._arm(request.deadline, time.monotonic())

    def discard(self, request: Request) -> None:
        """Watch a request no longer."""
        self._under_way.discard(request)

    def _arm(self, at: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._next = at
        self._timer = asyncio.get_running_loop().call_later(max(SWEEP_SECONDS, at - now), self._sweep)

    def _sweep(self) -> None:
        """Give up what is over, and look again when the next one is."""
        self._timer, self._next = None, math.inf
        now = time.monotonic()
        for request in [one for one in self._under_way if one.deadline <= now]:
            request.end(DeadlineExceeded(request.deadline - request.started))
        after = time.monotonic()
        if self._under_way:
            first = min(request.deadline for request in self._under_way)
            self._arm(max(first, after + SWEEP_SHARE * (after - now)), after)

    def close(self) -> None:
        """End the timer."""
        if self._timer is not None:
            self._timer.cancel()
