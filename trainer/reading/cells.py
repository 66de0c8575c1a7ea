"""One column of rows as an array: numbers, numbers of categories, texts; faults go to their rows.

What a cell means is said by the code that serves, `models/fields.py`: a column of regular values is
read at once, an irregular one value by value, to the same numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.decoding import cast, lost
from models.errors import FeatureError, InsituError, NotANumber, UnknownCategory, shown
from models.fields import FieldReader
from models.sources import FeatureField
from models.tensors import Tensor, numpy_dtype
from models.values import EXACT_INTEGER, INTEGERS
from trainer.reading.faults import Faults


class CellEmpty(FeatureError):
    """A cell without a value where one is needed."""

    code = "cell_empty"

    def __init__(self, column: str, cure: str) -> None:
        super().__init__(f"column {shown(column)!r} is empty; {cure}", column=shown(column))


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows: their columns by name, the number of the first, and where faults are noted."""

    columns: Mapping[str, pa.Array]
    start: int
    rows: int
    faults: Faults

    def fault(self, at: int, error: InsituError) -> None:
        """Note what is wrong with one of these rows."""
        self.faults.add(self.start + at, error)


def is_text(kind: pa.DataType) -> bool:
    """Whether cells of a column are text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether cells of a column are numbers; yes and no are 1 and 0."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def plain(array: pa.Array, missing: pa.Array) -> pa.Array:
    """Return a column without dictionary, and without the texts that mean no value."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if is_text(array.type) and len(missing):
        words = missing.cast(array.type)
        array = pc.if_else(pc.is_in(array, value_set=words), pa.scalar(None, array.type), array)
    return array


def absent(array: pa.Array) -> NDArray[np.bool_]:
    """Return which cells have no value."""
    result: NDArray[np.bool_] = array.is_null().to_numpy(zero_copy_only=False)
    return result


def texts(array: pa.Array) -> pa.Array:
    """Return cells as the text that a hash would hold: 1.0 of a column of numbers is 1."""
    if pa.types.is_floating(array.type):
        numbers = array.to_pylist()
        return pa.array([None if one is None else number_text(one) for one in numbers], pa.string())
    if pa.types.is_decimal(array.type):
        exact = array.to_pylist()
        return pa.array([None if one is None else decimal_text(one) for one in exact], pa.string())
    return array.cast(pa.string())


def number_text(value: float) -> str:
    """Return a number as an application writes it: a whole one without a point."""
    return str(int(value)) if value.is_integer() else repr(value)


def decimal_text(value: Decimal) -> str:
    """Return a decimal number with all of its digits, without zeros that say nothing: 1 of 1.00."""
    text = f"{value:f}" if value else "0"
    return text.rstrip("0").rstrip(".") if "." in text else text


class FieldColumn:
    """One field of the view, read from the column of its name: (rows,); `gaps` says where the last ones had none."""

    def __init__(self, field: FeatureField, dtype: str) -> None:
        self.name, self._dtype = field.name, dtype
        self.gaps: NDArray[np.bool_] = np.zeros(0, np.bool_)
        self._reader = FieldReader(field, dtype)
        self._place = f"column {shown(field.name)!r}"
        self._categories = pa.array(field.categories, pa.string())
        self._unknown = None if field.unknown is None else field.categories.index(field.unknown)
        given = field.default
        self._stand_in = (
            None if given is None else self._reader.stand_in(given, f"the default of {self._place}")
        )

    def read(self, batch: Batch) -> Tensor:
        """Return the numbers; those of rows at fault mean nothing."""
        array = batch.columns[self.name]
        self.gaps = empty = absent(array)
        values = (
            self._categories_of(array, empty, batch) if len(self._categories) else self._numbers(array, batch)
        )
        if empty.any():
            values = self._filled(values, empty, batch)
        return values

    def _filled(self, values: Tensor, empty: NDArray[np.bool_], batch: Batch) -> Tensor:
        values = values if values.flags.writeable else values.copy()
        values[empty] = 0 if self._stand_in is None else self._stand_in
        if self._stand_in is None:
            for at in np.flatnonzero(empty).tolist():
                batch.fault(at, CellEmpty(self.name, "fill it, or give the field a default"))
        return values

    def _categories_of(self, array: pa.Array, empty: NDArray[np.bool_], batch: Batch) -> Tensor:
        text = texts(array)
        found = pc.index_in(text, value_set=self._categories)
        unknown = absent(found) & ~empty
        numbers = found.fill_null(self._unknown or 0).to_numpy(zero_copy_only=False)
        if self._unknown is None:
            for at in np.flatnonzero(unknown).tolist():
                batch.fault(at, UnknownCategory(self._place, text[at].as_py(), self._categories.to_pylist()))
        result: Tensor = numbers.astype(numpy_dtype(self._dtype))
        return result

    def _numbers(self, array: pa.Array, batch: Batch) -> Tensor:
        if pa.types.is_decimal(array.type):
            array = array.cast(pa.float64()) if self._dtype not in INTEGERS else texts(array)
        try:
            values = quick_numbers(array, self._dtype)
        except (pa.ArrowInvalid, OverflowError):
            return self._each(array, batch)
        result = cast(values, self._dtype)
        bad = lost(values, result)
        if bad.any():
            for at in np.flatnonzero(bad).tolist():
                batch.fault(at, NotANumber(self._place, values[at].item(), self._dtype))
        return result

    def _each(self, array: pa.Array, batch: Batch) -> Tensor:
        result = np.zeros(len(array), numpy_dtype(self._dtype))
        for at, value in enumerate(array.to_pylist()):
            if value is not None:
                try:
                    result[at] = self._reader.value(value, self._place)
                except FeatureError as error:
                    batch.fault(at, error)
        return result


def quick_numbers(array: pa.Array, dtype: str) -> Tensor:
    """Return the numbers of a column, 0 where there is none.

    Raises: ArrowInvalid, a text that is no number; OverflowError, an integer that a float would round.
    """
    if is_text(array.type):
        array = array.cast(pa.float64())
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    values: Tensor = array.fill_null(0).to_numpy(zero_copy_only=False)
    if dtype in INTEGERS and values.dtype.kind == "f" and (np.abs(values) >= EXACT_INTEGER).any():
        raise OverflowError
    return values
