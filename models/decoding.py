"""One source: its Redis command, and its replies made into arrays; pure, no I/O.

Each kind of source has a class here with three steps: `command` (what to ask for one key),
`columns` (all rows at once, None when any row is irregular) and `row` (one row, naming what is
wrong with it). Rows cost one call together while they are regular, and one each when not.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.errors import (
    FeatureError,
    FieldMissing,
    InstanceIncomplete,
    KeyMissing,
    NotANumber,
    SourceUnsupported,
    Stale,
    WrongLength,
    WrongType,
    shown,
)
from models.features import (
    FeatureField,
    HashSource,
    InlineSource,
    JsonSource,
    Keyed,
    ListSource,
    TimedSource,
    VectorSource,
)
from models.tensors import Tensor, elements, numpy_dtype
from models.values import (
    Fills,
    Raw,
    array,
    as_text,
    field_value,
    filled_value,
    number,
    unix_time,
)

Command = tuple[str | bytes | int, ...]


@dataclass(slots=True)
class Cell:
    """One source of one row: where it was read, what came back, what may stand in."""

    key: str
    reply: Any
    fills: Fills
    now: float


def checked(cell: Cell, wanted: str) -> Raw:
    """Return the reply unless Redis refused the command.

    Raises: WrongType, SourceUnsupported, FeatureError for any other refusal.
    """
    if not isinstance(cell.reply, Exception):
        return cell.reply
    text = str(cell.reply)
    # RedisJSON words it "Existing key has wrong Redis type", Redis itself "WRONGTYPE ..."
    if text.startswith("WRONGTYPE") or "wrong Redis type" in text or "wrong kind" in text:
        raise WrongType(cell.key, wanted)
    if "unknown command" in text:
        raise SourceUnsupported("JSON.GET")
    raise FeatureError(f"key {shown(cell.key)!r} cannot be read: {shown(text)}", key=shown(cell.key))


def check_age(source: TimedSource, cell: Cell, written: Raw) -> None:
    """Refuse what is older than the source allows.

    Raises: FieldMissing without a time, NotANumber for no time, Stale.
    """
    if source.max_age_seconds is None or source.time_field is None:
        return
    if written is None:
        raise FieldMissing(cell.key, source.time_field)
    place = f"field {source.time_field!r} of key {shown(cell.key)!r}"
    age = cell.now - unix_time(written, source.time_unit, place)
    if age > source.max_age_seconds:
        raise Stale(cell.key, age, source.max_age_seconds)


def field_values(fields: Sequence[FeatureField], values: Sequence[Any], dtype: str, cell: Cell) -> list[Any]:
    """Return the numbers of one row's fields, stand-ins where a value is None.

    Raises: KeyMissing when nothing is there, FieldMissing, UnknownCategory, NotANumber.
    """
    absent = all(value is None for value in values)
    result = []
    for field, value in zip(fields, values, strict=True):
        place = f"field {field.name!r} of key {shown(cell.key)!r}"
        if value is not None:
            result.append(field_value(field, value, dtype, place))
            continue
        stand_in = cell.fills.get(field.name, field.default)
        if stand_in is None:
            raise KeyMissing(cell.key, fields=True) if absent else FieldMissing(cell.key, field.name)
        result.append(filled_value(field, stand_in, dtype, place))
    return result


class HashReader:
    """HMGET of the fields, and of the time when the source has an age limit."""

    def __init__(self, source: HashSource, dtype: str) -> None:
        self.source, self.dtype = source, dtype
        names = [field.name for field in source.fields]
        self.timed = source.max_age_seconds is not None
        self.names = (*names, source.time_field or "") if self.timed else tuple(names)
        plain = not self.timed and not any(field.categories for field in source.fields)
        self.regular = plain and dtype in ("float32", "float64")

    def command(self, key: str) -> Command:
        """One reply: a list as long as the fields."""
        return ("HMGET", key, *self.names)

    def columns(self, replies: Sequence[Any]) -> Tensor | None:
        """All rows at once: (B, fields)."""
        if not self.regular:
            return None
        try:
            flat = [value for reply in replies for value in reply]
            if b"_" in b"".join(flat):
                return None
            result = np.array(list(map(float, flat)), numpy_dtype(self.dtype))
        except (TypeError, ValueError):
            return None
        return result.reshape(len(replies), -1) if np.isfinite(result).all() else None

    def row(self, cell: Cell) -> Tensor:
        """One row: (fields,)."""
        values = checked(cell, "a hash")
        if self.timed:
            *values, written = values
            if written is not None or any(value is not None for value in values):
                check_age(self.source, cell, written)
        return array(field_values(self.source.fields, values, self.dtype, cell), self.dtype)


class JsonReader:
    """JSON.GET of every path in one command."""

    def __init__(self, source: JsonSource, dtype: str) -> None:
        self.source, self.dtype = source, dtype
        self.paths = [field.where for field in source.fields]
        self.timed = source.max_age_seconds is not None
        if self.timed and source.time_field is not None:
            time = source.time_field
            self.paths.append(time if time.startswith("$") else f"$.{time}")

    def command(self, key: str) -> Command:
        """One reply: JSON text, an object path -> matches, or the matches of a single path."""
        return ("JSON.GET", key, *dict.fromkeys(self.paths))

    def columns(self, _replies: Sequence[Any]) -> Tensor | None:
        """JSON is parsed row by row."""
        return None

    def row(self, cell: Cell) -> Tensor:
        """One row: (fields,)."""
        reply = checked(cell, "a JSON document")
        found = json.loads(reply) if reply is not None else {}
        if isinstance(found, list):
            found = {self.paths[0]: found}
        values = [self.first(found.get(path)) for path in self.paths]
        if self.timed:
            *values, written = values
            if reply is not None:
                check_age(self.source, cell, written)
        return array(field_values(self.source.fields, values, self.dtype, cell), self.dtype)

    def first(self, matches: Raw) -> Raw:
        """Return the first match of a path, None without one."""
        return matches[0] if matches else None


class VectorReader:
    """GET of a string of exactly the declared bytes."""

    def __init__(self, source: VectorSource, dtype: str) -> None:
        self.source, self.dtype = source, dtype
        self.stored = numpy_dtype(source.dtype)
        self.size = elements(source.shape) * self.stored.itemsize

    def command(self, key: str) -> Command:
        """One reply: bytes."""
        return ("GET", key)

    def columns(self, replies: Sequence[Any]) -> Tensor | None:
        """All rows at once: (B, *shape)."""
        if not all(type(reply) is bytes and len(reply) == self.size for reply in replies):
            return None
        flat = np.frombuffer(b"".join(replies), self.stored)
        result = flat.astype(numpy_dtype(self.dtype), copy=False)
        if not np.isfinite(result).all():
            return None
        return result.reshape(len(replies), *self.source.shape)

    def row(self, cell: Cell) -> Tensor:
        """One row: the declared shape."""
        reply = checked(cell, "a string of raw numbers")
        if reply is None:
            fill = cell.fills.get(self.source.key, self.source.default)
            if fill is None:
                raise KeyMissing(cell.key)
            value = number(fill, self.dtype, f"the default of key {shown(cell.key)!r}")
            return np.full(self.source.shape, value, numpy_dtype(self.dtype))
        if len(reply) != self.size:
            wanted = f"{self.size} ({self.source.dtype} {list(self.source.shape)})"
            raise WrongLength(cell.key, f"{len(reply)} bytes", wanted)
        result = np.frombuffer(reply, self.stored).reshape(self.source.shape)
        return finite(result, self.dtype, f"key {shown(cell.key)!r}")


class ListReader:
    """LRANGE of the last steps."""

    def __init__(self, source: ListSource, dtype: str) -> None:
        self.source, self.dtype = source, dtype
        self.stored = numpy_dtype(source.dtype)
        self.size = elements(source.shape) * self.stored.itemsize

    def command(self, key: str) -> Command:
        """One reply: a list of at most `last` entries, oldest first."""
        return ("LRANGE", key, -self.source.last, -1)

    def columns(self, _replies: Sequence[Any]) -> Tensor | None:
        """Rows differ in length: read one by one."""
        return None

    def row(self, cell: Cell) -> Tensor:
        """One row: (steps, *shape), `last` steps when padded."""
        entries = checked(cell, "a list")
        if not entries:
            return self.padded(self.absent(cell))
        steps = self.raw(entries, cell) if self.source.encoding == "raw" else self.text(entries, cell)
        result = steps.reshape(len(entries), *self.source.shape)
        return self.padded(finite(result, self.dtype, f"key {shown(cell.key)!r}"))

    def absent(self, cell: Cell) -> Tensor:
        """One step of the stand-in."""
        fill = cell.fills.get(self.source.key, self.source.default)
        if fill is None:
            raise KeyMissing(cell.key)
        value = number(fill, self.dtype, f"the default of key {shown(cell.key)!r}")
        return np.full((1, *self.source.shape), value, numpy_dtype(self.dtype))

    def raw(self, entries: Sequence[bytes], cell: Cell) -> Tensor:
        """Entries of raw numbers, every one of the declared size."""
        for step, entry in enumerate(entries):
            if len(entry) != self.size:
                wanted = f"{self.size} ({self.source.dtype} {list(self.source.shape)})"
                raise WrongLength(cell.key, f"{len(entry)} bytes in entry {step}", wanted)
        return np.frombuffer(b"".join(entries), self.stored)

    def text(self, entries: Sequence[bytes], cell: Cell) -> Tensor:
        """Entries of decimal numbers, every one of the declared count."""
        wanted = elements(self.source.shape)
        values: list[float | int] = []
        for step, entry in enumerate(entries):
            words = as_text(entry).replace(",", " ").split()
            if len(words) != wanted:
                raise WrongLength(cell.key, f"{len(words)} numbers in entry {step}", str(wanted))
            place = f"entry {step} of key {shown(cell.key)!r}"
            values += [number(word, self.source.dtype, place) for word in words]
        return np.array(values, self.stored)

    def padded(self, steps: Tensor) -> Tensor:
        """Fill up to `last` steps where the source pads."""
        short = self.source.last - len(steps)
        if self.source.pad == "none" or not short:
            return steps
        fill = np.full((short, *steps.shape[1:]), self.source.pad_value, steps.dtype)
        return np.concatenate((fill, steps) if self.source.pad == "left" else (steps, fill))


class InlineReader:
    """Values out of the instance; no command."""

    def __init__(self, source: InlineSource, dtype: str) -> None:
        self.source, self.dtype = source, dtype

    def row(self, instance: Mapping[str, Any], fills: Fills) -> Tensor:
        """One row: the fields along the last axis.

        Raises: InstanceIncomplete, UnknownCategory, NotANumber.
        """
        parts = []
        for field in self.source.fields:
            value = instance.get(field.name)
            given = value is not None
            value = value if given else fills.get(field.name, field.default)
            if value is None:
                raise InstanceIncomplete(f"the instance gives no {field.name!r}", field=field.name)
            parts.append(self.part(field, field.shape, value, given))
        return np.concatenate(parts, axis=-1)

    def part(self, field: FeatureField, shape: tuple[int, ...], value: Raw, given: bool) -> Tensor:
        """One field: (1,), or its shape."""
        place = f"{field.name!r} of the instance"
        if not shape:
            read: Callable[..., Any] = field_value if given else filled_value
            if given and not field.categories and not self.accepts(value):
                raise NotANumber(place, value, self.dtype)
            return array([read(field, value, self.dtype, place)], self.dtype)
        if not given:
            return np.full(shape, number(value, self.dtype, place), numpy_dtype(self.dtype))
        return nested(value, shape, self.dtype, place)

    def accepts(self, value: Raw) -> bool:
        """Whether a request value is of the input's kind: no text where a number belongs."""
        return isinstance(value, str if self.dtype == "string" else int | float)


def nested(value: Raw, shape: tuple[int, ...], dtype: str, place: str) -> Tensor:
    """Return a nested list of the request as an array of exactly `shape`.

    Raises: InstanceIncomplete for another shape, NotANumber for what is none.
    """
    try:
        result = np.array(value)
    except ValueError as error:
        raise InstanceIncomplete(f"{place} is ragged, not of shape {list(shape)}") from error
    if result.shape != shape:
        found, wanted = list(result.shape), list(shape)
        raise InstanceIncomplete(f"{place} has shape {found}, the model wants {wanted}")
    if result.dtype.kind not in "biuf":
        raise NotANumber(place, value, dtype)
    return finite(result, dtype, place)


def finite(values: Tensor, dtype: str, place: str) -> Tensor:
    """Return an array cast to the input's type, every element finite and in range.

    Raises: NotANumber, naming the first element that is not.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        result = values.astype(numpy_dtype(dtype), copy=False)
    bad = ~np.isfinite(result) if result.dtype.kind == "f" else result != values
    if bad.any():
        at = int(np.argmax(bad.reshape(-1)))
        raise NotANumber(f"element {at} of {place}", values.reshape(-1)[at], dtype)
    return result


READERS: dict[type, Callable[[Any, str], "KeyedReader"]] = {
    HashSource: HashReader,
    JsonSource: JsonReader,
    VectorSource: VectorReader,
    ListSource: ListReader,
}
KeyedReader = HashReader | JsonReader | VectorReader | ListReader


def keyed_reader(source: Keyed, dtype: str) -> KeyedReader:
    """Return the reader of a source that reads a key."""
    return READERS[type(source)](source, dtype)
