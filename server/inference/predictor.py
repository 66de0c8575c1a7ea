"""Predictor: one request from its keys, instances or tensors to its answer; it knows no wire."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from models.assembly import Assembled, Group, Plan, Prepared
from models.errors import BadFeatureView, BadRequest, InsituError
from server.inference.answers import bodies
from server.inference.asking import Answer, Ask, Row
from server.inference.batcher import Outcome
from server.inference.catalogue import Catalogue, Serving
from server.inference.errors import DeadlineExceeded, TooManyRows
from server.inference.reader import Reader
from server.inference.tensors import tensors_of
from server.metrics import Metrics


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
        deadline = min(ask.deadline or started + self._timeout, started + self._timeout)
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
        batcher = serving.batcher
        outcomes = await gathered(
            [batcher.submit(group.feeds, len(group.rows), deadline) for group in assembled.groups]
        )
        for group, outcome in zip(assembled.groups, outcomes, strict=True):
            place(
                rows,
                group,
                outcome,
                bodies(serving.manifest, outcome.outputs, ask.raw) if outcome.rows else [],
            )
        return Answer(serving.manifest.name, serving.manifest.version, rows)

    async def _read(self, ask: Ask, serving: Serving) -> tuple[list[Row], Assembled]:
        """Read the rows of keys or instances out of Redis."""
        rows = self._rows_asked_for(ask)
        plan = serving.plan
        if plan is None:
            raise BadFeatureView(
                f"model {ask.model!r} has no feature view, so it reads no keys; ask with `inputs`, or publish "
                "it with `--features view.yaml`"
            )
        prepared = prepare(plan, ask)
        started = time.perf_counter()
        replies = await self._reader.read(prepared.commands)
        serving.metrics.read(time.perf_counter() - started)
        return rows, plan.assemble(prepared, replies, ask.missing)

    def _rows_asked_for(self, ask: Ask) -> list[Row]:
        rows = (
            [Row(key) for key in ask.keys] if ask.keys is not None else [Row() for _ in ask.instances or ()]
        )
        if not rows:
            raise BadRequest("the request has no rows; name at least one key or instance")
        if len(rows) > self._rows:
            raise TooManyRows(len(rows), self._rows)
        return rows

    async def _dense(self, ask: Ask, serving: Serving) -> tuple[list[Row], Assembled]:
        """Take the rows of tensors as they came."""
        feeds, count = tensors_of(serving.manifest, ask.inputs or {})
        if count > self._rows:
            raise TooManyRows(count, self._rows)
        return [Row() for _ in range(count)], Assembled([Group(list(range(count)), feeds)], {}, {})


def check_ways(ask: Ask) -> None:
    """Refuse a request that does not say its rows in exactly one way."""
    if sum(way is not None for way in (ask.keys, ask.instances, ask.inputs)) != 1:
        raise BadRequest("say which rows with exactly one of keys, instances and inputs")


def prepare(plan: Plan, ask: Ask) -> Prepared:
    """Turn keys or instances into commands."""
    return plan.prepare_keys(ask.keys) if ask.keys is not None else plan.prepare(ask.instances or ())


async def gathered(works: Sequence[Coroutine[Any, Any, Outcome]]) -> list[Outcome]:
    """Await submissions side by side; a single one without a task of its own."""
    if len(works) == 1:
        return [await works[0]]
    return list(await asyncio.gather(*works))


def place(rows: list[Row], group: Group, outcome: Outcome, worded: Sequence[dict[str, Any]]) -> None:
    """Put the bodies and errors of one group at the rows of the request."""
    for at, body in zip(outcome.rows, worded, strict=False):
        rows[group.rows[at]].body = body
    for at, error in outcome.errors.items():
        rows[group.rows[at]].error = error
