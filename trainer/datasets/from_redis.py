"""Training rows read from Redis through the recipe's own feature view: what is served is learned.

SCAN finds the keys, the view reads them in pipelines, and the target field of each is read beside.
A row that cannot be used is counted by its reason and left out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from redis.exceptions import RedisError

from models.assembly import Plan
from models.encoding import Form
from models.errors import InsituError, shown
from models.features import FeatureView
from models.recipe import Recipe
from models.recipe_data import RedisRows
from models.redis_failures import redis_errors
from models.scanning import redis_type, scan
from models.sources import HashSource, JsonSource, ListSource, VectorSource
from models.store import Client
from models.templates import KeyTemplate
from models.tensors import Tensor, elements
from trainer.datasets.exchanges import Asked, exchange
from trainer.errors import NoRows, TooManyBadRows, UnlabelledRow
from trainer.events import Stage
from trainer.reading.filling import Filling
from trainer.reading.truths import Marks, Truths, Unmarked
from trainer.table import Table

ROWS_A_TRIP = 2048
ELEMENTS_A_TRIP = 1 << 18


async def read_table(redis: Client, recipe: Recipe, data: RedisRows, stage: Stage) -> Table:
    """Read every row that a recipe names.

    Raises: NoRows, TooManyBadRows, TooMuchData, RedisUnavailable.
    """
    keys = await find_keys(redis, recipe, data)
    reader = RowReader(recipe, data, len(keys))
    stage.total = len(keys)
    for start in range(0, len(keys), reader.trip):
        part = keys[start : start + reader.trip]
        async with redis_errors():
            replies = await reader.ask(redis, part)
        reader.take(part, replies)
        stage.advance(start + len(part))
    return reader.table(len(keys))


async def find_keys(redis: Client, recipe: Recipe, data: RedisRows) -> list[str]:
    """Return the keys that are rows, sorted; when there are more than `max_rows`, always the same ones.

    Raises: NoRows, RedisUnavailable.
    """
    most = data.max_rows
    found: set[str] = set()
    async for part in scan(redis, data.match, redis_type(recipe.features.keyed[0])):
        keys = (raw.decode("utf-8", "surrogateescape") for raw in part.keys)
        found.update(key for key in keys if recipe.rows.accepts(key))
        if len(found) > 2 * most:
            found = set(chosen(found, most))
    if not found:
        raise NoRows(data.match, recipe.rows.text, data.dataset)
    return sorted(chosen(found, most))


def chosen(keys: set[str], most: int) -> list[str]:
    """Return at most so many keys: those that come first in an order that looks drawn by chance."""
    if len(keys) <= most:
        return list(keys)
    return sorted(keys, key=lambda key: blake2b(key.encode(), digest_size=16).digest())[:most]


def without_age_limit(view: FeatureView) -> FeatureView:
    """Return the view for rows of the past: how fresh features must be is a rule for serving."""
    inputs = [
        one.model_copy(
            update={
                "sources": tuple(
                    source.model_copy(update={"max_age_seconds": None})
                    if isinstance(source, HashSource | JsonSource)
                    else source
                    for source in one.sources
                )
            }
        )
        for one in view.inputs
    ]
    return view.model_copy(update={"inputs": tuple(inputs)})


class RowReader:
    """Rows as they come in, part by part, into arrays made for all of them."""

    def __init__(self, recipe: Recipe, data: RedisRows, rows: int) -> None:
        """Make room for so many rows.

        Raises: TooMuchData.
        """
        self._recipe, self._data = recipe, data
        view = without_age_limit(recipe.features)
        self._plan = Plan(view)
        self._filling = Filling(view, rows, data.max_rows)
        self._beside = Beside(recipe, data)
        self._keys: list[str] = []
        self._truths: list[float] = []
        self._marks: list[float] = []
        self._skipped: Counter[str] = Counter()
        self._example = ""

    @property
    def trip(self) -> int:
        """How many rows go over the wire together."""
        return max(1, min(ROWS_A_TRIP, ELEMENTS_A_TRIP // most_elements(self._recipe)))

    async def ask(self, redis: Client, keys: Sequence[str]) -> list[Any]:
        """Return the replies for the rows' features, in the plan's order, and then what is read beside."""
        prepared = self._plan.prepare_keys(keys)
        features = [
            (form, key) for row in prepared.keys for form, key in zip(prepared.forms, row, strict=True)
        ]
        return await exchange(redis, [*features, *self._beside.asked(keys)])

    def take(self, keys: Sequence[str], replies: Sequence[Any]) -> None:
        """Keep the rows of one trip that can be used, and count the others by their reason."""
        prepared = self._plan.prepare_keys(keys)
        count = len(prepared.keys) * len(prepared.forms)
        features, answers = replies[:count], replies[count:]
        whole = self._plan.columns(features)
        if whole is not None:
            self._keep(range(len(keys)), whole, keys, answers)
            return
        assembled = self._plan.assemble(prepared, features)
        for error in assembled.errors.values():
            self._skip(error)
        for group in assembled.groups:
            self._keep(group.rows, group.feeds, keys, answers)

    def _keep(
        self, rows: Sequence[int], feeds: Mapping[str, Tensor], keys: Sequence[str], answers: Sequence[Any]
    ) -> None:
        good = []
        for at, row in enumerate(rows):
            try:
                truth, mark = self._beside.read(row, keys[row], answers)
            except UnlabelledRow as error:
                self._skip(error)
                continue
            good.append(at)
            self._keys.append(keys[row])
            self._truths.append(truth)
            self._marks.append(mark)
        self._filling.append(feeds, None if len(good) == len(rows) else good)

    def _skip(self, error: InsituError) -> None:
        self._skipped[error.code] += 1
        self._example = self._example or str(error)

    def table(self, rows: int) -> Table:
        """Return everything that was kept, of `rows` that were read.

        Raises: TooManyBadRows.
        """
        limit = self._data.max_bad_share
        if not self._keys or self._skipped.total() > limit * rows:
            raise TooManyBadRows(self._skipped, rows, limit, self._example)
        truths, marks = self._beside.arrays(self._truths, self._marks)
        return Table(tuple(self._keys), self._filling.inputs(), truths, dict(self._skipped), marks)


class Beside:
    """What is read of each row beside its features: its truth, and the mark that parts it."""

    def __init__(self, recipe: Recipe, data: RedisRows) -> None:
        self._rows, self._target, self._split = recipe.rows, data.target, recipe.split
        self._truths, self._marks = Truths(recipe), Marks(recipe.split)
        self._key, self._form = KeyTemplate(data.target.key), Form("HGET", data.target.field)
        self._mark = recipe.split.field
        self._in_key = self._mark in recipe.rows.placeholders
        self._mark_key = KeyTemplate(recipe.split.key or data.target.key)

    def asked(self, keys: Sequence[str]) -> list[Asked]:
        """Return what is asked: the targets of all rows, and then their marks."""
        every = [self._rows.read(key) for key in keys]
        asked = [(self._form, self._key.fill(values)) for values in every]
        if self._mark is not None and not self._in_key:
            form = Form("HGET", self._mark)
            asked += [(form, self._mark_key.fill(values)) for values in every]
        return asked

    def read(self, row: int, key: str, answers: Sequence[Any]) -> tuple[float, float]:
        """Return the truth and the mark of one row, 0 where nothing parts the rows.

        Raises: UnlabelledRow.
        """
        field = f"no field {self._target.field!r} in {self._target.key!r}"
        truth = self._truths.read(given(answers[row], key, "target", field), f"the target of {shown(key)!r}")
        if self._mark is None:
            return truth, 0
        if self._in_key:
            said: Any = self._rows.read(key)[self._mark]
        else:
            field = f"no field {self._mark!r} in {self._mark_key.text!r}"
            said = given(answers[len(answers) // 2 + row], key, "split", field)
        return truth, self._marks.read(said, f"{self._mark} of {shown(key)!r}")

    def arrays(self, truths: Sequence[float], marks: Sequence[float]) -> tuple[Tensor, Tensor | None]:
        """Return truths and marks as a table has them."""
        kept = None if self._mark is None else np.array(marks, self._marks.dtype)
        return np.array(truths, self._truths.dtype), kept


def given(answer: Any, key: str, what: str, absent: str) -> Any:
    """Return what Redis said of a field of one row.

    Raises: UnlabelledRow, it is not there or cannot be read.
    """
    kind = UnlabelledRow if what == "target" else Unmarked
    if isinstance(answer, RedisError):
        raise kind(f"the {what} of {shown(key)!r} cannot be read: {shown(answer)}", key=shown(key))
    if answer is None:
        raise kind(f"{shown(key)!r} has no {what}: {absent}", key=shown(key))
    return answer


def most_elements(recipe: Recipe) -> int:
    """Return how many numbers one row can have at most."""
    count = 0
    for source in (source for one in recipe.features.inputs for source in one.sources):
        if isinstance(source, ListSource):
            count += source.last * elements(source.shape)
        elif isinstance(source, VectorSource):
            count += elements(source.shape)
        else:
            count += len(source.fields)
    return count
