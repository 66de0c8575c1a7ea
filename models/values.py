"""One value of a row: text, JSON or request value -> number of an input's type."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from models.errors import NotANumber, UnknownCategory, shown
from models.features import FeatureField
from models.tensors import Tensor, numpy_dtype

Raw = Any  # a value as Redis or a request hands it over: bytes, text, number, list or None
Missing = float | Mapping[str, float | str] | None
TRUTHS = {"true": 1, "false": 0}
UNIX_SECONDS = {"s": 1.0, "ms": 1e-3}


class Fills:
    """What stands in for absent values of one row, and which values it stood in for.

    The request's `missing` (one number for all, or a value by name) goes before the view's
    default.
    """

    def __init__(self, missing: Missing) -> None:
        self._missing = missing
        self.names: list[str] = []

    def get(self, name: str, default: float | str | None) -> float | str | None:
        """Return the value for an absent one and remember its name; None when there is none."""
        value: float | str | None = default
        if isinstance(self._missing, Mapping):
            value = self._missing.get(name, default)
        elif self._missing is not None:
            value = self._missing
        if value is not None:
            self.names.append(name)
        return value


def field_value(field: FeatureField, value: Raw, dtype: str, place: str) -> Raw:
    """Return one field's value as the input takes it: category number, text or number.

    Raises: UnknownCategory, NotANumber.
    """
    if field.categories:
        return category(field, value, place)
    return as_text(value) if dtype == "string" else number(value, dtype, place)


def filled_value(field: FeatureField, value: Raw, dtype: str, place: str) -> Raw:
    """Return a stand-in as the input takes it: a number stays one also for a category field.

    Raises: UnknownCategory, NotANumber.
    """
    if field.categories and isinstance(value, str):
        return category(field, value, place)
    return as_text(value) if dtype == "string" else number(value, dtype, place)


def category(field: FeatureField, value: Raw, place: str) -> int:
    """Return the number of a text in the field's categories."""
    text = as_text(value)
    if text in field.categories:
        return field.categories.index(text)
    if field.unknown is None:
        raise UnknownCategory(place, text, field.categories)
    return field.categories.index(field.unknown)


def as_text(value: Raw) -> str:
    """Return the text of a value; bytes that are no UTF-8 keep their form in escapes."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def number(value: Raw, dtype: str, place: str) -> float | int:
    """Return a finite number that fits the type.

    Raises: NotANumber, naming the place and the value.
    """
    try:
        result = integer(value) if np.dtype(dtype).kind in "iub" else real(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise NotANumber(place, shown(value), dtype) from error
    if not fits(result, dtype):
        raise NotANumber(place, shown(value), dtype)
    return result


def real(value: Raw) -> float:
    """Return a float; Python's own `1_000` is no number in data."""
    text = as_text(value)
    if "_" in text:
        raise ValueError("underscore")
    return float(text) if isinstance(value, bytes | str) else float(value)


def integer(value: Raw) -> int:
    """Return an exact integer: `7`, `7.0`, `true`; never a rounded one."""
    text = as_text(value).strip().lower()
    if text in TRUTHS:
        return TRUTHS[text]
    if text.lstrip("+-").isdecimal():
        return int(text)
    whole = real(text)
    if not whole.is_integer():
        raise ValueError("not an integer")
    return int(whole)


def fits(value: float | int, dtype: str) -> bool:
    """Whether a number is finite and inside the range of the type."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return value in (0, 1)
    limits = np.iinfo(kind) if kind.kind in "iu" else np.finfo(kind)
    return math.isfinite(value) and float(limits.min) <= value <= float(limits.max)


def array(values: list[Any], dtype: str) -> Tensor:
    """Return one row of an input: (len(values),)."""
    return np.array(values, dtype=numpy_dtype(dtype))


def unix_time(value: Raw, unit: str, place: str) -> float:
    """Return a stored time as Unix seconds: a number in `unit`, or ISO 8601 text.

    Raises: NotANumber, when it is neither.
    """
    text = as_text(value)
    try:
        return real(text) * UNIX_SECONDS[unit]
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise NotANumber(place, shown(value), "time") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
