"""Instances: rows of a table as placeholder and inline values of a feature view. It needs pyarrow, an extra."""

import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any

import pyarrow as pa

from models.assembly import Plan
from models.errors import BadRequest, listed, shown
from models.sources import InlineField, InlineSource
from models.values import Missing
from server.batch.parts import Part
from server.batch.sources.column_types import all_finite, innermost, is_number, is_text, nests
from server.batch.sources.files import name_of
from server.batch.sources.tables import Table

log = logging.getLogger(__name__)

SLICE_ROWS = 128  # made into objects at a time: some milliseconds where a row has lists
INTEGER = re.compile(r"[+-]?[0-9]{1,18}")  # as JSON holds it


class Kind(Enum):
    """What a column of the view has to hold."""

    PLACEHOLDER = "text or integers"
    TEXT = "text"
    NUMBER = "numbers"
    LIST = "lists of numbers or text"


def wanted(plan: Plan) -> dict[str, Kind]:
    """Return what an instance of a view may give, by name."""
    kinds = {
        field.name: kind_of(field, view.dtype or "float32")
        for view in plan.view.inputs
        for source in view.sources
        if isinstance(source, InlineSource)
        for field in source.fields
    }
    return kinds | dict.fromkeys(plan.placeholders, Kind.PLACEHOLDER)


def kind_of(field: InlineField, dtype: str) -> Kind:
    """Return what a field of the request holds."""
    if field.shape:
        return Kind.LIST
    return Kind.TEXT if field.categories or dtype == "string" else Kind.NUMBER


def needed(plan: Plan, missing: Missing) -> list[str]:
    """Return what every instance must give: nothing stands in for it."""
    filled = missing if isinstance(missing, Mapping) else {}
    bare = [one.name for one in plan.inline if one.default is None and one.name not in filled]
    return [*plan.placeholders, *(bare if missing is None or isinstance(missing, Mapping) else ())]


class InstanceColumns:
    """The columns of a table that a view reads; an empty cell is an absent value."""

    def __init__(self, path: Path, table: Table, plan: Plan, missing: Missing) -> None:
        """Check the columns against the view; those that it does not read are passed over.

        Raises: BadRequest, one is missing, or holds what the view does not take.
        """
        self._kinds = wanted(plan)
        self._text = path.suffix.lower() != ".parquet"
        for name in needed(plan, missing):
            if name not in table.types:
                raise absent(path, name, table.types)
        self.names = [name for name in table.types if name in self._kinds]
        if not self.names:
            raise BadRequest(
                f"{name_of(path)} has no column that the model reads; it reads {listed(self._kinds)}, "
                f"the file has {listed(table.types)}"
            )
        for name in self.names:
            self._check(path, name, table.types[name])
        if others := [name for name in table.types if name not in self._kinds]:
            log.warning("%s: the model does not read the columns %s", name_of(path), listed(others))

    def _check(self, path: Path, name: str, kind: Any) -> None:
        want = self._kinds[name]
        if self._text and want is Kind.LIST:
            raise BadRequest(
                f"column {shown(name)!r} of {name_of(path)}: the model reads lists there, "
                "which CSV has not; use Parquet"
            )
        if not self._text and not pa.types.is_null(kind) and not holds(want, kind):
            raise BadRequest(
                f"column {shown(name)!r} of {name_of(path)} holds {shown(str(kind))}, "
                f"the model reads {want.value} there; write it with that type"
            )

    def part(self, batch: Any, row: int) -> Part:
        """Return the rows of a batch."""
        columns = [self._values(name, batch.column(name)) for name in self.names]
        rows = zip(*columns, strict=True)
        pairs = ((self.names, values) for values in rows)
        instances = [
            {name: one for name, one in zip(*pair, strict=True) if one is not None} for pair in pairs
        ]
        return Part((), instances, row)

    def _values(self, name: str, column: Any) -> Sequence[Any]:
        # In slices: pyarrow lets no other thread run while it makes objects of one.
        slices = (column.slice(at, SLICE_ROWS) for at in range(0, len(column), SLICE_ROWS))
        values: list[Any] = [one for piece in slices for one in piece.to_pylist()]
        if self._text:
            return [*map(as_number, values)] if self._kinds[name] is Kind.NUMBER else values
        return values if all_finite(column) else [worded(one) for one in values]


def absent(path: Path, name: str, names: Iterable[str]) -> BadRequest:
    """Return the refusal of a file without a column that is needed."""
    near = get_close_matches(name.lower(), {one.lower(): one for one in names}, n=1)
    spelt = next((one for one in names if near and one.lower() == near[0]), None)
    cure = f"is {shown(spelt)!r} meant? rename it" if spelt else f"its columns are {listed(names)}"
    return BadRequest(f"{name_of(path)} has no column {shown(name)!r}, which the model needs; {cure}")


def holds(want: Kind, kind: Any) -> bool:
    """Whether a type of Parquet holds what the view takes."""
    if want is Kind.LIST:
        return nests(kind) and (is_text(innermost(kind)) or is_number(innermost(kind)))
    if want is Kind.NUMBER:
        return is_number(kind)
    return is_text(kind) or (want is Kind.PLACEHOLDER and pa.types.is_integer(kind))


def as_number(text: str | None) -> float | str | None:
    """Return a cell of CSV as a number; text that is none stays text, and is its row's error later."""
    if text is None:
        return None
    if INTEGER.fullmatch(text):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) and "_" not in text else text


def worded(value: Any) -> Any:
    """Return a value with NaN and infinities as text, which JSON keeps and no model takes for a number."""
    if isinstance(value, list):
        return [worded(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
