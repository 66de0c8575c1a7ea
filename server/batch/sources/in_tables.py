"""Rows of a table walked in steps, and keys in one of its columns. It needs pyarrow, an extra."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from models.errors import BadRequest, listed, shown
from models.scanning import ENDED
from server.batch.parts import Part, Step
from server.batch.sources.checking import checked
from server.batch.sources.column_types import is_bytes, is_text
from server.batch.sources.files import name_of, stamp_of
from server.batch.sources.gathering import STEP_ROWS
from server.batch.sources.positions import facts_of, written
from server.batch.sources.tables import Table


class Reading(Protocol):
    """What is made of the rows of a table."""

    @property
    def names(self) -> Sequence[str]:
        """The columns it reads."""

    def part(self, batch: Any, row: int) -> Part:
        """Return the rows of a batch; `row` is the number of rows before it."""


def table_steps(path: Path, table: Table, made: Reading, position: str) -> Iterator[Step]:
    """Walk the rows of a table from a position on; anew when the file was changed since.

    Raises: BadRequest.
    """
    stamp, facts = stamp_of(path), facts_of(position)
    anew = position != "" and facts.get("file") != stamp
    row = 0 if anew else int(facts.get("row", 0))
    for batch, share in table.batches(made.names, row):
        for at in range(0, batch.num_rows, STEP_ROWS):
            piece = batch.slice(at, STEP_ROWS)
            part = made.part(piece, row)
            row += piece.num_rows
            yield Step(part, written(row=row, file=stamp), share, anew)
            anew = False
    yield Step(Part(), ENDED, 1.0, anew)


class KeyColumn:
    """One column of keys; empty cells are passed over."""

    def __init__(self, path: Path, table: Table, column: str | None) -> None:
        """Take the column.

        Raises: BadRequest, none is named, there is no such column, or it holds no text.
        """
        self._path = path
        if column is None or column not in table.types:
            said = (
                "has columns; name the one that holds the keys"
                if column is None
                else f"has no column {shown(column)!r}"
            )
            raise BadRequest(f"{name_of(path)} {said}; its columns are {listed(table.types)}")
        kind = table.types[column]
        if not (is_text(kind) or is_bytes(kind) or pa.types.is_null(kind)):
            raise BadRequest(
                f"column {shown(column)!r} of {name_of(path)} holds {shown(str(kind))}, but keys are text"
            )
        self.names = (column,)

    def part(self, batch: Any, row: int) -> Part:
        """Return the keys of a batch.

        Raises: BadRequest, naming the row that is no key.
        """
        column = batch.column(0)
        plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        cells = plain.cast(pa.large_binary()).to_pylist()
        keys = checked(
            [cell or b"" for cell in cells], lambda at: f"row {row + at + 1} of {name_of(self._path)}"
        )
        return Part([key for key in keys if key.strip()])
