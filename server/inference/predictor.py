"""Predictor: one request from its keys, instances or tensors to its answer; it knows no wire.

    submit(ask, done)   no task and no future a request: `done` hears the answer, or what is wrong
    predict(ask)        the same, awaited

A request becomes a part for each version that answers it, nearly always one: its features are
read, together with everybody else's of this moment, then it waits in that version's batcher.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from models.assembly import Plan
from models.errors import BadRequest, FieldMissing, InsituError, KeyMissing
from server.inference.answers import ANSWER_NUMBERS
from server.inference.asking import Answer, Ask, Row, UnsaidRows
from server.inference.catalogue import Catalogue
from server.inference.columns import KeyedRows, columns_of
from server.inference.dividing import Share, divided
from server.inference.errors import DeadlineExceeded, Stopping, TooManyRows, code_of, no_view
from server.inference.loading import Serving
from server.inference.reading.reader import Reader
from server.inference.reading.rows import RowReader
from server.inference.requests import Done, Part, Request, Requests, Work
from server.inference.routing import Route
from server.inference.shadow import Shadows
from server.inference.tensors import tensors_of
from server.metrics import Metrics

REQUEST_BYTES = 1 << 30  # features that one request may bring into memory
ABSENT = (KeyMissing, FieldMissing)


class Predictor:
    """Answers requests; shared by every door."""

    def __init__(
        self, catalogue: Catalogue, reader: Reader, metrics: Metrics, rows: int, timeout_seconds: float
    ) -> None:
        self._catalogue = catalogue
        self._read_rows = RowReader(reader).read
        self._metrics = metrics
        self._rows = rows
        self._timeout = timeout_seconds
        self._requests = Requests()
        self._tasks: set[asyncio.Task[None]] = set()
        self._shadows = Shadows(self.submit)
        self._ended = self._request_ended

    @property
    def under_way(self) -> int:
        """How many requests have no answer yet."""
        return self._requests.callers

    async def predict(self, ask: Ask) -> Answer:
        """Answer one request whole; a row that fails carries its own error.

        Raises: InsituError for what concerns the whole request: model, size, overload, deadline.
        """
        heard: asyncio.Future[Answer | Exception] = asyncio.get_running_loop().create_future()
        request = self.submit(ask, partial(hear, heard))
        try:
            outcome = await heard
        except asyncio.CancelledError:
            self.leave(request)
            raise
        if isinstance(outcome, Exception):
            try:
                raise outcome
            finally:  # its traceback has this frame: what was asked would stay until a collection
                del heard, outcome, request
        return outcome

    def submit(self, ask: Ask, done: Done) -> Request:
        """Begin to answer a request; `done` hears the answer or the error once, perhaps before this returns."""
        started = time.monotonic()
        deadline = started + self._timeout
        if ask.deadline is not None and ask.deadline < deadline:
            deadline = ask.deadline
        request = Request(ask, started, deadline, done, self._ended)
        request.raw, request.callers, request.tensors = ask.raw, ask.callers, ask.tensors
        if ask.priority:
            request.priority = ask.priority
        if ask.apart:
            request.apart = ask.apart
        self._requests.add(request)
        if deadline <= started:
            request.end(DeadlineExceeded(0.0))
            return request
        try:
            route = self._catalogue.route(ask.model, ask.reference)
            if route is None:
                self._spawn(self._look_up(request))
            else:
                self._start(request, route)
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
            request.end(error)
        return request

    def leave(self, request: Request) -> None:
        """Give a request up whose caller has left."""
        self._requests.discard(request)
        request.leave()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, request: Request) -> None:
        """Begin to answer a request whose version is not loaded yet."""
        ask = request.ask
        try:
            route = await self._catalogue.routed(ask.model, ask.reference)
            if request.open:
                self._start(request, route)
        except asyncio.CancelledError:  # of the load, or of this: the server ends
            request.end(Stopping())
            raise
        except Exception as error:  # noqa: BLE001  # as in submit
            request.end(error)

    def _start(self, request: Request, route: Route) -> None:
        """Read what a request needs, and let it wait for a run.

        Raises: BadRequest, BadFeatureView, TooManyRows, BadInput, Overloaded, RedisUnavailable.
        """
        ask, serving, split = request.ask, route.serving, route.split
        request.route = route
        serving.used_at = request.asked
        check_ways(ask)
        if split is not None:
            split.used(request.asked)
            share = split.share(ask.share)
            shares = divided(split, ask) if share is None else [(share, ())]
            if len(shares) > 1 and not ask.tensors:
                self._divided(request, shares)
                return
            serving = next(one for one, rows in shares if not rows or 0 in rows)
        if ask.inputs is not None:
            self._dense(request, serving)
        else:
            self._undivided(request, serving)

    def _undivided(self, request: Request, serving: Serving) -> None:
        """Read the rows of keys or instances, all for one version."""
        keys, instances = request.ask.keys, request.ask.instances or ()
        request.of([Row() for _ in instances] if keys is None else KeyedRows(keys))
        plan = self._plan(request, serving)
        request.serving = serving
        request.take(
            plan.prepare(instances) if keys is None else plan.prepare_keys(keys), request.ask.missing
        )
        self._read(request)

    def _plan(self, request: Request, serving: Serving) -> Plan:
        """Return the plan that reads a request's rows, which fit the bounds.

        Raises: BadRequest, BadFeatureView, TooManyRows.
        """
        ask, plan = request.ask, serving.plan
        if not request.rows:
            raise BadRequest("the request has no rows; name at least one key or instance")
        if plan is None:
            raise no_view(ask.model)
        self._check_count(len(request.rows), ask, serving)
        if ask.missing is not None:
            plan.check_missing(ask.missing)
        return plan

    def _divided(self, request: Request, shares: Sequence[Share]) -> None:
        """Read rows for the versions that the rule gives them to, each by its own view.

        What is wrong with any version but the first is the error of its own rows.
        """
        ask = request.ask
        asked: Sequence[Any] = ask.instances or () if ask.keys is None else ask.keys
        request.of([Row() for _ in asked] if ask.keys is None else [Row(key) for key in ask.keys])
        request.parts = parts = [
            Part(request, serving, [request.rows[row] for row in rows]) for serving, rows in shares
        ]
        request.waiting = len(parts)
        for part, (serving, rows) in zip(parts, shares, strict=True):
            if not part.open:
                return
            if part is not parts[0]:
                for row in part.rows:
                    row.version = serving.manifest.version
            try:
                plan, own = self._plan(request, serving), [asked[row] for row in rows]
                part.take(plan.prepare(own) if ask.keys is None else plan.prepare_keys(own), ask.missing)
                self._read(part)
            except InsituError as error:
                part.end(error)

    def _dense(self, request: Request, serving: Serving) -> None:
        """Let tensors wait for a run as they came."""
        feeds, count = tensors_of(serving.manifest, request.ask.inputs or {}, serving.rows)
        self._check_count(count, request.ask, serving)
        request.of(UnsaidRows(count))
        request.serving = serving
        request.feeds = feeds
        self._read(request)

    def _read(self, work: Work) -> None:
        """Read what rows need; they wait for a run when that is there.

        Raises: Overloaded, RedisUnavailable.
        """
        if not work.left or not work.open:
            work.end()
            return
        batcher, rows = work.serving.batcher, len(work.rows)
        batcher.admit(rows, work.priority)
        prepared, ways = work.prepared, work.serving.ways
        if prepared is None or ways is None:
            batcher.add(work)
            return
        try:
            if not self._read_rows(ways, prepared, work.replied):
                batcher.add(work)
        except Exception:
            batcher.release(rows, work.priority)
            raise

    def _check_count(self, rows: int, ask: Ask, serving: Serving) -> None:
        """Refuse more rows than a request may have, than fit the memory of one, or than can be told at once.

        Raises: TooManyRows.
        """
        if rows < 2:
            return
        most = max(1, min(self._rows, REQUEST_BYTES // serving.row_bytes))
        if rows > most:
            raise TooManyRows(rows, most)
        if not ask.tensors and rows * (numbers := serving.told[ask.raw]) > ANSWER_NUMBERS:
            raise TooManyRows(rows, max(1, ANSWER_NUMBERS // numbers), numbers)

    def _request_ended(self, request: Request, error: Exception | None) -> None:
        """Answer a request that has ended."""
        self._requests.discard(request)
        if error is not None and request.ask.asked_apart(error):
            request.done(error)
            return
        if error is not None:
            self._count_waited(request)
            self._count_failed(request, error)
            request.done(error)
            return
        seconds = time.monotonic() - request.asked
        manifest = (request.parts or (request,))[0].serving.manifest
        answer = Answer(manifest.name, manifest.version, request.rows, request.outputs)
        request.done(answer)
        self._count_waited(request)  # now that it has left
        self._count_answered(request, seconds)
        route = request.route
        if route is not None and route.shadow is not None:
            self._shadows.beside(request.ask, route.shadow, answer)

    def _count_failed(self, request: Request, error: Exception) -> None:
        """Count a request that failed whole, by a fault of ours too: nobody else would."""
        if isinstance(error, InsituError):
            error.__traceback__ = None  # its frames hold the request, whose caller holds the error
        model = request.ask.model
        meant = serving_meant(request)
        version = None if meant is None else meant.manifest.version
        known = self._catalogue.counted_as(model) if version is None else model
        self._metrics.failed(known, code_of(error), request.callers, version)
        if meant is not None:
            meant.metrics.failed(time.monotonic() - request.asked, request.callers)

    def _count_waited(self, request: Request) -> None:
        """Count how long a request waited for its run, where that is not counted as it begins."""
        if request.waited is not None:
            request.serving.metrics.waited(request.waited, request.callers)

    def _count_answered(self, request: Request, seconds: float) -> None:
        """Count a request that was answered, and what is not well in it."""
        works: Sequence[Work] = request.parts or (request,)
        for work in works:
            callers = min(request.callers, len(work.rows))
            work.serving.metrics.request(len(work.rows), seconds, callers)
            if is_well(work.rows):
                continue
            bad = 0
            for row in work.rows:
                if row.error is not None or row.filled:
                    bad += self._count(row, work.serving)
            if bad and (callers == len(work.rows) or bad == len(work.rows)):
                work.serving.metrics.unanswered(seconds, bad if callers > 1 else 1)

    def _count(self, row: Row, serving: Serving) -> bool:
        """Count a row that is not plainly well; whether it has no answer."""
        manifest, error = serving.manifest, row.error
        if error is None:
            serving.metrics.filled(1)
            return False
        self._metrics.failed(manifest.name, error.code, version=manifest.version)
        if isinstance(error, ABSENT):
            serving.metrics.missing(1)
        return True

    async def close(self) -> None:
        """End the look-ups, and tell whoever still waits."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._requests.close(Stopping())


def hear(heard: "asyncio.Future[Answer | Exception]", outcome: Answer | Exception) -> None:
    """Take an outcome for somebody who awaits it, unless they have left."""
    if not heard.done():
        heard.set_result(outcome)


def is_well(rows: Sequence[Row]) -> bool:
    """Whether nothing is wrong with any row, as far as that can be told without making them."""
    return columns_of(rows) is not None or (isinstance(rows, (KeyedRows, UnsaidRows)) and rows.untouched)


def serving_meant(request: Request) -> Serving | None:
    """Return the version that a request goes to first, None when that is not known yet."""
    if request.parts:
        return request.parts[0].serving
    return None if request.route is None else request.route.serving


def check_ways(ask: Ask) -> None:
    """Refuse a request that does not say its rows in exactly one way."""
    if (ask.keys is None) + (ask.instances is None) + (ask.inputs is None) != 2:
        raise BadRequest("say which rows with exactly one of keys, instances and inputs")
