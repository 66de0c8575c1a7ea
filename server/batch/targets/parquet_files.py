"""Parquet files, by pyarrow where it is installed; the number in the graph's own type."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import BadRequest
from server.batch.scored import Ranking, Scored
from server.batch.targets.in_files import names_of

GROUP_ROWS = 1 << 17  # of a row group, which is what is in memory at a time
GROUP_BYTES = 64 << 20
MICROSECONDS = 1_000_000


class ParquetFile:
    """Columns of text, an integer, a UTC time, and the number."""

    def __init__(self, ranking: Ranking) -> None:
        """Take what is written.

        Raises: BadRequest, there is nothing here that writes Parquet.
        """
        self._arrow, self._parquet = arrow("pyarrow"), arrow("pyarrow.parquet")
        # Readers know no Parquet of two-byte numbers yet; four bytes hold them as they are.
        self._dtype = np.promote_types(ranking.dtype, np.float32)
        self._schema = self._arrow.schema([(name, self._type(name)) for name in names_of(ranking)])

    def _type(self, name: str) -> Any:
        if name in ("key", "label", "answer"):
            return self._arrow.string()
        if name == "version":
            return self._arrow.int64()
        return (
            self._arrow.timestamp("us", tz="UTC")
            if name == "time"
            else self._arrow.from_numpy_dtype(self._dtype)
        )

    def write(self, path: Path, scored: Sequence[Scored]) -> None:
        """Write the rows of a part."""
        with self._parquet.ParquetWriter(path, self._schema) as file:
            for one in scored:
                file.write_table(self._table(one))

    def _table(self, scored: Scored) -> Any:
        columns = [self._arrow.array(self._column(name, scored)) for name in self._schema.names]
        return self._arrow.table(columns, self._schema.names).cast(self._schema)

    def _column(self, name: str, scored: Scored) -> Any:
        if name in ("version", "time"):
            at = np.datetime64(round(scored.at * MICROSECONDS), "us")
            return np.full(len(scored), scored.manifest.version if name == "version" else at)
        if name == "answer":
            return [*map(bytes.decode, scored.answers)]
        if name in ("key", "label"):
            return [*(scored.keys if name == "key" else scored.labels or ())]
        return scored.numbers.astype(self._dtype)

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Write all rows, a group at a time."""
        with self._parquet.ParquetWriter(path, self._schema) as file:
            for group in self._groups(parts):
                file.write_table(group, row_group_size=GROUP_ROWS)

    def _groups(self, parts: Sequence[Path]) -> Iterator[Any]:
        """Return the rows of parts in tables of bounded size."""
        tables: list[Any] = []
        for part in parts:
            with self._parquet.ParquetFile(part) as file:
                tables.append(file.read())
            full = sum(len(one) for one in tables) >= GROUP_ROWS
            if full or sum(one.nbytes for one in tables) >= GROUP_BYTES:
                yield self._arrow.concat_tables(tables)
                tables = []
        if tables:
            yield self._arrow.concat_tables(tables)


def arrow(module: str) -> Any:
    """Return a module of pyarrow, which a server does without.

    Raises: BadRequest, it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise BadRequest("Parquet files need pyarrow: `pip install 'insitu[batch]'`, or write CSV") from error
