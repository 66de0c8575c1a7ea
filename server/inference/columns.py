"""Columns: rows that are all well kept as the numbers of a run, from its end to the bytes of the answer.

No object is made for a row unless one is looked at.
"""

from collections.abc import Mapping, Sequence
from typing import cast, overload

from models.decoding import all_finite
from models.manifest import Manifest
from models.tensors import Tensor
from server.inference.answers import WORDINGS, Body, of_classes
from server.inference.asking import Row
from server.inference.errors import RunFailed


class Columns:
    """What a run said of rows that are all well.

    Shape: numbers (B,) of a regression, (B, labels) of a classification; finite.
    """

    __slots__ = ("manifest", "numbers")

    def __init__(self, manifest: Manifest, numbers: Tensor) -> None:
        self.manifest, self.numbers = manifest, numbers

    def bodies(self) -> list[Body]:
        """Return the body of each row."""
        return cast("list[Body]", WORDINGS[self.manifest.task](self.manifest, self.numbers))

    def part(self, start: int, stop: int) -> "Columns":
        """Return some of the rows."""
        return Columns(self.manifest, self.numbers[start:stop])


class KeyedRows(Sequence[Row]):
    """A row for each key, made when one is looked at; where all are well, `columns` stand for what they say."""

    __slots__ = ("_rows", "columns", "keys")

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys
        self.columns: Columns | None = None
        self._rows: list[Row] | None = None

    @property
    def untouched(self) -> bool:
        """Whether nothing has been said of any row yet."""
        return self._rows is None

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        if self._rows is None:
            self._rows = [*map(Row, self.keys)]
            if self.columns is not None:
                for row, body in zip(self._rows, self.columns.bodies(), strict=True):
                    row.body = body
                self.columns = None  # who looks at rows may change them
        return self._rows[at]


def columns(manifest: Manifest, outputs: Mapping[str, Tensor]) -> Columns | None:
    """Return outputs as columns, where their task is worded from them and every row is well."""
    if manifest.output is None:
        return None
    output = outputs[manifest.output]
    if output.dtype.kind != "f":
        return None
    if manifest.task == "regression" and manifest.answer is None and output.size == len(output):
        numbers = output.reshape(-1)
    elif manifest.task == "classification":
        try:
            numbers = of_classes(manifest, output)
        except RunFailed:  # who words it row by row says so
            return None
    else:
        return None
    return Columns(manifest, numbers) if all_finite(numbers) else None


def columns_of(rows: Sequence[Row]) -> tuple[KeyedRows, Columns] | None:
    """Return rows and the columns that stand for them, None where they are told row by row."""
    if isinstance(rows, KeyedRows) and rows.columns is not None:
        return rows, rows.columns
    return None
