"""The steps to come as rows in columns have them: a column of lists, an array, or a number a column."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np

from models.errors import shown
from models.recipe_data import ColumnTarget
from models.sources import InlineField
from models.tensors import Tensor, elements
from trainer.errors import BadData
from trainer.reading.cells import Batch, CellEmpty, absent, is_number, is_text
from trainer.reading.columns import meant
from trainer.reading.sequences import ArrayColumn, SpreadColumns, VectorPart, holds_arrays
from trainer.reading.source import ColumnSource

DTYPE = "float32"  # what a network learns from
CURE = "it is the target; fill it, or take the row out"


class StepColumns:
    """The columns of one target, read as (rows, steps, channels)."""

    def __init__(self, target: ColumnTarget, source: ColumnSource) -> None:
        """Find the columns.

        Raises: BadData, not there, of no numbers, or not as many as the target has steps.
        """
        self._target, self._where = target, source.name
        self.names = [name for one in target.names for name in self._matching(one, source)]
        shape = target.shape or (len(self.names),)
        lists = len(self.names) == 1 and holds_arrays(source.kinds[self.names[0]])
        if not lists:
            self._check(source, elements(shape))
        stored = ArrayColumn(self.names[0], DTYPE, DTYPE) if lists else SpreadColumns(self.names, DTYPE)
        self._part = VectorPart(InlineField(name=self.names[0], shape=shape), stored, DTYPE)

    def read(self, batch: Batch) -> Tensor:
        """Return the steps of some rows; those of rows at fault mean nothing."""
        for name in self.names:
            for row in np.flatnonzero(absent(batch.columns[name])).tolist():
                batch.fault(row, CellEmpty(name, CURE))
        return self._part.read(batch).reshape(batch.rows, *self._target.steps)

    def _matching(self, pattern: str, source: ColumnSource) -> Sequence[str]:
        found = [name for name in source.kinds if fnmatchcase(name, pattern)] if "*" in pattern else [pattern]
        if not found or found[0] not in source.kinds:
            raise BadData(
                f"{self._where} has no column {shown(pattern)!r} for the target{meant(pattern, source.kinds)}",
                column=shown(pattern),
            )
        return found

    def _check(self, source: ColumnSource, wanted: int) -> None:
        for name in self.names:
            if not is_number(source.kinds[name]) and not is_text(source.kinds[name]):
                raise BadData(
                    f"{self._where}: column {shown(name)!r} is {source.kinds[name]}; the steps to come are "
                    "lists of numbers, or a number a column",
                    column=shown(name),
                )
        if len(self.names) != wanted:
            raise BadData(
                f"{self._where} has {len(self.names)} columns for the target, whose shape has {wanted} numbers; "
                "name one column a number (columns: [...]), or one column of lists",
                column=shown(self.names[0]),
            )
