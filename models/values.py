"""One value of a row: text, JSON or request value -> number or text of an input's type.

A number is finite and fits the type without being rounded to an integer; everything else is
refused by name.
"""

import math
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from models.errors import NotANumber
from models.tensors import Tensor, numpy_dtype

Raw = Any  # a value as Redis or a request hands it over: bytes, text, number, list or None
Missing = float | Mapping[str, float | str] | None
TRUTHS = {"true": 1, "false": 0}
UNIX_SECONDS = {"s": 1.0, "ms": 1e-3}
TEXTS = (bytes, str)
WHOLE_NUMBERS = (int, np.integer, np.bool)
NUMBERS = (int, float, np.number, np.bool)
EXACT_INTEGER = 2**53  # from here on float64 no longer holds every integer
INTEGERS = frozenset(("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"))


def bounds(dtype: str) -> tuple[float, float]:
    """Return the least and the greatest number that a numeric type takes.

    A float takes what rounds to one of its finite numbers: half a step above the largest is out.
    """
    if dtype == "bool":
        return 0, 1
    if dtype in INTEGERS:
        return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    largest, below = (
        float(np.finfo(dtype).max),
        float(np.nextafter(np.finfo(dtype).max, np.dtype(dtype).type(0))),
    )
    top = sys.float_info.max if dtype == "float64" else math.nextafter(largest + (largest - below) / 2, 0)
    return -top, top


BOUNDS = {dtype: bounds(dtype) for dtype in (*INTEGERS, "float16", "float32", "float64")}


class Place:
    """Where a value was read, worded only when an error needs the words."""

    __slots__ = ("kind", "name", "whole")

    def __init__(self, kind: str, name: object, whole: str) -> None:
        self.kind, self.name, self.whole = kind, name, whole

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of {self.whole}"


class Fills:
    """What stands in for absent values of one row, and which values it stood in for.

    The request's `missing` (one number for all, or a value by name) goes before the view's
    default.
    """

    __slots__ = ("_missing", "names")

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


def as_text(value: Raw) -> str:
    """Return the text of a value; what has no UTF-8 form keeps its form in escapes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        return str(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list without an end
        return f"a very large {type(value).__name__}"


def number(value: Raw, dtype: str, place: object) -> float | int:
    """Return a finite number that fits the type.

    Raises: NotANumber, naming the place and the value.
    """
    try:
        result = integer(value) if dtype in INTEGERS else real(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise NotANumber(str(place), value, dtype) from error
    low, high = BOUNDS[dtype]
    if not low <= result <= high:  # also what is not finite
        raise NotANumber(str(place), value, dtype)
    return result


def real(value: Raw) -> float:
    """Return a float; Python's own `1_000` is no number in data."""
    kind = type(value)
    if kind is bytes:
        if b"_" in value:
            raise ValueError("underscore")
    elif kind is str:
        if "_" in value or not value.isascii():
            raise ValueError("underscore, or digits of another script")
    elif kind is not float and not isinstance(value, NUMBERS):
        raise TypeError("no number")
    return float(value)


def integer(value: Raw) -> int:
    """Return an exact integer: `7`, `7.0`, `true`; never a rounded one."""
    if isinstance(value, WHOLE_NUMBERS):
        return int(value)
    if isinstance(value, TEXTS):
        text = as_text(value).strip().lower()
        if text in TRUTHS:
            return TRUTHS[text]
        if text.isascii() and text.lstrip("+-").isdigit():
            return int(text)
    whole = real(value)
    if not whole.is_integer() or abs(whole) >= EXACT_INTEGER:
        raise ValueError("not an exact integer")
    return int(whole)


def array(values: list[Any], dtype: str) -> Tensor:
    """Return one row of an input: (len(values),)."""
    return np.array(values, dtype=numpy_dtype(dtype))


def unix_time(value: Raw, unit: str, place: object) -> float:
    """Return a stored time as Unix seconds: a number in `unit`, or ISO 8601 text.

    Raises: NotANumber, when it is neither.
    """
    try:
        seconds = real(value) * UNIX_SECONDS[unit]
    except (ValueError, TypeError, OverflowError):
        seconds = iso_time(value, place)
    if not math.isfinite(seconds):
        raise NotANumber(str(place), value, "time")
    return seconds


def iso_time(value: Raw, place: object) -> float:
    """Return an ISO 8601 text as Unix seconds; UTC where it names no zone.

    Raises: NotANumber, when it is none.
    """
    try:
        moment = datetime.fromisoformat(as_text(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise NotANumber(str(place), value, "time") from error
