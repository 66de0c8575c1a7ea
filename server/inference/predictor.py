"""Predictor: one request from its keys, instances or tensors to its answer; it knows no wire."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from models.assembly import Assembled, Group, Plan, Prepared
from models.errors import BadFeatureView, BadRequest, InsituError
from server.inference.answers import Worded, bodies, entire
from server.inference.asking import Answer, Ask, Row
from server.inference.catalogue import Catalogue
from server.inference.errors import DeadlineExceeded, RunFailed, TooManyRows
from server.inference.grouping import by_length, row_by_row
from server.inference.jobs import Outcome
from server.inference.loading import Serving
from server.inference.reader import Reader
from server.inference.tensors import tensors_of
from server.metrics import Metrics

REQUEST_BYTES = 1 << 30  # features that one request may bring into memory


class Predictor:
    """Answers requests; shared by every door."""

    def __init__(
        self, catalogue: Catalogue, reader: Reader, metrics: Metrics, rows: int, timeout_seconds: float
    ) -> None:
        self._catalogue = catalogue
        self._reader = reader
        self._metrics = metrics
        self._rows = rows
        self._timeout = timeout_seconds

    async def predict(self, ask: Ask) -> Answer:
        """Answer one request whole; a row that fails carries its own error.

        Raises: InsituError for what concerns the whole request: model, size, overload, deadline.
        """
        started = time.monotonic()
        limit = started + self._timeout
        deadline = limit if ask.deadline is None else min(ask.deadline, limit)
        try:
            async with asyncio.timeout(max(0.0, deadline - started)):
                check_ways(ask)
                serving = await self._catalogue.get(ask.model, ask.reference)
                answer = await self._answer(ask, serving, deadline)
        except TimeoutError as error:
            self._failed(ask.model, DeadlineExceeded.code)
            raise DeadlineExceeded(max(0.0, deadline - started)) from error
        except InsituError as error:
            self._failed(ask.model, error.code)
            raise
        self._count(serving, answer, time.monotonic() - started)
        return answer

    def _failed(self, model: str, code: str) -> None:
        self._metrics.failed(model if self._catalogue.knows(model) else "unknown", code)

    def _count(self, serving: Serving, answer: Answer, seconds: float) -> None:
        filled = sum(bool(row.filled) for row in answer.rows)
        serving.metrics.answered(len(answer.rows), filled, seconds)
        for row in answer.rows:
            if row.error is not None:
                self._metrics.failed(answer.model, row.error.code)

    async def _answer(self, ask: Ask, serving: Serving, deadline: float) -> Answer:
        rows, assembled = await (
            self._dense(ask, serving) if ask.inputs is not None else self._read(ask, serving)
        )
        for row, error in assembled.errors.items():
            rows[row].error = error
        for row, names in assembled.filled.items():
            rows[row].filled = names
        groups = parted(serving, assembled.groups, as_sent=ask.inputs is not None)
        outcomes = await gathered(
            [serving.batcher.submit(group.feeds, len(group.rows), deadline) for group in groups]
        )
        for group, outcome in zip(groups, outcomes, strict=True):
            place(rows, group, outcome, worded(serving, outcome, ask.raw))
        return Answer(serving.manifest.name, serving.manifest.version, rows)

    async def _read(self, ask: Ask, serving: Serving) -> tuple[list[Row], Assembled]:
        """Read the rows of keys or instances out of Redis."""
        rows = rows_asked_for(ask)
        plan = serving.plan
        if plan is None:
            raise BadFeatureView(
                f"model {ask.model!r} has no feature view, so it reads no keys; ask with `inputs`, or publish "
                "it with `--features view.yaml`"
            )
        self._check_count(len(rows), serving)
        plan.check_missing(ask.missing)
        prepared = prepare(plan, ask)
        started = time.perf_counter()
        replies = await self._reader.read(prepared.commands)
        serving.metrics.read(time.perf_counter() - started)
        return rows, plan.assemble(prepared, replies, ask.missing)

    def _check_count(self, rows: int, serving: Serving) -> None:
        """Refuse more rows than a request may have, or than fit the memory of one.

        Raises: TooManyRows.
        """
        most = max(1, min(self._rows, REQUEST_BYTES // serving.row_bytes))
        if rows > most:
            raise TooManyRows(rows, most)

    async def _dense(self, ask: Ask, serving: Serving) -> tuple[list[Row], Assembled]:
        """Take the rows of tensors as they came."""
        feeds, count = tensors_of(serving.manifest, ask.inputs or {}, serving.rows)
        self._check_count(count, serving)
        return [Row() for _ in range(count)], Assembled([Group(list(range(count)), feeds)], {}, {})


def rows_asked_for(ask: Ask) -> list[Row]:
    """Return a row for each key or instance.

    Raises: BadRequest, when there is none.
    """
    rows = [Row(key) for key in ask.keys] if ask.keys is not None else [Row() for _ in ask.instances or ()]
    if not rows:
        raise BadRequest("the request has no rows; name at least one key or instance")
    return rows


def check_ways(ask: Ask) -> None:
    """Refuse a request that does not say its rows in exactly one way."""
    if sum(way is not None for way in (ask.keys, ask.instances, ask.inputs)) != 1:
        raise BadRequest("say which rows with exactly one of keys, instances and inputs")


def prepare(plan: Plan, ask: Ask) -> Prepared:
    """Turn keys or instances into commands."""
    return plan.prepare_keys(ask.keys) if ask.keys is not None else plan.prepare(ask.instances or ())


def parted(serving: Serving, groups: Sequence[Group], as_sent: bool) -> list[Group]:
    """Return the groups as they may run: rows that see one another run alone.

    With `as_sent`, tensors of a request stay together where no wording says what a row is.
    """
    manifest = serving.manifest
    if serving.rows == "apart":
        return by_length(manifest, groups)
    if as_sent and (serving.rows == "whole" or manifest.task == "tensor"):
        return list(groups)
    return row_by_row(groups)


async def gathered(works: Sequence[Coroutine[Any, Any, Outcome]]) -> list[Outcome]:
    """Await submissions side by side, a single one without a task of its own; one fault ends all."""
    if len(works) == 1:
        return [await works[0]]
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


def worded(serving: Serving, outcome: Outcome, raw: bool) -> list[Worded]:
    """Word the rows that ran; an output that fits no wording is the error of each of them."""
    if not outcome.rows:
        return []
    if serving.rows == "whole":
        return entire(outcome.outputs)
    try:
        return bodies(serving.manifest, outcome.outputs, raw)
    except RunFailed as error:
        return [error for _ in outcome.rows]


def place(rows: list[Row], group: Group, outcome: Outcome, answers: Sequence[Worded]) -> None:
    """Put the bodies and errors of one group at the rows of the request."""
    for at, answer in zip(outcome.rows, answers, strict=True):
        row = rows[group.rows[at]]
        if isinstance(answer, InsituError):
            row.error = answer
        else:
            row.body = answer
    for at, error in outcome.errors.items():
        rows[group.rows[at]].error = error
