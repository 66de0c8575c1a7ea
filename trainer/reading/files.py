"""CSV and Parquet files, read in batches of some of their columns; nothing holds a whole file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from models.errors import shown
from models.recipe_data import CsvRows
from models.tensors import Tensor
from trainer.errors import BadData
from trainer.reading.source import BATCH_ROWS, kinds_of

BLOCK_BYTES = 1 << 20  # of CSV text at a time
BUFFER_BYTES = 1 << 20
BEGINNING_BYTES = 1 << 16  # enough for a line of names
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
PATH_CHARACTERS = 240
CURES = {
    "utf-?8": "save it as UTF-8",
    r"Expected \d+ columns": "give every row as many cells as the first line, and quotes to those with a separator",
}
NO_ARRAYS: Mapping[str, Tensor] = MappingProxyType({})


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Turn what pyarrow and the system say of a file into one sentence.

    Raises: BadData.
    """
    name = shown(str(path), PATH_CHARACTERS)
    try:
        yield
    except UnicodeEncodeError as error:
        raise BadData(
            f"{name} cannot be opened: its name is no text in UTF-8; rename the file, or its folder",
            path=name,
        ) from error
    except (pa.ArrowException, ValueError) as error:
        why = str(error).replace("\n", " ")[:240]
        cure = next(
            (f"; {words}" for sign, words in CURES.items() if re.search(sign, why, re.IGNORECASE)), ""
        )
        raise BadData(f"{name} cannot be read as {kind}: {why}{cure}", path=name) from error
    except OSError as error:
        why = error.strerror or str(error).replace("\n", " ")[:240]
        raise BadData(f"{name} cannot be read: {why}", path=name) from error


def found(path: Path) -> Path:
    """Return the path of a file that is there.

    Raises: BadData, nothing there, a directory, or an empty file.
    """
    name = shown(str(path), PATH_CHARACTERS)
    if not path.exists():
        raise BadData(f"{name} is not there; data.path is seen from the recipe's own folder", path=name)
    if not path.is_file():
        raise BadData(f"{name} is no file but a directory; name one file in it", path=name)
    if path.stat().st_size == 0:
        raise BadData(f"{name} is empty", path=name)
    return path


class CsvFile:
    """A text file of columns; every cell is text, as it would be in a hash."""

    whole = NO_ARRAYS

    def __init__(self, path: Path, separator: str = ",", missing: Sequence[str] = ()) -> None:
        """Read the names of the columns.

        Raises: BadData.
        """
        self._path, self._separator, self._missing = found(path), separator, ["", *missing]
        self.name = path.name
        with reading(path, "CSV"):
            if first_bytes(path).startswith(UTF_16):
                raise ValueError("it is UTF-16, not UTF-8")
            self.kinds = dict.fromkeys(kinds_of(self._open(()).schema, self.name), pa.string())
        check_header(self.name, list(self.kinds), separator)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Give the rows of some columns, in order, a part at a time.

        Raises: BadData.
        """
        with reading(self._path, "CSV"):
            yield from self._open(names)

    def _open(self, names: Sequence[str]) -> csv.CSVStreamingReader:
        return csv.open_csv(
            pa.input_stream(str(self._path), compression="detect"),
            read_options=csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(delimiter=self._separator, newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                include_columns=list(names),
                column_types=dict.fromkeys(names, pa.string()),
                null_values=self._missing,
                strings_can_be_null=True,
            ),
        )


def first_bytes(path: Path) -> bytes:
    """Return the beginning of a text file, unpacked."""
    with pa.input_stream(str(path), compression="detect") as file:
        beginning: bytes = file.read(BEGINNING_BYTES)
    return beginning


def check_header(name: str, columns: Sequence[str], separator: str) -> None:
    """Refuse a first line that names no columns.

    Raises: BadData.
    """
    if any(is_number_text(column) for column in columns):
        raise BadData(
            f"{name} begins with data, not with the names of its columns ({shown(', '.join(columns))}); "
            "put a line with the names first"
        )
    others = [other for other in (";", "\t", ",", "|") if other != separator and other in columns[0]]
    if len(columns) == 1 and others:
        raise BadData(
            f"{name} has one column, {shown(columns[0])!r}, between {separator!r}; "
            f"set data.separator: {others[0]!r}"
        )


def is_number_text(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


class ParquetFile:
    """A Parquet file; its row groups are read page by page."""

    whole = NO_ARRAYS

    def __init__(self, path: Path) -> None:
        """Read the names and types of the columns.

        Raises: BadData.
        """
        self._path = found(path)
        self.name = path.name
        with reading(path, "Parquet"):
            self.kinds = kinds_of(self._open().schema_arrow, self.name)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Give the rows of some columns, in order, a part at a time.

        Raises: BadData.
        """
        with reading(self._path, "Parquet"), self._open() as file:
            yield from file.iter_batches(BATCH_ROWS, columns=list(names), use_threads=False)

    def _open(self) -> pq.ParquetFile:
        return pq.ParquetFile(self._path, pre_buffer=False, buffer_size=BUFFER_BYTES)


def open_csv(data: CsvRows, path: Path) -> CsvFile:
    """Open a CSV file as a recipe says.

    Raises: BadData.
    """
    return CsvFile(path, data.separator, data.missing)
