"""Rows in columns as the keys that the view reads: what a file holds, put where it is served from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.binding import source_shapes
from models.errors import shown
from models.features import FeatureView, InputView
from models.recipe import Recipe
from models.recipe_data import Arrays, ColumnTarget, RedisRows
from models.sources import (
    FeastSource,
    HashSource,
    InlineSource,
    JsonSource,
    SequenceSource,
    StreamSource,
    VectorSource,
)
from models.templates import KeyTemplate
from models.tensors import Tensor, elements, numpy_dtype
from trainer.datasets.dataset import Dataset, Entries, JsonDocument, Row, Stored, Value
from trainer.datasets.series import Series
from trainer.errors import BadData
from trainer.reading.cells import Batch, plain, texts
from trainer.reading.columns import ViewColumns
from trainer.reading.faults import Faults
from trainer.reading.json_places import Steps, check_apart, number_or_text, steps_of, with_value
from trainer.reading.narrow import NarrowColumns
from trainer.reading.source import ColumnSource
from trainer.reading.table import open_source
from trainer.reading.whole import whole_inputs

Written = HashSource | JsonSource | VectorSource | SequenceSource


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
    rows = StoredRows(recipe, data, open_source(recipe, data, folder))
    return Dataset(recipe.name, recipe.description, "", tuple(one.key for one in keyed), rows.count, rows)


@dataclass(frozen=True, slots=True)
class Part:
    """One source of one input, and its places along the last axis of the input's rows."""

    view: InputView
    source: Written
    span: slice

    def of(self, row: Tensor) -> Tensor:
        """Return the source's part of a row that lies in one array."""
        if self.view.shape is not None:
            first = source_shapes(self.view.sources[0])[0]
            row = row.reshape(*map(int, first[:-1]), -1)
        return row[..., self.span]


def parts_of(view: FeatureView) -> Iterator[Part]:
    """Yield every source that reads a key.

    Raises: BadData, one that is not ours to write.
    """
    for one in view.inputs:
        at = 0
        for source in one.sources:
            width = sum(int(shape[-1]) for shape in source_shapes(source))
            if isinstance(source, FeastSource):
                raise BadData(
                    f"{source.key!r} is where Feast writes view {source.view!r}, and nobody else does; "
                    "fill its online store with `feast materialize`, and train and score from there"
                )
            if not isinstance(source, InlineSource):
                yield Part(one, source, slice(at, at + width))
            at += width


class StoredRows:
    """Called, it gives every row anew, the same ones each time."""

    def __init__(self, recipe: Recipe, data: Arrays, source: ColumnSource) -> None:
        """Find the columns and the keys.

        Raises: BadData.
        """
        self._recipe, self._source = recipe, source
        self._missing = pa.array(data.missing, pa.string())
        self._most, self._columns_of = data.max_rows, data.columns
        series = Series.of(recipe)
        view = series.longer(recipe.features) if series else recipe.features
        whole = whole_inputs(view, source.whole, source.name)
        self._whole = {name: (one.array, one.lengths) for name, one in whole.items()}
        others = tuple(one for one in recipe.features.inputs if one.name not in whole)
        view = recipe.features.model_copy(update={"inputs": others})
        self._names = ViewColumns(view, data, source.kinds, source.name).names
        self._narrow = NarrowColumns(recipe, data, source)
        self._places, self._parts = json_places(recipe), [*parts_of(recipe.features)]
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
                values = self._values(batch.start + at, row)
                stored = tuple(Stored(key, value) for key, value in values.items() if value)
                if stored:
                    yield stored

    def _values(self, number: int, row: Mapping[str, Any]) -> dict[str, Value]:
        """Return what lies at each key of a row; what several sources read of one key lies there together."""
        placeholders = self._recipe.rows.match(self._keys[number])
        if placeholders is None:
            raise BadData(
                f"{self._source.name}, row {number + 1}: its columns make no key of {self._recipe.rows.text!r}"
            )
        found: dict[str, Value] = {}
        for part in self._parts:
            key = KeyTemplate(part.source.key).fill(placeholders)
            found[key] = self._value(part, number, row, found.get(key))
        return found

    def _value(self, part: Part, number: int, row: Mapping[str, Any], before: Value | None) -> Value:
        source = part.source
        if isinstance(source, HashSource):
            others = before if isinstance(before, Mapping) else {}
            return {**others, **self._texts(part, source, number, row)}
        if isinstance(source, JsonSource):
            return self._document(source, self._texts(part, source, number, row), before)
        array = self._array(part, source, number, row)
        if array is None:
            return b""
        if isinstance(source, StreamSource):
            return Entries(tuple(texts_of(source, step) for step in array.reshape(-1, len(source.fields))))
        raw = array.astype(numpy_dtype("uint8" if source.dtype == "bool" else source.dtype))
        if isinstance(source, VectorSource):
            return raw.tobytes()
        steps = raw.reshape(-1, elements(source.shape))
        text = source.encoding == "text"
        return tuple(",".join(map(repr, one.tolist())).encode() if text else one.tobytes() for one in steps)

    def _texts(
        self, part: Part, source: HashSource | JsonSource, number: int, row: Mapping[str, Any]
    ) -> dict[str, str]:
        """Return the texts of a source's fields by name, the row's own target among them."""
        named = [field.name for field in source.fields]
        target = self._recipe.data.target
        one_cell = isinstance(target, ColumnTarget) and self._recipe.task != "forecasting"
        if isinstance(target, ColumnTarget) and one_cell and source.key == self._recipe.rows.text:
            named += target.names
        known = {**row, **self._fields(part, source, number)}
        return {field: str(known[field]) for field in named if known.get(field) is not None}

    def _document(self, source: JsonSource, texts: Mapping[str, str], before: Value | None) -> JsonDocument:
        """Return a document with fields at their paths, and whatever is no field at its top."""
        document: Any = before.members if isinstance(before, JsonDocument) else {}
        kept = [field.name for field in source.fields if field.categories]
        for field, text in texts.items():
            value = text if field in kept else number_or_text(text)
            document = with_value(document, self._places[source.key].get(field, (field,)), value)
        return JsonDocument(document)

    def _fields(self, part: Part, source: HashSource | JsonSource, number: int) -> dict[str, str]:
        """Return the fields of a row whose input lies in one array."""
        if part.view.name not in self._whole:
            return {}
        return texts_of(source, part.of(self._whole[part.view.name][0][number]).reshape(-1))

    def _array(
        self, part: Part, source: VectorSource | SequenceSource, number: int, row: Mapping[str, Any]
    ) -> Tensor | None:
        if part.view.name in self._whole:
            array, lengths = self._whole[part.view.name]
            return part.of(array[number] if lengths is None else array[number, : lengths[number]])
        patterns = self._columns_of.get(source.key, (part.view.name,))
        found = [row[one] for one in self._expanded(patterns)]
        value = found[0] if len(found) == 1 else found
        if isinstance(value, bytes):
            stored = (part.view.dtype or "float32") if isinstance(source, StreamSource) else source.dtype
            return np.frombuffer(value, numpy_dtype(stored))
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


def texts_of(source: HashSource | JsonSource | StreamSource, numbers: Tensor) -> dict[str, str]:
    """Return the numbers of a source's fields as the texts that are stored; of a category its own."""
    return {
        field.name: field.categories[int(value)] if field.categories else repr(value)
        for field, value in zip(source.fields, numbers.tolist(), strict=True)
    }


def json_places(recipe: Recipe) -> dict[str, dict[str, Steps]]:
    """Return where the fields of each JSON key lie, by the key's template.

    Raises: BadData, a path that names no one place, or fields that lie in one another.
    """
    places: dict[str, dict[str, Steps]] = {}
    for source in recipe.features.keyed:
        if isinstance(source, JsonSource):
            own = places.setdefault(source.key, {})
            own |= {field.name: steps_of(field.where, field.name) for field in source.fields}
            check_apart(own)
    return places


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
