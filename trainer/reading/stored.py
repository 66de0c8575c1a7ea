"""Rows in columns as the keys that the view reads: what a file holds, put where it is served from."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.errors import shown
from models.recipe import Recipe
from models.recipe_data import Arrays, ColumnTarget, RedisRows
from models.sources import HashSource, InlineSource, Keyed, ListSource, VectorSource
from models.templates import KeyTemplate
from models.tensors import Tensor, elements, numpy_dtype
from trainer.datasets.dataset import Dataset, Row, Stored, Value
from trainer.errors import BadData
from trainer.reading.cells import Batch, plain, texts
from trainer.reading.columns import ViewColumns
from trainer.reading.faults import Faults
from trainer.reading.narrow import NarrowColumns
from trainer.reading.source import ColumnSource
from trainer.reading.table import open_source
from trainer.reading.whole import whole_inputs


def dataset_of(recipe: Recipe, folder: Path | None) -> Dataset:
    """Return the rows of a recipe's file or function as keys of its view.

    A hash of the rows' own key also gets the target, so that Redis holds what was learned from.

    Raises: BadData.
    """
    data = recipe.data
    if isinstance(data, RedisRows):
        raise BadData(f"the rows of recipe {recipe.name} lie in Redis already, at {data.match}")
    keyed = recipe.features.keyed
    if not keyed:
        raise BadData(f"the view of recipe {recipe.name} reads no key, only what a request carries")
    for source in keyed:
        if not isinstance(source, HashSource | VectorSource | ListSource):
            raise BadData(f"{source.key!r} is JSON; rows are loaded into hashes, vectors and lists")
    rows = StoredRows(recipe, data, open_source(recipe, data, folder))
    return Dataset(recipe.name, recipe.description, "", tuple(one.key for one in keyed), rows.count, rows)


class StoredRows:
    """Called, it gives every row anew, the same ones each time."""

    def __init__(self, recipe: Recipe, data: Arrays, source: ColumnSource) -> None:
        """Find the columns and the keys.

        Raises: BadData.
        """
        self._recipe, self._source = recipe, source
        self._missing = pa.array(data.missing, pa.string())
        self._most, self._columns_of = data.max_rows, data.columns
        whole = whole_inputs(recipe.features, source.whole, source.name)
        self._whole = {name: (one.array, one.lengths) for name, one in whole.items()}
        others = tuple(one for one in recipe.features.inputs if one.name not in whole)
        view = recipe.features.model_copy(update={"inputs": others})
        self._names = ViewColumns(view, data, source.kinds, source.name).names
        self._narrow = NarrowColumns(recipe, data, source)
        for batch in self._batches(self._narrow.names):
            self._narrow.read(batch)
        self._keys, _, _ = self._narrow.result()
        self.count = len(self._keys)

    def __call__(self) -> Iterator[Row]:
        """Give the rows."""
        for batch in self._batches([*self._narrow.names, *self._names]):
            columns = {name: cells(array) for name, array in batch.columns.items()}
            for at in range(batch.rows):
                row = {name: values[at] for name, values in columns.items()}
                stored = tuple(self._stored(batch.start + at, row))
                if stored:
                    yield stored

    def _stored(self, number: int, row: Mapping[str, Any]) -> Iterator[Stored]:
        placeholders = self._recipe.rows.match(self._keys[number])
        if placeholders is None:
            raise BadData(
                f"{self._source.name}, row {number + 1}: its columns make no key of {self._recipe.rows.text!r}"
            )
        for one in self._recipe.features.inputs:
            for source in one.sources:
                if not isinstance(source, InlineSource):
                    value = self._value(one.name, source, number, row)
                    if value:
                        yield Stored(KeyTemplate(source.key).fill(placeholders), value)

    def _value(self, name: str, source: Keyed, number: int, row: Mapping[str, Any]) -> Value:
        if isinstance(source, HashSource):
            values = self._fields(name, source, number) or row
            target = self._recipe.data.target
            named = [field.name for field in source.fields]
            if isinstance(target, ColumnTarget) and source.key == self._recipe.rows.text:
                named += [column for column in (target.field, *target.fields) if column]
            known = {**row, **values}
            return {field: str(known[field]) for field in named if known.get(field) is not None}
        if not isinstance(source, VectorSource | ListSource):
            raise TypeError(f"{source.key!r} is none of hash, vector and list")
        array = self._array(name, source, number, row)
        if array is None:
            return b""
        raw = array.astype(numpy_dtype("uint8" if source.dtype == "bool" else source.dtype))
        if isinstance(source, VectorSource):
            return raw.tobytes()
        steps = raw.reshape(-1, elements(source.shape))
        if source.encoding == "text":
            return tuple(",".join(map(repr, step.tolist())).encode() for step in steps)
        return tuple(step.tobytes() for step in steps)

    def _fields(self, name: str, source: HashSource, number: int) -> dict[str, str]:
        """Return the fields of a row whose input lies in one array."""
        if name not in self._whole:
            return {}
        numbers = self._whole[name][0][number].reshape(-1).tolist()
        return {
            field.name: field.categories[int(value)] if field.categories else repr(value)
            for field, value in zip(source.fields, numbers, strict=False)
        }

    def _array(
        self, name: str, source: VectorSource | ListSource, number: int, row: Mapping[str, Any]
    ) -> Tensor | None:
        if name in self._whole:
            array, lengths = self._whole[name]
            return array[number] if lengths is None else array[number, : lengths[number]]
        patterns = self._columns_of.get(source.key, (name,))
        found = [row[one] for one in self._expanded(patterns)]
        value = found[0] if len(found) == 1 else found
        if isinstance(value, bytes):
            return np.frombuffer(value, numpy_dtype(source.dtype))
        if value is None or any(one is None for one in found):
            return None
        return np.asarray(value, np.float64).reshape(-1) if not isinstance(value, list) else flattened(value)

    def _expanded(self, patterns: Sequence[str]) -> list[str]:
        prefixes = [one.split("*")[0] for one in patterns if "*" in one]
        starred = [name for name in self._source.kinds if any(name.startswith(prefix) for prefix in prefixes)]
        return [one for one in patterns if "*" not in one] + starred

    def _batches(self, names: Sequence[str]) -> Iterator[Batch]:
        start, unique = 0, list(dict.fromkeys(names))
        for part in self._source.batches(unique):
            rows = part.num_rows if self._most is None else min(part.num_rows, self._most - start)
            if rows > 0:
                columns = {name: plain(part.column(name).slice(0, rows), self._missing) for name in unique}
                yield Batch(columns, start, rows, Faults(shown(self._source.name)))
                start += rows


def cells(array: pa.Array) -> list[Any]:
    """Return the cells of a column: texts of what a hash holds, lists and bytes as they are."""
    scalar = not pa.types.is_nested(array.type) and not pa.types.is_binary(array.type)
    values: list[Any] = (texts(array) if scalar else array).to_pylist()
    return values


def flattened(value: list[Any]) -> Tensor:
    """Return nested lists as one array."""
    while value and isinstance(value[0], list):
        value = [one for inner in value for one in inner]
    return np.asarray(value, np.float64)
