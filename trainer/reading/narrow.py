"""The columns beside the features: what makes a row's key, what is true of it, what parts it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import FeatureError, InsituError, shown
from models.recipe import Recipe
from models.recipe_data import Columnar, ColumnTarget
from trainer.datasets.targets import Truth, truth_of
from trainer.errors import BadData, UnlabelledRow
from trainer.reading.cells import Batch, CellEmpty, is_number, is_text, texts
from trainer.reading.columns import meant
from trainer.reading.marks import Marks
from trainer.reading.source import ColumnSource
from trainer.reading.steps import StepColumns


class NarrowColumns:
    """Keys, truths and marks of rows, collected batch by batch.

    A placeholder of the rows' key is filled from the column of its name; where no column has the
    name of the only one, it is the row's number, from 1.
    """

    def __init__(self, recipe: Recipe, data: Columnar, source: ColumnSource) -> None:
        """Find the columns.

        Raises: BadData.
        """
        self._template, self._source = recipe.rows, source
        target = data.target if isinstance(data.target, ColumnTarget) else None
        self._steps = StepColumns(target, source) if target and recipe.task == "forecasting" else None
        named = target.names if target and self._steps is None else ()
        self._recipe, self._targets = recipe, [self._checked(name, "the target") for name in named]
        self._marks = Marks(recipe.split)
        part = recipe.split.field
        self._mark = (
            None if part is None else self._checked(part, "split", times=recipe.split.time is not None)
        )
        self._placeholders = self._found(recipe.rows.placeholders)
        sensitive = recipe.fairness.fields if recipe.fairness else ()
        self._sensitive: dict[str, list[str | None]] = {
            self._checked(name, "the comparison of groups"): [] for name in sensitive
        }
        following = self._steps.names if self._steps else ()
        every = (*self._targets, *following, self._mark, *self._placeholders, *self._sensitive)
        self.names = [name for name in every if name is not None]
        self.names = self.names or list(source.kinds)[:1]  # rows are counted by any column
        self.keys: list[str] = []
        self._truths: list[Truth] = []
        self._read_marks: list[float] = []

    def read(self, batch: Batch) -> None:
        """Take the rows of one batch."""
        self._read_keys(batch)
        self._read_truths(batch)
        if self._mark is not None:
            self._read_marks += self._marked(batch, self._mark)
        for name, values in self._sensitive.items():
            values.extend(texts(batch.columns[name]).to_pylist())

    def beside(self) -> dict[str, NDArray[Any]]:
        """Return the texts of the sensitive fields of all rows."""
        return {name: np.array(values, object) for name, values in self._sensitive.items()}

    def result(self) -> tuple[list[str], NDArray[Any], NDArray[Any] | None]:
        """Return keys, truths and marks of all rows, and keep none; those of rows at fault mean nothing.

        Raises: BadData, two rows have the same key.
        """
        if self._placeholders:
            self._check_once()
        marks = None if self._mark is None else np.array(self._read_marks, self._marks.dtype)
        kind = np.int64 if self._recipe.task == "classification" else np.float32
        keys, targets = self.keys, np.array(self._truths, kind)
        self.keys, self._truths, self._read_marks = [], [], []
        return keys, targets, marks

    def _read_truths(self, batch: Batch) -> None:
        """Read the target of each row; one that was seen before is known."""
        if self._steps is not None:
            self._truths += list(self._steps.read(batch))
            return
        columns = [texts(batch.columns[name]).to_pylist() for name in self._targets]
        seen: dict[tuple[str | None, ...], Truth] = {}
        for at, said in enumerate(zip(*columns, strict=True) if columns else [()] * batch.rows):
            if said not in seen:
                found = self._truth(said, self.keys[batch.start + at])
                if isinstance(found, InsituError):
                    batch.fault(at, found)
                    self._truths.append(self._nothing)
                    continue
                seen[said] = found
            self._truths.append(seen[said])

    def _truth(self, said: tuple[str | None, ...], key: str) -> Truth | InsituError:
        for name, text in zip(self._targets, said, strict=True):
            if text is None:
                return CellEmpty(name, "it is the target; fill it, or take the row out")
        try:
            return truth_of([str(text) for text in said], key, self._recipe) if said else 0.0
        except UnlabelledRow as error:
            return error

    @property
    def _nothing(self) -> Truth:
        """What stands for the truth of a row at fault, in the shape of the others."""
        if self._recipe.task == "multilabel":
            return np.zeros(len(self._recipe.classes), np.float32)
        return 0.0 if len(self._targets) < 2 else np.zeros(len(self._targets), np.float32)

    def _marked(self, batch: Batch, name: str) -> list[float]:
        array = batch.columns[name]
        known = texts(array) if is_number(array.type) else array
        result = []
        for at, value in enumerate(known.to_pylist()):
            found = self._mark_of(value, name)
            if isinstance(found, InsituError):
                batch.fault(at, found)
            result.append(0 if isinstance(found, InsituError) else found)
        return result

    def _mark_of(self, value: Any, name: str) -> float | InsituError:
        if value is None:
            return CellEmpty(name, "it parts the rows; fill it, or take the row out")
        try:
            return self._marks.read(value, f"column {shown(name)!r}")
        except UnlabelledRow as error:
            return error

    def _read_keys(self, batch: Batch) -> None:
        if not self._placeholders:
            names = self._template.placeholders
            numbers = range(batch.start + 1, batch.start + batch.rows + 1)
            self.keys += [self._template.fill(dict.fromkeys(names, number)) for number in numbers]
            return
        columns = [texts(batch.columns[name]).to_pylist() for name in self._placeholders]
        for at, values in enumerate(zip(*columns, strict=True)):
            try:
                self.keys.append(self._template.fill(dict(zip(self._placeholders, values, strict=True))))
            except FeatureError as error:
                self.keys.append("")
                batch.fault(at, error)

    def _found(self, placeholders: Sequence[str]) -> list[str]:
        there = [name for name in placeholders if name in self._source.kinds]
        absent = [name for name in placeholders if name not in self._source.kinds]
        if absent and len(placeholders) > 1:
            raise BadData(
                f"{self._source.name} has no column {absent[0]!r}, a placeholder of the rows' key "
                f"{self._template.text!r}{meant(absent[0], self._source.kinds)}",
                column=absent[0],
            )
        return there

    def _checked(self, name: str, role: str, times: bool = False) -> str:
        if name not in self._source.kinds:
            raise BadData(
                f"{self._source.name} has no column {shown(name)!r} for {role}{meant(name, self._source.kinds)}",
                column=shown(name),
            )
        kind = self._source.kinds[name]
        if not is_text(kind) and not is_number(kind) and not (times and pa.types.is_temporal(kind)):
            raise BadData(
                f"{self._source.name}: column {shown(name)!r} is {kind}; {role} is a number or a text",
                column=shown(name),
            )
        return name

    def _check_once(self) -> None:
        """Refuse two rows of one key: one of them would be served for the other."""
        if len(set(self.keys)) < len(self.keys):
            key, count = Counter(key for key in self.keys if key).most_common(1)[0]
            if count > 1:
                rows = [row for row, other in enumerate(self.keys, 1) if other == key][:2]
                raise BadData(
                    f"{self._source.name}: rows {rows[0]} and {rows[1]} have the same key {shown(key)!r}; "
                    f"take a column that tells rows apart for {self._template.text!r}",
                    key=shown(key),
                )
