"""Sources whose values are text: hashes and JSON documents; replies -> rows, pure, no I/O.

A source's reader has three parts: `form` (what to ask for one key), `columns` (all rows at
once, None when any row is irregular, and always where it is not `columnar`) and `row` (one row,
naming what is wrong with it).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.decoding import Cell, checked
from models.encoding import Form
from models.errors import FeatureError, FieldMissing, Stale, WrongType, shown
from models.fields import FieldsReader
from models.sources import HashSource, JsonSource, TimedSource, json_path
from models.tensors import Tensor
from models.values import Place, Raw, unix_time

NO_TIME = "or leave max_age_seconds out of the view: nothing stands in for the time of features"
CLOCK_SKEW_SECONDS = 300.0  # two machines' clocks; a time further ahead is in another unit


@dataclass(frozen=True, slots=True)
class Age:
    """The age that a source allows, and the field that holds the time of writing."""

    field: str
    unit: str
    max_seconds: float

    def check(self, cell: Cell, written: Raw) -> None:
        """Refuse what is older than the source allows, or was written in the future.

        Raises: FieldMissing without a time, NotANumber for no time, Stale.
        """
        if written is None:
            raise FieldMissing(cell.key, self.field, NO_TIME)
        place = Place("field", self.field, f"key {shown(cell.key)!r}")
        age = age_of(cell, unix_time(written, self.unit, place))
        if not fresh(age, self.max_seconds):
            raise Stale(cell.key, age, self.max_seconds)


def age_of(cell: Cell, written: float) -> float:
    """Return how old the features of a row are in seconds, and keep it with the row; `written` is a Unix time."""
    age: float = cell.now - written
    cell.ages.append(age)
    return age


def fresh(age: float, max_seconds: float) -> bool:
    """Whether features of that age are taken: neither too old, nor from the future."""
    return -CLOCK_SKEW_SECONDS <= age <= max_seconds


def age_limit(source: TimedSource) -> Age | None:
    """Return the age that a source allows, None when any will do."""
    if source.time_field is None or source.max_age_seconds is None:
        return None
    return Age(source.time_field, source.time_unit, source.max_age_seconds)


class HashReader:
    """HMGET of the fields, and of the time when the source has an age limit; one reply: a list as long."""

    def __init__(self, source: HashSource, dtype: str) -> None:
        self._fields = FieldsReader(source.fields, dtype)
        self._age = age_limit(source)
        self.columnar = self._age is None
        self.names = [field.name for field in source.fields] + ([self._age.field] if self._age else [])
        self.form = Form("HMGET", *self.names)

    def columns(self, replies: Sequence[Any]) -> Tensor | None:
        """All rows at once: (B, fields)."""
        return None if self._age else self._fields.columns(replies)

    def row(self, cell: Cell) -> Tensor:
        """One row: (fields,)."""
        values = checked(cell, "HMGET", "a hash")
        if not isinstance(values, list) or len(values) != len(self.names):
            raise WrongType(cell.key, "a hash")
        if self._age:
            *values, written = values
            if written is not None or any(value is not None for value in values):
                self._age.check(cell, written)
        quick = self._fields.columns([values])
        return quick[0] if quick is not None else self._fields.row(values, cell.key, cell.fills)


class JsonReader:
    """JSON.GET of every path in one command; of several matches of a path the first counts.

    One reply: JSON text, an object path -> matches, or the matches of a single path.
    """

    def __init__(self, source: JsonSource, dtype: str) -> None:
        self._fields = FieldsReader(source.fields, dtype)
        self._age = age_limit(source)
        self.columnar = self._age is None
        self._paths = [field.where for field in source.fields]
        self._paths += [json_path(self._age.field)] if self._age else []
        self.form = Form("JSON.GET", *dict.fromkeys(self._paths))

    def columns(self, replies: Sequence[Any]) -> Tensor | None:
        """All rows at once: (B, fields)."""
        if self._age or not all(type(reply) is bytes for reply in replies):
            return None
        try:
            return self._fields.columns([self._values("", reply) for reply in replies])
        except FeatureError:
            return None

    def row(self, cell: Cell) -> Tensor:
        """One row: (fields,)."""
        reply = checked(cell, "JSON.GET", "a JSON document")
        values = [None] * len(self._paths) if reply is None else self._values(cell.key, reply)
        if self._age:
            *values, written = values
            if reply is not None:
                self._age.check(cell, written)
        quick = self._fields.columns([values])
        return quick[0] if quick is not None else self._fields.row(values, cell.key, cell.fills)

    def _values(self, key: str, reply: Raw) -> list[Raw]:
        """Return the first match of every path, None without one.

        Raises: WrongType, FeatureError for a document Python cannot read.
        """
        if not isinstance(reply, bytes | str):
            raise WrongType(key, "a JSON document")
        try:
            found = json.loads(reply)
        except (ValueError, RecursionError) as error:
            raise FeatureError(
                f"key {shown(key)!r} holds JSON that cannot be read: {shown(error)}", key=shown(key)
            ) from error
        found = {self._paths[0]: found} if isinstance(found, list) else found
        if not isinstance(found, dict):
            raise WrongType(key, "a JSON document")
        return [first(found.get(path)) for path in self._paths]


def first(matches: Raw) -> Raw:
    """Return the first match of a path, None without one."""
    return matches[0] if isinstance(matches, list) and matches else None
