"""The fields of one source compiled for the input's type: values of rows -> numbers.

Columns of well-formed text are read at once; whatever is irregular goes value by value, where it
is filled in or refused by name. Both ways give the same numbers.
"""

from array import array as packed
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

from models.decoding import all_finite
from models.errors import FieldMissing, KeyMissing, UnknownCategory, shown
from models.sources import FeatureField
from models.tensors import Tensor, numpy_dtype
from models.values import BOUNDS, INTEGERS, Fills, Place, Raw, array, as_text, number

PLAIN_CHARACTERS = b"0123456789+-.eE,"
LISTS = {list}
# An array of these takes what is too large as infinite, without a warning.
CODES = {"float32": "f", "float64": "d"}
IRREGULAR = (TypeError, ValueError, KeyError, OverflowError)


class FieldReader:
    """One field; a category is looked up, never searched for."""

    def __init__(self, field: FeatureField, dtype: str) -> None:
        self.name, self.default, self.dtype = field.name, field.default, dtype
        self.categories = field.categories
        self._numbers = {text: index for index, text in enumerate(field.categories)}
        self._known: dict[Raw, int] = {text.encode(): at for text, at in self._numbers.items()}
        self._known |= self._numbers
        self._unknown = None if field.unknown is None else self._numbers[field.unknown]

    def value(self, value: Raw, place: object) -> Any:
        """Return a value that is there as the input takes it: category number, text or number.

        Raises: UnknownCategory, NotANumber.
        """
        if self.categories:
            return self._category(as_text(value), place)
        return as_text(value) if self.dtype == "string" else number(value, self.dtype, place)

    def stand_in(self, value: float | str, place: object) -> Any:
        """Return a stand-in as the input takes it; for a category its text or its number.

        Raises: UnknownCategory, NotANumber.
        """
        if not self.categories or isinstance(value, str):
            return self.value(value, place)
        index = number(value, "int64", place)
        if not 0 <= index < len(self.categories):
            raise UnknownCategory(str(place), value, self.categories)
        return index

    def _category(self, text: str, place: object) -> int:
        index = self._numbers.get(text, self._unknown)
        if index is None:
            raise UnknownCategory(str(place), text, self.categories)
        return index

    def column(self, values: Sequence[Raw]) -> list[Any]:
        """Read this field of many rows at once.

        Raises: one of IRREGULAR, when any of them needs a closer look.
        """
        if not self.categories:
            return regular_numbers(values, self.dtype)
        if self._unknown is None:
            return [self._known[value] for value in values]
        if set(map(type, values)) - {bytes, str}:
            raise ValueError("an absent value is no unknown category")
        return [self._known.get(value, self._unknown) for value in values]


def regular_numbers(values: Sequence[Raw], dtype: str) -> list[Any]:
    """Read decimal texts, or numbers.

    Raises: TypeError or ValueError, when any of them is something else.
    """
    if dtype in ("string", "bool"):
        raise ValueError("not the regular form")
    try:
        text = b",".join(values)
    except TypeError:
        if set(map(type, values)) - ({int} if dtype in INTEGERS else {int, float}):
            raise
        return list(map(int if dtype in INTEGERS else float, values))
    if dtype not in INTEGERS and (read := plain_numbers(text, len(values))) is not None:
        return read
    if b"_" in text:
        raise ValueError("underscore")
    return list(map(int if dtype in INTEGERS else float, values))


def plain_numbers(text: bytes, count: int) -> list[Any] | None:
    """Read `count` numbers between commas, None when any is written otherwise than in JSON.

    A JSON parser reads them in a sixth of the time of float(), to the same numbers; -0 loses its sign.
    """
    if text.translate(None, PLAIN_CHARACTERS):
        return None
    try:
        read: list[Any] = orjson.loads(b"[%b]" % text)
    except ValueError:
        return None
    return read if len(read) == count else None


def numbers_within(values: Sequence[Raw], dtype: str) -> list[Any] | None:
    """Read decimal texts, or numbers, that fit the type; None when any of them does not."""
    try:
        read = regular_numbers(values, dtype)
    except IRREGULAR:
        return None
    low, high = BOUNDS[dtype]
    return read if all(low <= value <= high for value in read) else None


class FieldsReader:
    """The fields of one source, in order."""

    def __init__(self, fields: Sequence[FeatureField], dtype: str) -> None:
        self.dtype = dtype
        self.fields = [FieldReader(field, dtype) for field in fields]
        self._alike = not any(field.categories for field in fields)
        self._widths = {len(fields)}
        self._code = CODES.get(dtype)

    def columns(self, rows: Sequence[Any]) -> Tensor | None:
        """Read many rows at once, (B, fields); None when any value of them is irregular."""
        if set(map(type, rows)) != LISTS or set(map(len, rows)) != self._widths:
            return None
        try:
            result = self._read(rows)
        except IRREGULAR:
            return None
        return result if result.dtype.kind != "f" or all_finite(result) else None

    def _read(self, rows: Sequence[list[bytes]]) -> Tensor:
        dtype = numpy_dtype(self.dtype)
        if self._alike:
            flat = list(chain.from_iterable(rows)) if len(rows) > 1 else rows[0]
            numbers = regular_numbers(flat, self.dtype)
            if self._code is not None:
                return np.frombuffer(packed(self._code, numbers), dtype).reshape(len(rows), -1)
            with np.errstate(over="ignore"):
                return np.fromiter(numbers, dtype, len(flat)).reshape(len(rows), -1)
        every = [one.column([row[at] for row in rows]) for at, one in enumerate(self.fields)]
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(np.array(every, dtype).T)

    def row(self, values: Sequence[Raw], key: str, fills: Fills) -> Tensor:
        """Read one row value by value, (fields,); None among the values is filled in.

        Raises: KeyMissing when nothing is there, FieldMissing, UnknownCategory, NotANumber.
        """
        whole = f"key {shown(key)!r}"
        given = [value for value in values if value is not None]
        quick = numbers_within(given, self.dtype) if self._alike else None
        read = iter(quick or ())
        result = []
        for field, value in zip(self.fields, values, strict=True):
            if value is None:
                result.append(self._filled(field, key, fills, missing=not given))
            elif quick is not None:
                result.append(next(read))
            else:
                result.append(field.value(value, Place("field", field.name, whole)))
        return array(result, self.dtype)

    def _filled(self, field: FieldReader, key: str, fills: Fills, missing: bool) -> Any:
        stand_in = fills.get(field.name, field.default)
        if stand_in is None:
            raise KeyMissing(key, fields=True) if missing else FieldMissing(key, field.name)
        return field.stand_in(stand_in, Place("the stand-in for field", field.name, f"key {shown(key)!r}"))
