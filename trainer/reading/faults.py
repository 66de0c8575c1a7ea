"""Rows that cannot be used: which, how many of each kind, and the first one in words."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from models.errors import InsituError
from trainer.errors import TooManyBadRows


class Faults:
    """The unusable rows of one file or function, `name`; a row counts once, by its first fault."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self._rows: set[int] = set()
        self._first: tuple[int, str] | None = None

    def add(self, row: int, error: InsituError) -> None:
        """Note what is wrong with a row, counted from 0; people read it counted from 1."""
        if row in self._rows:
            return
        self._rows.add(row)
        self.counts[error.code] += 1
        if self._first is None or row < self._first[0]:
            self._first = row, f"{self.name}, row {row + 1}: {error}"

    def good(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Return which of the rows from `start` to before `stop` can be used."""
        result = np.ones(stop - start, np.bool_)
        result[[row - start for row in self._rows if start <= row < stop]] = False
        return result

    def check(self, rows: int, limit: float) -> None:
        """Refuse more unusable rows of `rows` than the share `limit`.

        Raises: TooManyBadRows.
        """
        if len(self._rows) > limit * rows or len(self._rows) == rows:
            example = self._first[1] if self._first else "no row"
            raise TooManyBadRows(self.counts, rows, limit, example)
