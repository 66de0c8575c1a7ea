"""Dataset: rows of real data and how an application would keep them in Redis."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """A JSON document with members by name."""

    members: Mapping[str, Any]

    def __bool__(self) -> bool:
        return bool(self.members)


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a stream, oldest first: fields with their texts."""

    steps: tuple[Mapping[str, str], ...]

    def __bool__(self) -> bool:
        return bool(self.steps)


Value = Mapping[str, str] | bytes | tuple[bytes, ...] | JsonDocument | Entries


@dataclass(frozen=True, slots=True)
class Stored:
    """One key: a hash of text, a string or a list of bytes, a JSON document, a stream."""

    key: str
    value: Value


Row = tuple[Stored, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set that comes with the product.

    `layout` says in one line a key template what lies there; `rows` gives every row anew, the same
    ones each time.
    """

    name: str
    description: str
    attribution: str
    layout: tuple[str, ...]
    count: int
    rows: Callable[[], Iterator[Row]]
    package: str = ""
    """The Python package whose data file is read, where the data are not shipped here."""
