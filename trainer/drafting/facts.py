"""What is known of a column once all of its cells were seen: counts, values, ends; part by part."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.number_marks import marked
from trainer.reading.cells import is_number, is_text, texts
from trainer.reading.files import is_number_text

VALUES_KEPT = 10_000
SPOILT_MOST = 0.1  # of the cells of a column of numbers may be something else
NUMBERS_LEAST = 10  # different ones; with fewer they may be codes
UNLIKE_LEAST = 0.9  # of the cells of a column of names are there once, where rows are there twice by mistake
NO_VALUES = ("NA", "N/A", "n/a", "na", "NaN", "nan", "null", "NULL", "None", "none", "?", "-")
DATES = re.compile(r"\d{1,2}([./-])\d{1,2}\1(\d{4}|\d{2})(\D.*)?")
ID_NAMES = re.compile(r"(^|_)(id|key|uuid|guid|nr|no|index)$|^unnamed: ?0$|^$", re.IGNORECASE)


@dataclass(slots=True)
class Facts:
    """One column. `values` counts each text it holds, None once there are too many to keep."""

    name: str
    rows: int = 0
    missing: int = 0
    words: set[str] = field(default_factory=set)
    """Texts it holds that mean that there is no value."""
    stored: bool = False
    """Whether it is a field of hashes: only what is not there is missing there, every text is read as a value."""
    void: Counter[str] = field(default_factory=Counter)
    """Of a field of hashes, the texts that stand for no value, empty ones too: no numbers, but categories."""
    values: Counter[str] | None = field(default_factory=Counter)
    numbers: bool = True
    odd: str = ""
    """The first text by which its cells are known to be no finite numbers."""
    whole: bool = True
    low: float = np.inf
    high: float = -np.inf
    climbs: bool = True
    """Whether each number is one more than that of the row before."""
    last: float | None = None
    """The number seen last."""

    def add(self, array: pa.Array) -> None:
        """Look at some more cells."""
        self.rows += len(array)
        column = texts(array)
        words = pc.is_in(pc.utf8_trim_whitespace(column), value_set=pa.array(NO_VALUES))
        if self.stored:
            self.void.update(counted(column.filter(pc.or_(words, pc.equal(column, "")))))
        if is_text(array.type) and pc.any(words).as_py():
            self.words.update(pc.unique(column.filter(words)).to_pylist())
            column = column.filter(pc.invert(words))
        column = column.drop_null()
        column = column.filter(pc.not_equal(column, "")) if len(column) else column
        self.missing += len(array) - len(column)
        self._count(column)
        if self.numbers and len(column):
            self._measure(column)

    @property
    def unread(self) -> int:
        """Rows that have a text among the numbers of a field of hashes, so that training cannot read it."""
        return self.void.total() if self.numbers else 0

    @property
    def categories(self) -> Counter[str]:
        """How often each text is there that is one: in hashes also those that stand for no value."""
        return (self.values or Counter()) + self.void

    def _count(self, column: pa.Array) -> None:
        if self.values is None:
            return
        self.values.update(counted(column))
        if len(self.values) > VALUES_KEPT:
            self.values = None

    def _measure(self, column: pa.Array) -> None:
        try:
            bare = pc.utf8_trim_whitespace(column)
            numbers = bare.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            self.numbers, every = False, column.to_pylist()
            self.odd = next((text for text in every if not is_plain(text)), every[0])
            return
        finite = np.isfinite(numbers)
        self.numbers = bool(finite.all())
        if not self.numbers:
            self.odd = column[int(finite.argmin())].as_py()
        else:
            goes_on = self.last is None or numbers[0] == self.last + 1
            self.climbs = self.climbs and goes_on and bool((np.diff(numbers) == 1).all())
            self.last = float(numbers[-1])
            self.low, self.high = min(self.low, float(numbers.min())), max(self.high, float(numbers.max()))
            self.whole = self.whole and bool((numbers == np.floor(numbers)).all())

    @property
    def known(self) -> int:
        """Cells with a value."""
        return self.rows - self.missing

    @property
    def distinct(self) -> int:
        """Different values; VALUES_KEPT + 1 stands for more."""
        return VALUES_KEPT + 1 if self.values is None else len(self.values)

    @property
    def unlike(self) -> bool:
        """Whether no two cells are alike, as far as values are kept."""
        return self.missing == 0 and (self.values is None or self.distinct == self.rows)

    @property
    def longest(self) -> int:
        """Characters of the longest text that is kept."""
        return max(map(len, self.values or ()), default=0)

    @property
    def numbered(self) -> bool:
        """Whether it counts the rows: whole numbers without a gap, from 0 or 1 or in the order of the rows.

        Ages of 18 to 77, each there once, are numbers to learn from.
        """
        spans = self.whole and self.high - self.low + 1 == self.rows and (self.low in (0, 1) or self.climbs)
        return self.numbers and self.unlike and spans and self.rows > 2

    @property
    def names_rows(self) -> bool:
        """Whether it says which row it is, and nothing about it."""
        return self.unlike and (self.numbered or self._named)

    @property
    def named_again(self) -> int:
        """Cells that name the row of another cell, where nearly every cell names a row of its own; else 0."""
        again = 0 if self.values is None else self.known - self.distinct
        return again if self._named and self.known > 2 and self.distinct >= UNLIKE_LEAST * self.known else 0

    @property
    def _named(self) -> bool:
        """Whether it is called as names of rows are, and may be one."""
        return ID_NAMES.search(self.name) is not None and (self.whole or not self.numbers)

    @property
    def timed(self) -> bool:
        """Whether its texts are dates or times."""
        some = list(self.values or ())[:20]
        return not self.numbers and bool(some) and all(is_time(text) for text in some)

    @property
    def endless(self) -> bool:
        """Whether its texts are numbers, some of them not finite."""
        return not self.numbers and all(is_number_text(text) for text in (*(self.values or ()), self.odd))

    @property
    def spoilt(self) -> int:
        """Cells that are no numbers, where nearly all are; 0 where the column is of another kind."""
        if self.numbers or self.values is None or len(self.values) <= NUMBERS_LEAST:
            return 0
        odd = sum(count for text, count in self.values.items() if not is_plain(text))
        return odd if odd <= SPOILT_MOST * self.known else 0

    @property
    def marked(self) -> bool:
        """Whether its texts are numbers in all but their marks, such as 1,5 or 12 %."""
        some = [text for text in self.values or () if not is_plain(text)][:20] or [self.odd]
        return not self.numbers and all(marked(text) and not is_time(text) for text in some)


def counted(column: pa.Array) -> dict[str, int]:
    """Return how often each text is there."""
    return {one["values"]: one["counts"] for one in pc.value_counts(column).to_pylist()}


def is_time(text: str) -> bool:
    """Whether a text is a date or a time: by ISO 8601, or as 31.12.2026 and 12/31/26."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return DATES.fullmatch(text.strip()) is not None
    return True


def stand_in(facts: Facts) -> int:
    """Return a whole number that no cell holds, below the least of them."""
    low = facts.low if isfinite(facts.low) else 0.0
    return -1 if low >= 0 else int(np.floor(low)) - 1


def by_count(values: Counter[str]) -> Sequence[tuple[str, int]]:
    """Return values with their counts in the order a person would list them: numbers by size, texts by letter."""
    return sorted(
        values.items(), key=lambda one: (0, float(one[0]), "") if is_plain(one[0]) else (1, 0.0, one[0])
    )


def is_plain(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def describable(kind: pa.DataType) -> bool:
    """Whether a column's cells are numbers or texts, which a field can be."""
    return is_number(kind) or is_text(kind)
