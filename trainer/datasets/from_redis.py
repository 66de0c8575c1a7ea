"""Training rows read from Redis through the recipe's own feature view: what is served is learned.

SCAN finds the keys, the view reads them in pipelines, and the target field of each is read beside.
A row that cannot be used is counted by its reason and left out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from redis.exceptions import NoPermissionError, RedisError

from models.assembly import Plan, Prepared
from models.binding import source_shapes
from models.encoding import Form
from models.errors import InsituError, shown
from models.features import FeatureView
from models.privacy import Privacy
from models.recipe import Recipe
from models.recipe_data import FieldTarget, RedisRows
from models.redis_failures import redis_errors
from models.scanning import Search, scan
from models.sources import (
    SequenceSource,
    Source,
    Timed,
    VectorSource,
)
from models.store import Client
from models.templates import KeyTemplate
from models.tensors import Tensor, elements
from trainer.datasets.beside import Beside
from trainer.datasets.exchanges import Asked, exchange, features
from trainer.datasets.fields import fields_at
from trainer.datasets.series import Series
from trainer.datasets.targets import Truth, targets_of
from trainer.errors import BadData, NoRows, TooManyBadRows, UnlabelledRow
from trainer.events import Stage
from trainer.reading.filling import Filling
from trainer.reading.marks import Marks, Unmarked
from trainer.table import Table

Said = tuple[
    Sequence[Any], Sequence[Any]
]  # what was read beside the features of some rows: truths, sensitive fields

ROWS_A_TRIP = 2048
ELEMENTS_A_TRIP = 1 << 18


async def read_table(redis: Client, recipe: Recipe, stage: Stage) -> Table:
    """Read every row that a recipe names.

    Raises: BadData, the recipe names rows elsewhere; NoRows, TooManyBadRows, TooMuchData, RedisUnavailable;
            RedisRefused, this user may not read one of them.
    """
    data = recipe.data
    if not isinstance(data, RedisRows):
        raise BadData(f"the rows of recipe {recipe.name} lie in {data.place}, not in Redis")
    keys = await find_keys(redis, recipe, data)
    reader = RowReader(recipe, data, len(keys))
    stage.total = len(keys)
    for start in range(0, len(keys), reader.trip):
        part = keys[start : start + reader.trip]
        prepared = reader.prepare(part)
        async with redis_errors():
            replies = await reader.ask(redis, part, prepared)
            permitted(replies)
        reader.take(part, prepared, replies)
        stage.advance(start + len(part))
    return reader.table(len(keys))


def permitted(replies: Sequence[Any]) -> None:
    """Stop where rows may not be read: no row is at fault, and without them others would be learned.

    Raises: NoPermissionError.
    """
    for one in replies:
        if isinstance(one, NoPermissionError):
            raise one


async def find_keys(redis: Client, recipe: Recipe, data: RedisRows) -> list[str]:
    """Return the keys that are rows, sorted; when there are more than `max_rows`, always the same ones.

    Raises: NoRows, RedisUnavailable.
    """
    most = data.max_rows
    found: set[str] = set()
    search = Search(recipe.features.keyed[0], data.match)
    async for part in scan(redis, search.pattern, search.type):
        keys = (raw.decode("utf-8", "surrogateescape") for raw in search.names(part.keys))
        found.update(key for key in keys if recipe.rows.match(key) is not None)
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

    def ageless(source: Source) -> Source:
        limited = isinstance(source, Timed)
        return source.model_copy(update={"max_age_seconds": None}) if limited else source

    return view.changed(ageless)


class RowReader:
    """Rows as they come in, part by part, into arrays made for all of them."""

    def __init__(self, recipe: Recipe, data: RedisRows, rows: int) -> None:
        """Make room for so many rows; those of a series are counted only when it is cut.

        Raises: TooMuchData.
        """
        self._recipe, self._data = recipe, data
        self._series = Series.of(recipe)
        view = without_age_limit(recipe.features)
        self._plan = Plan(self._series.longer(view) if self._series else view)
        self._filling = None if self._series else Filling(view, rows, data.max_rows)
        self._windows: list[dict[str, Tensor]] = []
        self._told = Told(recipe, data)
        self._beside = Beside(recipe)
        self._keys: list[str] = []
        self._truths: list[Truth] = []
        self._marks: list[float] = []
        self._skipped: Counter[str] = Counter()
        self._filled: Counter[str] = Counter()
        self._example = ""

    @property
    def trip(self) -> int:
        """How many rows go over the wire together."""
        return max(1, min(ROWS_A_TRIP, ELEMENTS_A_TRIP // most_elements(self._recipe)))

    def prepare(self, keys: Sequence[str]) -> Prepared:
        """Return the rows of one trip, ready to be read."""
        return self._plan.prepare_keys(keys)

    async def ask(self, redis: Client, keys: Sequence[str], prepared: Prepared) -> list[Any]:
        """Return the replies for the rows' features, in the plan's order, and then what is read beside."""
        beside = (*self._told.asked(keys), *self._beside.asked(keys))
        return await exchange(redis, [*features(prepared), *beside])

    def take(self, keys: Sequence[str], prepared: Prepared, replies: Sequence[Any]) -> None:
        """Keep the rows of one trip that can be used, and count the others by their reason."""
        count = len(prepared.keys) * len(prepared.forms)
        last = len(replies) - len(keys) * bool(self._beside.names)
        found, answers, beside = replies[:count], replies[count:last], replies[last:]
        whole = self._plan.columns(found)
        if whole is not None:
            self._keep(range(len(keys)), whole, keys, (answers, beside))
            return
        assembled = self._plan.assemble(prepared, found)
        for error in assembled.errors.values():
            self._skip(error)
        self._filled.update(name for names in assembled.filled.values() for name in names)
        for group in assembled.groups:
            self._keep(group.rows, group.feeds, keys, (answers, beside))

    def _keep(
        self, rows: Sequence[int], feeds: Mapping[str, Tensor], keys: Sequence[str], said: Said
    ) -> None:
        good, (answers, beside) = [], said
        for at, row in enumerate(rows):
            try:
                truth, mark = self._told.read(row, keys[row], answers)
                ends = self._series.cut(feeds, keys[row], at) if self._series else ()
            except UnlabelledRow as error:
                self._skip(error)
                continue
            good.append(at)
            self._windows += [shown_steps for shown_steps, _ in ends]
            truths = [following for _, following in ends] if self._series else [truth]
            self._truths += truths
            self._keys += [keys[row]] * len(truths)
            self._marks += [mark] * len(truths)
            for _ in truths if beside else ():
                self._beside.take(beside[row])
        if self._filling is not None:
            self._filling.append(feeds, None if len(good) == len(rows) else good)

    def _skip(self, error: InsituError) -> None:
        self._skipped[error.code] += 1
        self._example = self._example or Privacy.of(self._recipe.as_data()).text(str(error))

    def table(self, rows: int) -> Table:
        """Return everything that was kept, of `rows` that were read.

        Raises: TooManyBadRows.
        """
        limit = self._data.max_bad_share
        if not self._keys or self._skipped.total() > limit * rows:
            raise TooManyBadRows(self._skipped, rows, limit, self._example)
        filling = self._filling or self._cut()
        kind = np.int64 if self._recipe.task == "classification" else np.float32
        return Table(
            tuple(self._keys),
            filling.inputs(),
            np.array(self._truths, kind),
            dict(self._skipped),
            dict(self._filled),
            self._beside.columns(),
            self._told.array(self._marks),
        )

    def _cut(self) -> Filling:
        """Return the windows of series in arrays made for them.

        Raises: TooMuchData.
        """
        filling = Filling(self._recipe.features, len(self._keys), self._data.max_rows)
        for feeds in self._windows:
            filling.append(feeds)
        return filling


class Told:
    """What is read of each row beside its features: its truth, and the mark that parts it."""

    def __init__(self, recipe: Recipe, data: RedisRows) -> None:
        self._rows, self._targets, self._marks = recipe.rows, targets_of(recipe), Marks(recipe.split)
        self._truth_form: Form | None = None
        self._mark = recipe.split.field
        self._in_key = self._mark in recipe.rows.placeholders
        keyed = data.target.key if isinstance(data.target, FieldTarget) else recipe.rows.text
        self._mark_key = KeyTemplate(recipe.split.key or keyed)
        self._marked = fields_at(recipe, self._mark_key.text, (str(self._mark),))

    def asked(self, keys: Sequence[str]) -> list[Asked]:
        """Return what is asked: the targets of all rows, and then their marks."""
        every = [self._rows.read(key) for key in keys]
        commands = [command for values in every if (command := self._targets.command(values)) is not None]
        if commands and self._truth_form is None:
            self._truth_form = Form(str(commands[0][0]), *commands[0][2:])
        asked = [(self._truth_form, str(command[1])) for command in commands if self._truth_form is not None]
        if self._mark is not None and not self._in_key:
            form = self._marked.form
            asked += [(form, self._mark_key.fill(values)) for values in every]
        return asked

    def read(self, row: int, key: str, answers: Sequence[Any]) -> tuple[Truth, float]:
        """Return the truth and the mark of one row, 0 where nothing parts the rows.

        Raises: UnlabelledRow.
        """
        truth = self._targets.read(key, answers[row] if self._truth_form else None)
        if self._mark is None:
            return truth, 0
        if self._in_key:
            said: Any = self._rows.read(key)[self._mark]
        else:
            first = len(answers) // 2 if self._truth_form else 0
            said = self._given(answers[first + row], key)
        return truth, self._marks.read(said, f"{self._mark} of {shown(key)!r}")

    def _given(self, answer: Any, key: str) -> Any:
        if isinstance(answer, RedisError):
            raise Unmarked(f"{self._mark} of {shown(key)!r} cannot be read: {shown(answer)}", key=shown(key))
        (text,) = self._marked.texts(answer)
        if text is None:
            raise Unmarked(
                f"{shown(key)!r} has no field {self._mark!r} in {self._mark_key.text!r}, which parts the rows",
                key=shown(key),
            )
        return text

    def array(self, marks: Sequence[float]) -> NDArray[Any] | None:
        """Return marks as a table has them."""
        return None if self._mark is None else np.array(marks, self._marks.dtype)


def most_elements(recipe: Recipe) -> int:
    """Return how many numbers one row can have at most."""
    count = 0
    for source in (source for one in recipe.features.inputs for source in one.sources):
        if isinstance(source, SequenceSource):
            count += source.last * elements(source.shape)
        elif isinstance(source, VectorSource):
            count += elements(source.shape)
        else:
            count += sum(elements([int(dim) for dim in shape]) for shape in source_shapes(source))
    return count
