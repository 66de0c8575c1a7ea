"""Answering: the rows of one part to what each is told, or what is wrong with it.

Rows that are regular go through as columns; a row that is not costs only itself.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from models.assembly import Plan
from models.errors import InsituError, KeyNotAllowed, RedisUnavailable
from models.jobs import JobSpec
from server.batch.pacing import unhurried
from server.batch.scored import Ranking, Scored
from server.inference.asking import Answer, Ask, Row
from server.inference.columns import columns_of
from server.inference.engine import Engine
from server.inference.errors import DeadlineExceeded, TooManyRows
from server.inference.loading import Serving

ASK_ROWS = 1024  # rows of one request to the core
ASK_BYTES = 8 << 20  # of their features; a row that is larger is a request
AT_ONCE = 12  # requests or blocks under way: as many as the parts under way make of small rows

Errors = list[tuple[str, InsituError]]  # keys, one of them perhaps several times


class Answering:
    """What one job asks the core, on one version."""

    def __init__(self, engine: Engine, serving: Serving, plan: Plan, spec: JobSpec, ranking: Ranking) -> None:
        """Take a version, a job, and what the job makes of an answer."""
        self.manifest, self._ranking = serving.manifest, ranking
        self._engine, self._serving, self._plan = engine, serving, plan
        self._missing, self._outputs = spec.missing, spec.outputs
        self._most = max(1, min(ASK_ROWS, engine.limits.rows, ASK_BYTES // serving.row_bytes))
        self._room = asyncio.Semaphore(AT_ONCE)
        self._in_blocks = not spec.outputs and engine.blocks.supports(serving)

    async def of_keys(self, keys: Sequence[str]) -> tuple[list[Scored], Errors]:
        """Score keys; each is in what is returned, once.

        Raises: RedisUnavailable, RedisRefused; what is wrong with the model.
        """
        if not self._in_blocks:
            return await self._asked(keys, self._requests(keys))
        size = self._engine.blocks.rows(self._serving)
        pieces = [keys[at : at + size] for at in range(0, len(keys), size)]
        scored: list[Scored] = []
        errors: Errors = []
        for more, wrong in await asyncio.gather(*map(self._block, pieces)):
            scored.extend(more)
            errors.extend(wrong)
        return scored, errors

    async def _block(self, keys: Sequence[str]) -> tuple[list[Scored], Errors]:
        """Score keys as columns, and one by one those that are odd."""
        try:
            async with self._room:
                found = await self._engine.blocks.read_and_run(self._serving, keys)
        except DeadlineExceeded:
            return await self._asked(keys, self._requests(keys))
        scored: list[Scored] = []
        errors: Errors = []
        self._sort(found.rows.keys, found.rows, scored, errors)
        if found.odd:
            odd = [keys[at] for at in found.odd]
            more, wrong = await self._asked(odd, self._requests(odd))
            scored.extend(more)
            errors.extend(wrong)
        return scored, errors

    def _requests(self, keys: Sequence[str]) -> list[dict[str, Any]]:
        return [{"keys": keys[at : at + self._most]} for at in self._starts(keys)]

    def refusal(self, key: str) -> InsituError:
        """Return what is wrong with a key that is no text."""
        return KeyNotAllowed(key, self._plan.template.text)

    def names_of(self, instances: Sequence[Mapping[str, Any]], first: int) -> list[str]:
        """Return instances' keys: that of the first source each is read from, or its number; `first` were before."""
        return [self._named(at, one) for at, one in enumerate(instances, first)]

    async def of_instances(
        self, names: Sequence[str], instances: Sequence[Mapping[str, Any]]
    ) -> tuple[list[Scored], Errors]:
        """Score instances under their names.

        Raises: as in `of_keys`.
        """
        asked = [{"instances": instances[at : at + self._most]} for at in self._starts(instances)]
        return await self._asked(names, asked)

    def _starts(self, rows: Sequence[Any]) -> range:
        return range(0, len(rows), self._most)

    def _named(self, at: int, instance: Mapping[str, Any]) -> str:
        try:
            return self._plan.template.fill(instance)
        except InsituError:
            return f"instance {at}"

    async def _asked(
        self, names: Sequence[str], requests: Sequence[dict[str, Any]]
    ) -> tuple[list[Scored], Errors]:
        answers = await asyncio.gather(*map(self._in_turn, requests))
        scored: list[Scored] = []
        errors: Errors = []
        at = 0
        for rows in answers:
            self._sort(names[at : at + len(rows)], rows, scored, errors)
            at += len(rows)
        return scored, errors

    def _sort(self, names: Sequence[str], rows: Sequence[Row], scored: list[Scored], errors: Errors) -> None:
        """Put the rows of one answer where they belong.

        Raises: RedisUnavailable, a node of a cluster is away: that is no fault of its rows.
        """
        if not names:
            return
        found = columns_of(rows)
        if found is not None:
            scored.append(Scored.of_columns(found[1], self._ranking, names, time.time()))
            return
        good: list[tuple[str, Row]] = []
        for name, row in zip(names, rows, strict=True):
            if row.error is None:
                good.append((name, row))
            elif isinstance(row.error, RedisUnavailable):
                raise row.error
            else:
                errors.append((name, row.error))
        if good:
            scored.append(Scored.of_rows(self.manifest, self._ranking, good, time.time()))

    async def _in_turn(self, request: dict[str, Any]) -> Sequence[Row]:
        """Ask for rows when there is room for their features."""
        async with self._room:
            return await self._answered(request)

    async def _answered(self, request: dict[str, Any]) -> Sequence[Row]:
        """Ask for rows; by halves when all of them take too long or are too many, down to the one that does."""
        try:
            return (await self._predicted(request)).rows
        except (DeadlineExceeded, TooManyRows) as error:
            ((way, rows),) = request.items()
            if len(rows) == 1:
                return [Row(None, error)]
            half = len(rows) // 2
            first = await self._answered({way: rows[:half]})
            return [*first, *await self._answered({way: rows[half:]})]

    async def _predicted(self, request: dict[str, Any]) -> Answer:
        """Predict, later while others fill the queue."""
        manifest = self.manifest
        ask = Ask(manifest.name, manifest.version, missing=self._missing, raw=self._outputs, **request)
        return await unhurried(partial(self._engine.predictor.predict, ask))
