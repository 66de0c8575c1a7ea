"""The source that reads no key: values of the request -> rows; pure, no I/O."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.decoding import finite
from models.errors import InstanceIncomplete, NotANumber, shown
from models.fields import FieldReader, FieldsReader
from models.sources import InlineField, InlineSource
from models.tensors import Tensor, numpy_dtype
from models.values import NUMBERS, Fills, Raw, array, as_text


class InlineReader:
    """Values out of the instance; no command."""

    def __init__(self, source: InlineSource, dtype: str) -> None:
        self._dtype = dtype
        self._fields = [(field, FieldReader(field, dtype)) for field in source.fields]
        self._names = [field.name for field in source.fields]
        plain = not any(field.shape for field in source.fields)
        self._quick = FieldsReader(source.fields, dtype) if plain else None

    def row(self, instance: Mapping[str, Any], fills: Fills) -> Tensor:
        """One row: the fields along the last axis.

        Raises: InstanceIncomplete, UnknownCategory, NotANumber.
        """
        if self._quick is not None:
            values = [instance.get(name) for name in self._names]
            rows = None if bytes in map(type, values) else self._quick.columns([values])
            if rows is not None:
                row: Tensor = rows[0]
                return row
        parts = [self._part(field, reader, instance, fills) for field, reader in self._fields]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)

    def _part(
        self, field: InlineField, reader: FieldReader, instance: Mapping[str, Any], fills: Fills
    ) -> Tensor:
        """One field: (1,), or its shape."""
        value = instance.get(field.name)
        if value is None:
            return self._filled(field, reader, fills)
        place = f"{shown(field.name)!r} of the instance"
        if field.shape:
            return nested(value, field.shape, self._dtype, place)
        if not field.categories and not self._accepts(value):
            raise NotANumber(place, value, self._dtype)
        return array([reader.value(value, place)], self._dtype)

    def _filled(self, field: InlineField, reader: FieldReader, fills: Fills) -> Tensor:
        """The stand-in of a field that the instance does not give."""
        value = fills.get(field.name, field.default)
        if value is None:
            raise InstanceIncomplete(
                f"the instance gives no {shown(field.name)!r}; give it, or ask with `missing`",
                field=shown(field.name),
            )
        place = f"the stand-in for {shown(field.name)!r}"
        return np.full(field.shape or (1,), reader.stand_in(value, place), numpy_dtype(self._dtype))

    def _accepts(self, value: Raw) -> bool:
        """Whether a request value is of the input's kind: no text where a number belongs."""
        return isinstance(value, str if self._dtype == "string" else NUMBERS)


def nested(value: Raw, shape: tuple[int, ...], dtype: str, place: str) -> Tensor:
    """Return a nested list of the request as an array of exactly `shape`.

    Raises: InstanceIncomplete for another shape, NotANumber for what is none.
    """
    try:
        result = np.array(value, object if dtype == "string" else None)
    except (ValueError, RecursionError) as error:  # ragged, or deeper than an array can be
        raise InstanceIncomplete(f"{place} is ragged, not of shape {list(shape)}") from error
    if result.shape != shape:
        found, wanted = list(result.shape), list(shape)
        raise InstanceIncomplete(f"{place} has shape {found}, the model wants {wanted}")
    if dtype == "string":
        return texts(result, place)
    if result.dtype.kind not in "biuf":
        wrong = (one for one in np.array(value, object).flat if not isinstance(one, NUMBERS))
        raise NotANumber(place, next(wrong, value), dtype)
    return finite(result, dtype, place)


def texts(values: Tensor, place: str) -> Tensor:
    """Return an array of text.

    Raises: NotANumber, naming the first element that is none.
    """
    for value in values.flat:
        if not isinstance(value, str):
            raise NotANumber(place, value, "string")
    return np.array([as_text(value) for value in values.flat], object).reshape(values.shape)
