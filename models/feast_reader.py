"""The source of features that Feast has written: replies -> rows, pure, no I/O.

A reader as in `models/text_sources.py`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.decoding import Cell, checked, finite
from models.errors import NotANumber, WrongLength, WrongType, shown
from models.feast_errors import EntityMissing, FeatureMissing, WrongFeature
from models.feast_keys import EntityForm, EntityTemplate, feature_field, time_field
from models.feast_values import Malformed, seconds_of, value_of
from models.fields import FieldReader, FieldsReader
from models.sources import FeastField, FeastSource
from models.tensors import Tensor, elements, numpy_dtype
from models.text_sources import Age
from models.values import Place, Raw, array, as_text

WANTED = "a hash of Feast"
PLAIN = {int, float}  # what the numbers of a list are read as


class FeastReader:
    """HMGET of the features, and of the time when the source has an age limit; one reply: a list as long."""

    def __init__(self, source: FeastSource, dtype: str) -> None:
        self._source, self._dtype = source, dtype
        self._fields = [(field, FieldReader(field, dtype)) for field in source.fields]
        plain = not any(field.shape for field in source.fields)
        self._quick = FieldsReader(source.fields, dtype) if plain else None
        limit = source.max_age_seconds
        self._time = f"_ts:{source.view}"
        self._age = None if limit is None else Age(self._time, "s", limit)
        self.columnar = plain and self._age is None
        names = [feature_field(source.view, field.name) for field in source.fields]
        names += [] if self._age is None else [time_field(source.view)]
        self._width = len(names)
        self.form = EntityForm(EntityTemplate(source), "HMGET", *names)

    def columns(self, replies: Sequence[Any]) -> Tensor | None:
        """All rows at once: (B, fields)."""
        if self._quick is None or self._age is not None or not all(type(reply) is list for reply in replies):
            return None
        try:
            return self._quick.columns([[*map(value_of, reply)] for reply in replies])
        except Malformed:
            return None

    def row(self, cell: Cell) -> Tensor:
        """One row: the features along the last axis."""
        replies = checked(cell, "HMGET", WANTED)
        if not isinstance(replies, list) or len(replies) != self._width:
            raise WrongType(cell.key, WANTED)
        there = any(reply is not None for reply in replies)
        if self._age is not None:
            *replies, written = replies
            if there:
                self._age.check(cell, self._written(cell, written))
        values = [
            self._value(cell, one, reply) for (one, _), reply in zip(self._fields, replies, strict=True)
        ]
        quick = None if self._quick is None else self._quick.columns([values])
        if quick is not None:
            row: Tensor = quick[0]
            return row
        pairs = zip(self._fields, values, strict=True)
        parts = [self._part(cell, *one, value, there) for one, value in pairs]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    def _written(self, cell: Cell, reply: Raw) -> float | None:
        """Return when the features were written, in Unix seconds; None where nothing says it.

        Raises: WrongFeature.
        """
        try:
            return None if reply is None else seconds_of(reply)
        except Malformed as error:
            raise WrongFeature(cell.key, self._source.view, self._time, str(error)) from error

    def _value(self, cell: Cell, field: FeastField, reply: Raw) -> Raw:
        """Return the value of a feature, None for null.

        Raises: WrongFeature.
        """
        try:
            value = value_of(reply)
        except Malformed as error:
            raise WrongFeature(cell.key, self._source.view, field.name, str(error)) from error
        if value is None or isinstance(value, list) == bool(field.shape):
            return value
        reason = "is no list, and the view gives it a shape; take the shape out"
        if isinstance(value, list):
            reason = f"is a list of {len(value)}; give the field `shape: [{len(value)}]`"
        raise WrongFeature(cell.key, self._source.view, field.name, reason)

    def _part(self, cell: Cell, field: FeastField, reader: FieldReader, value: Raw, there: bool) -> Tensor:
        """One feature: (1,), or its shape."""
        place = Place("feature", f"{self._source.view}:{field.name}", f"key {shown(cell.key)!r}")
        if value is None:
            return self._filled(cell, field, reader, there, place)
        if field.shape:
            return self._list(cell, field, value, str(place))
        return array([reader.value(value, place)], self._dtype)

    def _filled(
        self, cell: Cell, field: FeastField, reader: FieldReader, there: bool, place: object
    ) -> Tensor:
        """The stand-in of a feature that is null or was never written."""
        value = cell.fills.get(field.name, field.default)
        if value is None:
            if not there:
                raise EntityMissing(cell.key, self._source.project, self._source.view)
            raise FeatureMissing(cell.key, self._source.view, field.name)
        number = reader.stand_in(value, f"the stand-in for {place}")
        return np.full(field.shape or (1,), number, numpy_dtype(self._dtype))

    def _list(self, cell: Cell, field: FeastField, values: list[Raw], place: str) -> Tensor:
        """One list in its shape.

        Raises: WrongLength, NotANumber.
        """
        if len(values) != elements(field.shape):
            found = f"{len(values)} elements in feature {self._source.view}:{field.name}"
            raise WrongLength(cell.key, found, f"{elements(field.shape)} ({list(field.shape)})")
        if self._dtype == "string":
            return np.array([*map(as_text, values)], object).reshape(field.shape)
        if not set(map(type, values)) <= PLAIN:
            raise NotANumber(place, next(one for one in values if type(one) not in PLAIN), self._dtype)
        return finite(np.array(values).reshape(field.shape), self._dtype, place)
