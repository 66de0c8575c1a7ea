"""What a door asks of the core, and what it gets; no transport, no wire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol, overload

from models.errors import InsituError
from models.values import Missing


@dataclass(slots=True)
class Ask:
    """One request: rows of one model, named by keys, by instances or by tensors.

    Nobody changes one; it is not frozen because that costs more than all the rest of it. A door may
    ask for several callers at once: then there is a row for each, and they are counted as so many.
    `share` is the version that a traffic rule gives all its keys, where the door has looked already.

    Units: deadline, seconds of `time.monotonic`; None takes the server's own limit.
    """

    model: str
    reference: str | int | None = None
    keys: Sequence[str] | None = None
    instances: Sequence[Mapping[str, Any]] | None = None
    inputs: Mapping[str, Any] | None = None
    missing: Missing = None
    raw: bool = False
    deadline: float | None = None
    callers: int = 1
    share: int | None = None


class Row:
    """The answer for one row: an error, or a body worded by the model's task.

    `filled` names the values that were stood in for. `version` is that of the row where it differs
    from the answer's, as under a traffic rule. Made once a row, so what is mostly the same stands
    on the class.
    """

    error: InsituError | None = None
    filled: Sequence[str] = ()
    body: Mapping[str, Any] = MappingProxyType({})
    version: int | None = None

    def __init__(self, key: str | None = None, error: InsituError | None = None) -> None:
        self.key = key
        if error is not None:
            self.error = error


class Columns(Protocol):
    """The outputs of rows that are all well, not worded yet."""

    def bodies(self) -> Sequence[Mapping[str, Any]]:
        """Return the body of each row."""


class KeyedRows(Sequence[Row]):
    """A row for each key, made when one is looked at; where all are well, `columns` stand for what they say."""

    __slots__ = ("_rows", "columns", "keys")

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = keys
        self.columns: Columns | None = None
        self._rows: list[Row] | None = None

    @property
    def untouched(self) -> bool:
        """Whether nothing has been said of any row yet."""
        return self._rows is None

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        if self._rows is None:
            self._rows = [*map(Row, self.keys)]
            if self.columns is not None:
                for row, body in zip(self._rows, self.columns.bodies(), strict=True):
                    row.body = body
                self.columns = None  # who looks at rows may change them
        return self._rows[at]


@dataclass(slots=True)
class Answer:
    """Rows in the order of the request, and the version that answered them."""

    model: str
    version: int
    rows: Sequence[Row]
