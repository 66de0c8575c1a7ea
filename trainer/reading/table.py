"""Rows in columns as a table: first keys and truths are read, then the features into arrays made for them.

The columns are read twice, so that memory holds one batch of them beside the table.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from models.errors import InsituError
from models.recipe import Recipe
from models.recipe_data import Arrays, Columnar, CsvRows, FunctionRows, ParquetRows
from trainer.datasets.series import Series
from trainer.errors import BadData
from trainer.events import Stage
from trainer.reading.arrays import call, open_npz
from trainer.reading.cells import Batch, plain
from trainer.reading.columns import ViewColumns
from trainer.reading.ends import windows_of
from trainer.reading.faults import Faults
from trainer.reading.files import ParquetFile, open_csv
from trainer.reading.filling import Filling
from trainer.reading.narrow import NarrowColumns
from trainer.reading.source import ColumnSource
from trainer.reading.whole import whole_inputs
from trainer.table import Indices, Table, Values


def open_source(recipe: Recipe, data: Arrays, folder: Path | None) -> ColumnSource:
    """Open what has a recipe's columns; a path is seen from `folder`.

    Raises: BadData.
    """
    if isinstance(data, FunctionRows):
        return call(data, recipe, folder)
    if isinstance(data, CsvRows):
        return open_csv(data, (folder or Path()) / data.path)
    if isinstance(data, ParquetRows):
        return ParquetFile((folder or Path()) / data.path)
    return open_npz((folder or Path()) / data.path)


def read_columns(recipe: Recipe, data: Arrays, folder: Path | None, stage: Stage) -> Table:
    """Read every row of a recipe whose rows, `data`, lie in columns.

    Raises: BadData, TooManyBadRows, TooMuchData.
    """
    return ColumnReader(recipe, data, open_source(recipe, data, folder)).table(stage)


class ColumnReader:
    """One recipe and what has its rows."""

    def __init__(self, recipe: Recipe, data: Columnar, source: ColumnSource) -> None:
        """Find every column before any row is read.

        Raises: BadData, one is not there or holds nothing of the kind.
        """
        self._recipe, self._data, self._source = recipe, data, source
        self._faults, self._filled = Faults(source.name), Counter[str]()
        self._series = Series.of(recipe)
        view = self._series.longer(recipe.features) if self._series else recipe.features
        self._arrays = whole_inputs(view, source.whole, source.name)
        others = tuple(one for one in view.inputs if one.name not in self._arrays)
        self._view = view.model_copy(update={"inputs": others})
        self._columns = ViewColumns(self._view, self._data, source.kinds, source.name)
        self._narrow = NarrowColumns(recipe, self._data, source)

    def table(self, stage: Stage) -> Table:
        """Read all of it.

        Raises: BadData, TooManyBadRows, TooMuchData.
        """
        for batch in self._batches(self._narrow.names):
            self._narrow.read(batch)
        keys, targets, marks = self._narrow.result()
        beside = self._narrow.beside()
        stage.total = rows = len(keys)
        if not rows:
            raise BadData(f"{self._source.name} has no rows")
        self._check(rows)
        arrays = {name: one.values(rows, self._faults) for name, one in self._arrays.items()}
        self._check(rows)
        features = self._features(rows, stage)
        self._check(rows)
        good = self._faults.good(0, rows)
        chosen = np.flatnonzero(good)
        if not good.all():
            keys, targets = [keys[row] for row in chosen], targets[chosen]
            marks = None if marks is None else marks[chosen]
            beside = {name: values[chosen] for name, values in beside.items()}
            arrays = {name: values.take(chosen) for name, values in arrays.items()}
        inputs = {one.name: {**arrays, **features}[one.name] for one in self._recipe.features.inputs}
        table = Table(tuple(keys), inputs, targets, beside=beside, marks=marks)
        if self._series is not None:
            table = self._cut(table, self._series, chosen)
            self._check(rows)
        table.skipped, table.filled = dict(self._faults.counts), dict(self._filled)
        return table

    def _cut(self, table: Table, series: Series, numbers: Indices) -> Table:
        """Return the windows of whole series; `numbers` are those of the rows in the file."""

        def fault(row: int, error: InsituError) -> None:
            self._faults.add(int(numbers[row]), error)

        return windows_of(table, series, self._recipe.features, self._data.max_rows, fault)

    def _check(self, rows: int) -> None:
        self._faults.check(rows, self._data.max_bad_share)

    def _features(self, rows: int, stage: Stage) -> dict[str, Values]:
        filling = Filling(self._view, rows, self._data.max_rows)
        for batch in self._batches(self._columns.names):
            feeds = self._columns.feeds(batch)
            good = self._faults.good(batch.start, batch.start + batch.rows)
            filling.append(feeds, None if good.all() else good)
            self._filled.update(self._columns.filled(good))
            stage.advance(batch.start + batch.rows)
        self._check(rows)  # of rows that are all at fault there is nothing to join
        pa.default_memory_pool().release_unused()  # of the batches; what is left of them is memory of no use
        return filling.inputs()

    def _batches(self, names: Sequence[str]) -> Iterator[Batch]:
        start, most = 0, self._data.max_rows
        missing = pa.array(self._data.missing, pa.string())
        unique = list(dict.fromkeys(names))
        for part in self._source.batches(unique) if unique else ():
            rows = part.num_rows if most is None else min(part.num_rows, most - start)
            if rows > 0:
                columns = {name: plain(part.column(name).slice(0, rows), missing) for name in unique}
                yield Batch(columns, start, rows, self._faults)
                start += rows
