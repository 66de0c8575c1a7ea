"""Columns of CSV and Parquet files, in batches; nothing holds a whole file. It needs pyarrow, an extra.

Cells of CSV are text, as they stand; Parquet keeps its types.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from models.errors import BadRequest, listed, shown
from server.batch.sources.files import REASON_CHARACTERS, name_of, reading, stamp_of
from server.batch.sources.gathering import STEP_ROWS

BLOCK_BYTES = 1 << 20  # of CSV text at a time; the longest row
BUFFER_BYTES = 1 << 20
STEP_VALUES = 1 << 18  # single values of one step, however deep in lists: some 5 MB as they wait in Redis
STEP_BYTES = 1 << 22  # of texts of one step
SEPARATORS = ";\t|"


class Table(Protocol):
    """A file of columns: their types by name, and its rows."""

    types: dict[str, Any]

    def batches(self, names: Sequence[str], skipped: int) -> Iterator[tuple[Any, float]]:
        """Give some columns of the rows after the first `skipped`, with the share of the file that is read."""


@contextmanager
def understood(path: Path, kind: str) -> Iterator[None]:
    """Turn what pyarrow and the system say of a file into one sentence.

    Raises: BadRequest.
    """
    try:
        with reading(path):
            yield
    except (pa.ArrowException, ValueError) as error:
        why = shown(str(error).replace("\n", " "), REASON_CHARACTERS)
        if "straddl" in why:  # pyarrow's word for a row that ends in no block
            why = f"a row is over {BLOCK_BYTES} bytes; is a quote left open?"
        raise BadRequest(f"{name_of(path)} cannot be read as {kind}: {why}") from error


class CsvTable:
    """A CSV file whose first line names the columns."""

    def __init__(self, path: Path) -> None:
        """Read the names of the columns.

        Raises: BadRequest.
        """
        self._path = path
        with understood(path, "CSV"), pa.OSFile(str(path)) as file:
            names = self._open(file, ()).schema.names
        once(path, names)
        self.types = dict.fromkeys(names, pa.string())
        others = [one for one in SEPARATORS if one in names[0]]
        if len(names) == 1 and others:
            raise BadRequest(
                f"{name_of(path)} has one column, {shown(names[0])!r}: its columns are parted by "
                f"{others[0]!r}, not by commas; write it with commas"
            )

    def batches(self, names: Sequence[str], skipped: int) -> Iterator[tuple[Any, float]]:
        """Give some columns, as text."""
        size = max(1, self._path.stat().st_size)
        with understood(self._path, "CSV"), pa.OSFile(str(self._path)) as file:
            for batch in self._open(file, names):
                share = min(1.0, file.tell() / size)
                if skipped < batch.num_rows:
                    yield batch.slice(skipped), share
                skipped = max(0, skipped - batch.num_rows)

    def _open(self, file: Any, names: Sequence[str]) -> Any:
        return csv.open_csv(
            file,
            read_options=csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                include_columns=list(names),
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )


class ParquetTable:
    """A Parquet file; its row groups are read page by page."""

    def __init__(self, path: Path) -> None:
        """Read the names and types of the columns.

        Raises: BadRequest.
        """
        self._path = path
        with understood(path, "Parquet"), self._open() as file:
            schema = file.schema_arrow
        once(path, schema.names)
        self.types = dict(zip(schema.names, schema.types, strict=True))

    def batches(self, names: Sequence[str], skipped: int) -> Iterator[tuple[Any, float]]:
        """Give some columns; whole row groups before the first row wanted are not read."""
        with understood(self._path, "Parquet"), self._open() as file:
            rows = file.metadata.num_rows
            groups, done = list(range(file.num_row_groups)), 0
            while groups and done + file.metadata.row_group(groups[0]).num_rows <= skipped:
                done += file.metadata.row_group(groups.pop(0)).num_rows
            for batch in file.iter_batches(
                step_rows(file.metadata, names), groups, list(names), use_threads=False
            ):
                left = max(0, skipped - done)
                done += batch.num_rows
                if left < batch.num_rows:
                    yield batch.slice(left), done / max(1, rows)

    def _open(self) -> Any:
        return pq.ParquetFile(self._path, pre_buffer=False, buffer_size=BUFFER_BYTES)


def step_rows(metadata: Any, names: Sequence[str]) -> int:
    """Return how many rows of some columns of a Parquet file one step has: fewer where rows are large, one at least."""
    rows, whole, within = STEP_ROWS, set(names), tuple(f"{name}." for name in names)
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        columns = [group.column(at) for at in range(group.num_columns)]
        read = [
            one for one in columns if one.path_in_schema in whole or one.path_in_schema.startswith(within)
        ]
        values = sum(one.num_values for one in read)
        texts = sum(one.total_uncompressed_size for one in read if one.physical_type == "BYTE_ARRAY")
        for most, found in ((STEP_VALUES, values), (STEP_BYTES, texts)):
            if found > most * max(1, group.num_rows) // STEP_ROWS:
                rows = min(rows, most * group.num_rows // found)
    return max(1, rows)


def once(path: Path, names: Sequence[str]) -> None:
    """Refuse a file that names a column twice: nobody can say which one was meant.

    Raises: BadRequest.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadRequest(f"{name_of(path)} names columns twice: {listed(twice)}; rename one of each")


def opened(path: Path) -> Table:
    """Return a file of columns by how its name ends.

    Raises: BadRequest, no such file, or none that can be read.
    """
    if stamp_of(path) is None:
        raise BadRequest(f"{name_of(path)} is no file but a pipe; columns are read from files")
    return ParquetTable(path) if path.suffix.lower() == ".parquet" else CsvTable(path)
