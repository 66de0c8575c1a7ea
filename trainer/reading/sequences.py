"""Columns that hold whole arrays: lists of numbers, raw bytes, or a number a column; each row's vector or steps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.decoding import cast, lost
from models.errors import FeatureError, NotANumber, shown
from models.sources import ArrayField, FeatureField, SequenceSource, VectorSource
from models.tensors import Tensor, elements, numpy_dtype
from trainer.reading.cells import Batch, CellEmpty, FieldColumn, absent, is_number

FLAT_DEPTH = 8  # lists in lists in lists


class WrongCount(FeatureError):
    """A cell with another number of elements than the view says."""

    code = "wrong_length"

    def __init__(self, column: str, count: int, wanted: str) -> None:
        super().__init__(
            f"column {shown(column)!r} holds {count} numbers, the view wants {wanted}", column=shown(column)
        )


@dataclass(frozen=True, slots=True)
class Flat:
    """The numbers of all rows one after the other, and how many each row has."""

    numbers: NDArray[Any]
    counts: NDArray[np.int64]


def holds_arrays(kind: pa.DataType) -> bool:
    """Whether each cell of a column is an array of numbers, or bytes."""
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return True
    while is_list(kind):
        kind = kind.value_type
        if is_number(kind):
            return True
    return False


def is_list(kind: pa.DataType) -> bool:
    """Whether each cell of a column is a list."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def flat(array: pa.Array, dtype: str) -> Flat:
    """Return what lists, or strings of raw little-endian numbers, hold."""
    if not is_list(array.type):
        stored = numpy_dtype("uint8" if dtype == "bool" else dtype)
        strings = array.cast(pa.large_binary()).fill_null(b"").to_pylist()
        whole = [one if len(one) % stored.itemsize == 0 else b"" for one in strings]
        counts = np.array([len(one) // stored.itemsize for one in whole], np.int64)
        return Flat(np.frombuffer(b"".join(whole), stored), counts)
    counts = lengths_of(array)
    for _ in range(FLAT_DEPTH):
        array = array.flatten()
        if not is_list(array.type):
            break
        counts = summed(lengths_of(array), counts)
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    numbers = array.cast(pa.float64()) if array.null_count else array  # an absent number is none: NaN
    return Flat(numbers.to_numpy(zero_copy_only=False), counts)


def lengths_of(array: pa.Array) -> NDArray[np.int64]:
    """Return the lengths of lists, 0 of one that is not there."""
    result: NDArray[np.int64] = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    return result.astype(np.int64)


def summed(inner: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sum of the lengths of each row's inner lists."""
    ends = np.concatenate([[0], np.cumsum(inner)])
    bounds = np.concatenate([[0], np.cumsum(counts)])
    result: NDArray[np.int64] = np.diff(ends[bounds])
    return result


class ArrayColumn:
    """One column whose every cell is an array."""

    def __init__(self, name: str, stored: str, dtype: str) -> None:
        self.names = (name,)
        self._name, self._stored, self._dtype = name, stored, dtype

    def read(self, batch: Batch) -> Flat:
        """Return the numbers of the rows; a row at fault has none."""
        array = batch.columns[self._name]
        found = flat(array, self._stored)
        numbers = cast(found.numbers, self._dtype)
        bad = lost(found.numbers, numbers)
        if bad.any():
            self._name_bad(found, bad, batch)
        return Flat(numbers, found.counts)

    def _name_bad(self, found: Flat, bad: NDArray[np.bool_], batch: Batch) -> None:
        ends = np.cumsum(found.counts)
        for at in np.flatnonzero(bad).tolist():
            row = int(np.searchsorted(ends, at, side="right"))
            place = f"element {at - int(ends[row] - found.counts[row])} of column {shown(self._name)!r}"
            batch.fault(row, NotANumber(place, found.numbers[at].item(), self._dtype))

    def empty(self, batch: Batch) -> NDArray[np.bool_]:
        """Return which rows have no array."""
        return absent(batch.columns[self._name])


class SpreadColumns:
    """Several columns, each with one number of a row's array, in their order."""

    def __init__(self, names: Sequence[str], dtype: str) -> None:
        self.names = tuple(names)
        self._columns = [FieldColumn(FeatureField(name=name), dtype) for name in names]

    def read(self, batch: Batch) -> Flat:
        """Return the numbers of the rows, as many of each."""
        table = np.stack([column.read(batch) for column in self._columns], axis=1)
        return Flat(table.reshape(-1), np.full(len(table), len(self.names), np.int64))

    def empty(self, batch: Batch) -> NDArray[np.bool_]:
        """Return which rows have no array: none, an absent number is that column's fault."""
        return np.zeros(batch.rows, np.bool_)


Stored = ArrayColumn | SpreadColumns


class VectorPart:
    """A vector of the view: (rows, *shape)."""

    def __init__(self, source: VectorSource | ArrayField, stored: Stored, dtype: str) -> None:
        self._shape, self._default, self._stored = source.shape, source.default, stored
        self._count, self._dtype = elements(source.shape), numpy_dtype(dtype)

    def read(self, batch: Batch) -> Tensor:
        """Return the vectors; those of rows at fault mean nothing."""
        found, empty = self._stored.read(batch), self._stored.empty(batch)
        wanted = found.counts == self._count
        if wanted.all():
            return found.numbers.reshape(len(wanted), *self._shape)
        result = np.zeros((len(wanted), self._count), self._dtype)
        starts = np.cumsum(found.counts) - found.counts
        for row in np.flatnonzero(wanted).tolist():
            result[row] = found.numbers[starts[row] : starts[row] + self._count]
        if self._default is not None:
            result[empty] = self._default
        self._name_bad(found, empty, batch)
        return result.reshape(len(wanted), *self._shape)

    def _name_bad(self, found: Flat, empty: NDArray[np.bool_], batch: Batch) -> None:
        name = self._stored.names[0]
        for row in np.flatnonzero(found.counts != self._count).tolist():
            if not empty[row]:
                wanted = f"{self._count} ({list(self._shape)})"
                batch.fault(row, WrongCount(name, found.counts[row], wanted))
            elif self._default is None:
                batch.fault(row, CellEmpty(name, "fill it, or give the source a default"))


@dataclass(frozen=True, slots=True)
class Ragged:
    """Steps of rows, padded with zeros behind the last: (rows, longest, *shape); lengths (rows,)."""

    x: Tensor
    lengths: NDArray[np.int64]


class ListPart:
    """A list or stream of the view: its last steps, padded where the view says so."""

    def __init__(self, source: SequenceSource, stored: Stored, dtype: str) -> None:
        self._source, self._stored, self._dtype = source, stored, numpy_dtype(dtype)
        self._step = elements(source.shape)

    def read(self, batch: Batch) -> Ragged:
        """Return the steps; those of rows at fault mean nothing."""
        source, found, empty = self._source, self._stored.read(batch), self._stored.empty(batch)
        self._name_bad(found, empty, batch)
        free = source.pad == "none"
        steps = np.minimum(found.counts // self._step, source.last)
        longest = int(steps.max(initial=1)) if free else source.last
        x = np.full((len(steps), longest, self._step), 0 if free else source.pad_value, self._dtype)
        ends = np.cumsum(found.counts)
        for row, count in enumerate(steps.tolist()):
            if found.counts[row] % self._step == 0:
                first = longest - count if source.pad == "left" else 0
                numbers = found.numbers[ends[row] - count * self._step : ends[row]]
                x[row, first : first + count] = numbers.reshape(count, self._step)
        if source.default is not None:
            x[empty, -1 if source.pad == "left" else 0] = source.default
        lengths = np.maximum(steps, 1) if free else np.full(len(steps), longest, np.int64)
        return Ragged(x.reshape(len(steps), longest, *source.shape), lengths)

    def _name_bad(self, found: Flat, empty: NDArray[np.bool_], batch: Batch) -> None:
        name = self._stored.names[0]
        for row in np.flatnonzero((found.counts == 0) | (found.counts % self._step != 0)).tolist():
            if found.counts[row]:
                batch.fault(row, WrongCount(name, found.counts[row], f"a multiple of {self._step}"))
            elif self._source.default is None:
                cure = "fill it, or give the source a default"
                batch.fault(
                    row, CellEmpty(name, cure) if empty[row] else WrongCount(name, 0, "a step or more")
                )
