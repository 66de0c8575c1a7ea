"""Rows in columns: keys in a column of a file, or whole instances; pyarrow is loaded when they are read."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from models.assembly import Plan
from models.errors import BadRequest, shown
from models.scanning import ENDED
from models.values import Missing
from server.batch.parts import Step
from server.batch.sources.gathering import gathered
from server.batch.sources.threads import beside

SUFFIXES = (".csv", ".parquet")


def has_columns(path: str) -> bool:
    """Whether a file has columns, by how its name ends."""
    return Path(path).suffix.lower() in SUFFIXES


@contextmanager
def arrow() -> Iterator[None]:
    """Import what needs pyarrow.

    Raises: BadRequest, it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise BadRequest(
            "CSV and Parquet files are read by the Python package 'pyarrow', which is not installed; "
            "run: pip install 'insitu[batch]'"
        ) from error


class ColumnKeys:
    """Keys in a column of a CSV or Parquet file; a file that was changed since is read anew."""

    strict = True

    def __init__(self, path: str, column: str | None) -> None:
        self._path, self._column = Path(path), column

    def steps(self, position: str) -> AsyncIterator[Step]:
        """Find keys from a position on.

        Raises: BadRequest, no such file or column, a key that is none, or pyarrow is not installed.
        """
        return gathered(beside(partial(self._read, position)), position, once=False)

    def _read(self, position: str) -> Iterator[Step]:
        if position == ENDED:
            return
        with arrow():
            from server.batch.sources.in_tables import KeyColumn, table_steps  # noqa: PLC0415  # an extra
            from server.batch.sources.tables import opened  # noqa: PLC0415  # an extra

        table = opened(self._path)
        yield from table_steps(self._path, table, KeyColumn(self._path, table, self._column), position)


class TableInstances:
    """Rows of a CSV or Parquet file as instances of a view; a file that was changed since is read anew.

    Values of CSV are text for placeholders (`007` stays what it is), numbers for numbers. Columns
    that the view does not read are passed over, and told once in the log.
    """

    strict = True

    def __init__(self, path: str, plan: Plan, missing: Missing = None) -> None:
        """Take the file, the view, and what stands in for absent values.

        Raises: BadRequest, the file's name says that it has no columns.
        """
        if not has_columns(path):
            raise BadRequest(
                f"instances are read from files whose names end in {' or '.join(SUFFIXES)}, not from {shown(path)!r}"
            )
        self._path, self._plan, self._missing = Path(path), plan, missing

    def steps(self, position: str) -> AsyncIterator[Step]:
        """Find instances from a position on.

        Raises: BadRequest, no such file, its columns are not those of the view, or pyarrow is not
                installed.
        """
        return beside(partial(self._read, position))

    def _read(self, position: str) -> Iterator[Step]:
        if position == ENDED:
            return
        with arrow():
            from server.batch.sources.in_tables import table_steps  # noqa: PLC0415  # an extra
            from server.batch.sources.instances import InstanceColumns  # noqa: PLC0415  # an extra
            from server.batch.sources.tables import opened  # noqa: PLC0415  # an extra

        table = opened(self._path)
        columns = InstanceColumns(self._path, table, self._plan, self._missing)
        yield from table_steps(self._path, table, columns, position)
