"""Training rows read from Redis through the recipe's own feature view: what is served is learned.

SCAN finds the keys, the view reads them in pipelines, and the target field of each is read beside.
A row that cannot be used is counted by its reason and left out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.assembly import Plan
from models.errors import InsituError
from models.features import FeatureView, InputView
from models.recipe import Recipe
from models.redis_failures import redis_errors
from models.scanning import redis_type, scan
from models.sources import HashSource, JsonSource, ListSource, VectorSource
from models.store import Client
from models.tensors import Tensor, elements
from trainer.datasets.series import Series
from trainer.datasets.targets import Targets, Truth, targets_of
from trainer.errors import NoRows, TooManyBadRows, TooMuchData, UnlabelledRow
from trainer.events import Stage
from trainer.table import Table, Values

ROWS_A_TRIP = 512
ELEMENTS_A_TRIP = 1 << 20
TABLE_LIMIT_BYTES = 4 << 30


async def read_table(redis: Client, recipe: Recipe, stage: Stage) -> Table:
    """Read every row that a recipe names.

    Raises: NoRows, TooManyBadRows, TooMuchData, RedisUnavailable.
    """
    keys = await find_keys(redis, recipe)
    reader = RowReader(recipe)
    stage.total = len(keys)
    for start in range(0, len(keys), reader.trip):
        part = keys[start : start + reader.trip]
        async with redis_errors():
            replies = await reader.ask(redis, part)
        reader.take(part, replies)
        stage.advance(start + len(part))
    return reader.table(len(keys))


async def find_keys(redis: Client, recipe: Recipe) -> list[str]:
    """Return the keys that are rows, sorted; when there are more than `max_rows`, always the same ones.

    Raises: NoRows, RedisUnavailable.
    """
    data, most = recipe.data, recipe.data.max_rows
    found: set[str] = set()
    async for part in scan(redis, data.match, redis_type(recipe.features.keyed[0])):
        keys = (raw.decode("utf-8", "surrogateescape") for raw in part.keys)
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


@dataclass(slots=True)
class RowReader:
    """Rows as they come in, part by part."""

    recipe: Recipe
    plan: Plan = field(init=False)
    target: Targets = field(init=False)
    series: Series | None = field(init=False)
    keys: list[str] = field(default_factory=list)
    parts: list[dict[str, Tensor]] = field(default_factory=list)
    targets: list[Truth] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    example: str = ""

    def __post_init__(self) -> None:
        self.series = Series.of(self.recipe)
        view = without_age_limit(self.recipe.features)
        self.plan = Plan(self.series.longer(view) if self.series else view)
        self.target = targets_of(self.recipe)

    @property
    def trip(self) -> int:
        """How many rows go over the wire together."""
        return max(1, min(ROWS_A_TRIP, ELEMENTS_A_TRIP // most_elements(self.recipe)))

    async def ask(self, redis: Client, keys: Sequence[str]) -> list[Any]:
        """Return the replies for the rows' features, in the plan's order, and then their targets'."""
        pipeline: Any = redis.pipeline(transaction=False)
        for command in self.plan.prepare_keys(keys).commands:
            pipeline.execute_command(*command)
        for key in keys:
            beside = self.target.command(self.recipe.rows.read(key))
            if beside is not None:
                pipeline.execute_command(*beside)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies

    def take(self, keys: Sequence[str], replies: Sequence[Any]) -> None:
        """Keep the rows of one trip that can be used, and count the others by their reason."""
        prepared = self.plan.prepare_keys(keys)
        features = replies[: len(prepared.commands)]
        answers = replies[len(prepared.commands) :] or [None] * len(keys)
        assembled = self.plan.assemble(prepared, features)
        for error in assembled.errors.values():
            self._skip(error)
        for group in assembled.groups:
            named = [keys[row] for row in group.rows]
            if self.series is not None:
                self._cut(self.series, named, group.feeds)
            else:
                self._keep(named, [answers[row] for row in group.rows], group.feeds)
        check_size(self.parts, len(self.keys), self.recipe)

    def _keep(self, keys: Sequence[str], answers: Sequence[Any], feeds: Mapping[str, Tensor]) -> None:
        good = [at for at, key in enumerate(keys) if self._label(key, answers[at])]
        self.keys += [keys[at] for at in good]
        self.parts.append({name: values[good] for name, values in feeds.items()})

    def _label(self, key: str, answer: Any) -> bool:
        try:
            self.targets.append(self.target.read(key, answer))
        except UnlabelledRow as error:
            self._skip(error)
            return False
        return True

    def _cut(self, series: Series, keys: Sequence[str], feeds: Mapping[str, Tensor]) -> None:
        parts: list[dict[str, Tensor]] = []
        for row, key in enumerate(keys):
            try:
                ends = series.cut(feeds, key, row)
            except UnlabelledRow as error:
                self._skip(error)
                continue
            self.keys += [key] * len(ends)
            parts += [before for before, _ in ends]
            self.targets += [following for _, following in ends]
        if parts:
            self.parts.append({name: joined([part[name] for part in parts]) for name in parts[0]})

    def _skip(self, error: InsituError) -> None:
        self.skipped[error.code] += 1
        self.example = self.example or str(error)

    def table(self, rows: int) -> Table:
        """Return everything that was kept, of `rows` that were read.

        Raises: TooManyBadRows.
        """
        limit = self.recipe.data.max_bad_share
        if not self.keys or self.skipped.total() > limit * rows:
            raise TooManyBadRows(self.skipped, rows, limit, self.example)
        inputs = {one.name: self._values(one) for one in self.recipe.features.inputs}
        kind = np.int64 if self.recipe.task == "classification" else np.float32
        return Table(tuple(self.keys), inputs, np.array(self.targets, kind), dict(self.skipped))

    def _values(self, one: InputView) -> Values:
        lengths = np.concatenate([part[one.lengths] for part in self.parts]) if one.lengths else None
        return Values(joined([part[one.name] for part in self.parts]), lengths)


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


def check_size(parts: Sequence[dict[str, Tensor]], rows: int, recipe: Recipe) -> None:
    """Refuse more rows than fit into memory once they are all padded to the longest."""
    longest = 0
    for one in recipe.features.inputs:
        longest += max((part[one.name][0].nbytes for part in parts if len(part[one.name])), default=0)
    if rows * longest > TABLE_LIMIT_BYTES:
        raise TooMuchData(rows, longest, TABLE_LIMIT_BYTES, recipe.data.max_rows)


def joined(arrays: Sequence[NDArray[Any]]) -> Tensor:
    """Join the parts of one input; sequences are padded at the right to the longest of all."""
    if len({array.shape[1:] for array in arrays}) == 1:
        return np.concatenate(arrays)
    longest = max(array.shape[1] for array in arrays)
    result = np.zeros((sum(map(len, arrays)), longest, *arrays[0].shape[2:]), arrays[0].dtype)
    start = 0
    for array in arrays:
        result[start : start + len(array), : array.shape[1]] = array
        start += len(array)
    return result
