"""Scoring: every key that matches is read, run, and its answer written to a key of its own.

    scan -> read a part -> run -> write, the next part being read while the last is written

Writing is idempotent: the same features under the same version give the same bytes. A row that
cannot be scored is counted by reason and its neighbours go on.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import orjson

from models.encoding import Setting
from models.errors import BadRequest, InsituError, RedisRefused, shown
from models.scanning import Scanned, redis_type, scan
from models.values import Missing
from server.inference.answers import said
from server.inference.asking import Answer, Ask, Row
from server.inference.columns import Columns, columns_of
from server.inference.engine import Engine
from server.inference.errors import DeadlineExceeded, Overloaded
from server.inference.loading import Serving
from server.inference.reading.reads import awaited
from server.inference.texts import texts_of

PART_ROWS = 1024
PARTS_AT_ONCE = 3
TARGET_LIMIT = 512


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """What to score and where to.

    `match` is a glob of Redis; the whole of the view's first template when not given. `to` names
    the result key of each key, `{key}` in it.
    """

    model: str
    reference: str | int | None = None
    match: str | None = None
    to: str = "score:{key}"
    ttl_seconds: int | None = None
    missing: Missing = None
    raw: bool = False


@dataclass(slots=True)
class Summary:
    """How far a job is, and at its end what came of it.

    `skipped` counts rows by error code, `examples` has the first message of each. `other_keys`
    match the pattern but not the template. Answers are counted by label, values by their range.
    """

    model: str
    version: int
    scored: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    other_keys: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    lowest: float | None = None
    highest: float | None = None
    total: float = 0.0
    share: float = 0.0
    seconds: float = 0.0


async def score(engine: Engine, job: ScoreJob, progress: Callable[[Summary], None]) -> Summary:
    """Score every key that matches and return the summary; `progress` is called after each part.

    Raises: BadRequest, a target that is no template, or that would overwrite features; what
            `Catalogue.get` raises; RedisUnavailable, RedisRefused: what was written stays.
    """
    scoring = await Scoring.open(engine, job, progress)
    gate = asyncio.Semaphore(PARTS_AT_ONCE)
    try:
        async with asyncio.TaskGroup() as tasks:
            async for keys in scoring.parts():
                await gate.acquire()
                if scoring.failed:  # the group says so by cancelling, which a client on the way may swallow
                    break
                tasks.create_task(scoring.part(keys, gate))
    except ExceptionGroup as group:
        raise first_of(group) from group
    scoring.summary.share = 1.0
    scoring.report()
    return scoring.summary


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first fault inside a group of groups."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


class Scoring:
    """One job under way, on one version from its first key to its last."""

    def __init__(
        self, engine: Engine, job: ScoreJob, serving: Serving, progress: Callable[[Summary], None]
    ) -> None:
        plan = serving.plan
        if plan is None:
            raise BadRequest(f"model {job.model!r} has no feature view, so there are no keys to score")
        self._engine = engine
        self._job = job
        self._plan = plan
        self._progress = progress
        self._target = result_template(job.to)
        if job.ttl_seconds is not None and job.ttl_seconds < 1:
            raise BadRequest(
                f"ttl_seconds is {job.ttl_seconds}; an answer is kept for at least 1 s, or for good"
            )
        self._started = time.perf_counter()
        self._template = plan.template
        self._set = Setting(job.ttl_seconds)
        self.failed = False
        self.summary = Summary(serving.manifest.name, serving.manifest.version)

    @classmethod
    async def open(cls, engine: Engine, job: ScoreJob, progress: Callable[[Summary], None]) -> "Scoring":
        """Load the version the job means and check the job against it."""
        serving = await engine.catalogue.get(job.model, job.reference)
        return cls(engine, job, serving, progress)

    async def parts(self) -> AsyncIterator[list[str]]:
        """Walk the keys that match, those of the template only, in parts of bounded size."""
        pattern = self._job.match or self._template.glob
        size = min(PART_ROWS, self._engine.limits.rows)
        redis = self._engine.store.redis
        async for found in scan(redis, pattern, redis_type(self._plan.view.keyed[0])):
            keys = self._mine(found)
            self.summary.share = found.share
            for at in range(0, len(keys), size):
                yield keys[at : at + size]

    def _mine(self, found: Scanned) -> list[str]:
        texts = [key.decode("utf-8", "surrogateescape") for key in found.keys]
        if self._template.accepts_all(texts):
            return texts
        keys = [key for key in texts if self._template.match(key) is not None]
        self.summary.other_keys += len(texts) - len(keys)
        return keys

    async def part(self, keys: list[str], gate: asyncio.Semaphore) -> None:
        """Score one part and write its answers."""
        try:
            await self._scored(keys)
        except BaseException:
            self.failed = True
            raise
        finally:
            gate.release()

    async def _scored(self, keys: list[str]) -> None:
        """Score keys; by halves when all of them take too long, down to the one that does."""
        try:
            answer = await self._answer(keys)
        except DeadlineExceeded as error:
            if len(keys) == 1:
                self._count(Row(keys[0], error))
                return
            half = len(keys) // 2
            await self._scored(keys[:half])
            await self._scored(keys[half:])
            return
        await self._write(answer)
        found = columns_of(answer.rows)
        if found is not None:
            self._count_columns(found[1])
        else:
            for row in answer.rows:
                self._count(row)
        self.report()

    async def _answer(self, keys: list[str]) -> Answer:
        """Predict keys, later while others fill the queue."""
        job = self._job
        ask = Ask(job.model, self.summary.version, keys=keys, missing=job.missing, raw=job.raw)
        while True:
            try:
                return await self._engine.predictor.predict(ask)
            except Overloaded as error:
                await asyncio.sleep(error.retry_after_seconds)

    async def _write(self, answer: Answer) -> None:
        """Write the answers of rows that are well, in one round trip.

        Raises: BadRequest; RedisRefused, what Redis says of the first that it did not take.
        """
        keys, texts = results(answer)
        commands = self._set.encoded_for(self._targets(keys), texts)
        for reply in await awaited(self._engine.ask, commands):
            if isinstance(reply, Exception):
                raise reply if isinstance(reply, InsituError) else RedisRefused(str(reply))

    def _targets(self, keys: Sequence[str]) -> list[str]:
        """Return where the answers of keys go.

        Raises: BadRequest, when one is a key the model reads.
        """
        targets = [self._target.replace("{key}", key) for key in keys]
        for template in self._plan.templates:
            if (taken := template.accepting(targets)) is not None:
                key = keys[targets.index(taken)]
                raise BadRequest(
                    f"the answer of {key!r} would go to {taken!r}, which {template.text!r} reads as features; "
                    "choose another `to`, such as 'score:{key}'"
                )
        return targets

    def _count_columns(self, columns: Columns) -> None:
        """Count rows that are all well, as `_count` does each."""
        summary, numbers = self.summary, columns.numbers
        summary.scored += len(numbers)
        if columns.manifest.task == "classification":
            labels = columns.manifest.labels
            summary.labels.update(labels[at] for at in said(columns.manifest, numbers))
            return
        lowest, highest = float(numbers.min()), float(numbers.max())
        summary.total += float(numbers.sum(dtype=np.float64))
        summary.lowest = lowest if summary.lowest is None else min(summary.lowest, lowest)
        summary.highest = highest if summary.highest is None else max(summary.highest, highest)

    def _count(self, row: Row) -> None:
        summary = self.summary
        if row.error is not None:
            summary.skipped[row.error.code] += 1
            summary.examples.setdefault(row.error.code, str(row.error))
            return
        summary.scored += 1
        if "label" in row.body:
            summary.labels[row.body["label"]] += 1
        value = row.body.get("value")
        if isinstance(value, float):
            summary.total += value
            summary.lowest = value if summary.lowest is None else min(summary.lowest, value)
            summary.highest = value if summary.highest is None else max(summary.highest, value)

    def report(self) -> None:
        """Tell how far the job is."""
        self.summary.seconds = time.perf_counter() - self._started
        self._progress(self.summary)


def result_template(to: str) -> str:
    """Return the target as it is when it names one key a row.

    Raises: BadRequest.
    """
    if "{key}" not in to or "{" in to.replace("{key}", "") or len(to) > TARGET_LIMIT:
        raise BadRequest(f"`to` is {shown(to)!r}; it must have {{key}} in it once, as in 'score:{{key}}'")
    return to


def results(answer: Answer) -> tuple[Sequence[str], list[bytes]]:
    """Return the keys of the rows that are well, and what is written for each: its answer and the version."""
    before = orjson.dumps({"model": answer.model, "version": answer.version})[:-1]
    found = columns_of(answer.rows)
    if found is not None:
        rows, columns = found
        pairs = zip(rows.keys, texts_of(columns), strict=True)
        return rows.keys, [b'%b,"key":%b,%b}' % (before, orjson.dumps(key), text) for key, text in pairs]
    good = [(row.key, row) for row in answer.rows if row.error is None and row.key is not None]
    return [key for key, _ in good], [result(answer, row) for _, row in good]


def result(answer: Answer, row: Row) -> bytes:
    """Return what is written for one row: the answer as the HTTP door words it, and its version."""
    filled = {"filled": row.filled} if row.filled else {}
    return orjson.dumps(
        {"model": answer.model, "version": answer.version, "key": row.key, **row.body, **filled}
    )
