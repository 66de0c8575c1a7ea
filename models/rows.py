"""The live rows of one request while their replies become tensors; pure, no I/O.

A source gives all rows at once where every reply is regular, else row by row: then a row that
cannot be read is out with its error, and the others go on.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from models.decoding import Cell
from models.errors import InsituError, WrongLength
from models.feast_reader import FeastReader
from models.features import InputView
from models.inline_source import InlineReader
from models.raw_sources import ListReader, VectorReader
from models.sources import FeastSource, HashSource, JsonSource, Keyed, ListSource, StreamSource, VectorSource
from models.stream_source import StreamReader
from models.tensors import Tensor
from models.text_sources import HashReader, JsonReader
from models.values import Fills, Missing

KeyedReader = HashReader | JsonReader | VectorReader | ListReader | StreamReader | FeastReader
Column = Tensor | list[Tensor | None]  # every row at once, or row by row: None where a row is out

READERS: dict[type, Callable[[Any, str], KeyedReader]] = {
    HashSource: HashReader,
    JsonSource: JsonReader,
    VectorSource: VectorReader,
    ListSource: ListReader,
    StreamSource: StreamReader,
    FeastSource: FeastReader,
}


def keyed_reader(source: Keyed, dtype: str) -> KeyedReader:
    """Return the reader of a source that reads a key."""
    return READERS[type(source)](source, dtype)


class Rows:
    """Rows, their replies, and what became of each: tensors, an error, names that were filled in."""

    def __init__(
        self,
        instances: Sequence[Any],
        keys: Sequence[Sequence[str]],
        replies: Sequence[Any],
        missing: Missing,
        now: float,
    ) -> None:
        self.count = len(keys)
        self.errors: dict[int, InsituError] = {}
        self._instances, self._keys, self._replies, self._now = instances, keys, replies, now
        self._width = len(replies) // self.count
        self.ages: list[float] = []
        self._fills = [Fills(missing) for _ in range(self.count)]

    def keyed(self, source: int, reader: KeyedReader) -> Column:
        """Read one source that has a key."""
        replies = self._replies[source :: self._width]
        whole = reader.columns(replies)
        if whole is not None:
            return whole
        if not reader.columnar:
            return self._each(lambda at: reader.row(self._cell(at, source)))
        return self._halved(source, reader, replies, range(self.count))

    def _halved(
        self, source: int, reader: KeyedReader, replies: Sequence[Any], rows: range
    ) -> list[Tensor | None]:
        """Read rows half by half, so that only the irregular ones are read one by one."""
        if len(rows) == 1:
            return [self._one(rows.start, lambda at: reader.row(self._cell(at, source)))]
        middle = (rows.start + rows.stop) // 2
        result: list[Tensor | None] = []
        for half in (range(rows.start, middle), range(middle, rows.stop)):
            part = reader.columns(replies[half.start : half.stop])
            result.extend(self._halved(source, reader, replies, half) if part is None else part)
        return result

    def inline(self, reader: InlineReader) -> Column:
        """Read one source of request values."""
        return self._each(lambda at: reader.row(self._instances[at], self._fills[at]))

    def joined(self, columns: Sequence[Column], view: InputView) -> Column:
        """Join the sources of one input along the last axis, in the shape that the view states."""
        whole = [column for column in columns if isinstance(column, np.ndarray)]
        if len(whole) == len(columns):
            return shaped(whole[0] if len(whole) == 1 else np.concatenate(whole, axis=-1), view)
        return self._each(lambda at: self._joined_row(columns, at, view))

    def _joined_row(self, columns: Sequence[Column], at: int, view: InputView) -> Tensor:
        parts = [part for column in columns if (part := column[at]) is not None]
        steps = {len(part) for part in parts if part.ndim > 1}
        if len(steps) > 1:
            found = " and ".join(f"{count} steps" for count in sorted(steps))
            raise WrongLength(", ".join(self._keys[at]), found, "sequences of one length")
        row = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        one: Tensor = shaped(row[None], view)[0]
        return one

    def _cell(self, at: int, source: int) -> Cell:
        key, reply = self._keys[at][source], self._replies[at * self._width + source]
        return Cell(key, reply, self._fills[at], self._now, self.ages)

    def _each(self, read: Callable[[int], Tensor]) -> list[Tensor | None]:
        return [self._one(at, read) for at in range(self.count)]

    def _one(self, at: int, read: Callable[[int], Tensor]) -> Tensor | None:
        """Read one row; None when it is out."""
        if at in self.errors:
            return None
        try:
            return read(at)
        except InsituError as error:
            self.errors[at] = error.bare()
            return None

    def good(self) -> list[int]:
        """Rows without an error."""
        return [at for at in range(self.count) if at not in self.errors]

    def filled(self) -> dict[int, list[str]]:
        """Names of the values that were stood in for, of the good rows that have any."""
        return {at: self._fills[at].names for at in self.good() if self._fills[at].names}


def shaped(rows: Tensor, view: InputView) -> Tensor:
    """Give rows the shape the view states, when it states one."""
    return rows if view.shape is None else rows.reshape(len(rows), *view.shape)


def stacked(arrays: Sequence[Tensor]) -> Tensor:
    """Stack rows; sequences of different lengths with zeros after the shorter: (B, longest, ...)."""
    longest = max(len(part) for part in arrays) if arrays[0].ndim else 0
    if all(len(part) == longest for part in arrays if part.ndim):
        return np.stack(arrays)
    result = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, part in enumerate(arrays):
        result[row, : len(part)] = part
    return result
