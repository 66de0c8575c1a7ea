"""Hashes of many keys at once: bytes of replies -> rows; pure, no I/O.

Two ways to ask: HMGET of the fields, or HGETALL, for which Redis needs a third of the time where
hashes are small and most of what they hold is wanted. Replies whose lines lie as those of the
first are read in columns, with pyarrow; others are parsed one by one.
"""

import sys
from collections.abc import Sequence
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from models.asking import PORTION_BYTES, Around, Asked, portions_of
from models.encoding import encoded
from models.fields import FieldsReader
from models.hash_places import Located, Pattern, Places, located, of_all, of_some
from models.replies import Found, errors_of, parsed
from models.sources import FeatureField, HashSource
from models.tensors import Tensor, numpy_dtype
from models.values import BOUNDS, EXACT_INTEGER, INTEGERS
from models.whole_hashes import WholeHash

COLUMN_BYTES = 1 << 30  # pyarrow counts the bytes of one array in 31 bits
FIELD_BYTES = 24  # of a reply, about: a short name, a number, and their lengths
UNWANTED = 3  # fields to one that is wanted: with more of them HGETALL does not pay
FEW_ROWS = 1024  # loading pyarrow takes a third of a second: fewer rows alone are not worth it
ASIDE_SHARE = 4  # nor where more than 1 row in 4 has its fields in another order
COMPACT = (
    b"listpack",
    b"ziplist",
)  # what Redis calls hashes of few short values: their order stays, their size is bounded
LOOK = ((b"HLEN",), (b"OBJECT", b"ENCODING"))


@cache
def arrow() -> bool:
    """Whether texts can be read in columns."""
    return find_spec("pyarrow") is not None


class HashBlock:
    """One hash source, read for many keys; `wide` is HGETALL, which somebody has to find worth while."""

    def __init__(self, source: HashSource, dtype: str) -> None:
        self.wide = False
        self.looks = len(LOOK)  # replies to `looked_at`, a key
        self.portion = max(1, PORTION_BYTES // (FIELD_BYTES * len(source.fields)))  # keys
        self._dtype, self._fields = dtype, source.fields
        self._names = [field.name.encode() for field in source.fields]
        self._whole = WholeHash(self._names)
        self._reader = FieldsReader(source.fields, dtype)
        self._some, self._all = Around.command("HMGET", *self._names), Around.command("HGETALL")
        self._pattern = of_some(len(self._names))

    def asked(self, keys: Sequence[str], _apart: bool) -> Asked:
        """Return what is asked for keys."""
        form = self._all if self.wide else self._some
        portions = [*map(form.joined, portions_of(keys, self.portion))]
        return Asked(portions, partial(self._read, len(keys), self.wide), self.wide)

    def looked_at(self, keys: Sequence[str]) -> bytes:
        """Return what is asked to see whether HGETALL is worth while for keys such as these."""
        return b"".join([encoded((*words, key)) for key in keys for words in LOOK])

    def judge(self, replies: Sequence[Any]) -> bool:
        """Choose the way by what came for `looked_at`; False while none of the keys is a hash."""
        seen = [
            (size, kind)
            for size, kind in zip(replies[::2], replies[1::2], strict=True)
            if isinstance(size, int) and size
        ]
        most = UNWANTED * len(self._names)
        self.wide = bool(seen) and all(size <= most and kind in COMPACT for size, kind in seen)
        return bool(seen)

    def _read(self, count: int, wide: bool, reply: bytearray) -> Found:
        """Read the replies to `count` keys."""
        few = count < FEW_ROWS and "pyarrow" not in sys.modules
        if not few and arrow() and len(reply) < COLUMN_BYTES:
            pattern = of_all(reply, count, self._names) if wide else self._pattern
            if pattern is not None and (found := self._in_columns(reply, count, pattern)) is not None:
                return found
        return self._each(parsed(reply, count), wide, few)

    def _in_columns(self, reply: bytearray, count: int, pattern: Pattern) -> Found | None:
        """Read replies that mostly are of one pattern; None when they are not."""
        parts = located(reply, count, pattern)
        if parts is None or not len(parts.rows):
            return None
        found = Found(*typed(self._columns(reply, parts.places, pattern), self._dtype))
        if parts.odd:
            found = self._with_odd(found, parts, count, pattern.named)
        found.pays = pattern.named and self._pays(len(pattern.parts) * count, found.aside, count)
        return found

    def _columns(self, reply: bytearray, places: Places, pattern: Pattern) -> Tensor:
        """Return the values of rows of one pattern as float64, (rows, fields); NaN for what is no value."""
        from models.text_columns import categories, numbers  # noqa: PLC0415  # pyarrow may be absent

        fields = [*zip(self._fields, pattern.order, strict=True)]
        plain = sorted(at for field, at in fields if not field.categories)
        if len(plain) == len(fields):
            read = numbers(reply, places)
            return read[:, pattern.order] if pattern.named else read
        result = np.empty(places.shape[:2])
        if plain:
            result[:, plain] = numbers(reply, places[:, plain])
        for field, at in fields:
            if field.categories:
                result[:, at] = categories(reply, places[:, at], *known(field))
        return result[:, pattern.order]

    def _with_odd(self, found: Found, parts: Located, count: int, wide: bool) -> Found:
        """Put the rows of one pattern and those that are parsed one by one into one."""
        odd = self._each([parsed(reply, 1)[0] for reply in parts.odd.values()], wide)
        whole = Found(
            np.zeros((count, len(self._names)), numpy_dtype(self._dtype)),
            np.zeros(count, np.bool_),
            odd.errors,
            odd.aside,
        )
        for rows, part in ((parts.rows, found), (list(parts.odd), odd)):
            whole.values[rows], whole.good[rows] = part.values, part.good
        return whole

    def _each(self, replies: Sequence[Any], wide: bool, few: bool = False) -> Found:
        """Read replies as Python has them; where they are `few`, it says nothing of how they lie."""
        rows = [*map(self._whole.chosen, replies)] if wide else replies
        values = np.zeros((len(rows), len(self._names)), numpy_dtype(self._dtype))
        good = np.array([type(row) is list and None not in row for row in rows], np.bool_)
        likely = np.flatnonzero(good)
        self._halved([rows[at] for at in likely.tolist()], likely, Found(values, good))
        aside = 0 if few else int(good.sum())
        fields = sum(len(reply) // 2 for reply in replies if isinstance(reply, list)) if wide else 0
        return Found(values, good, errors_of(replies), aside, wide and self._pays(fields, aside, len(rows)))

    def _halved(self, rows: Sequence[Any], at: Tensor, found: Found) -> None:
        """Read rows half by half, so that those which are no numbers cost only themselves."""
        if not rows:
            return
        whole = self._reader.columns(rows)
        if whole is not None:
            found.values[at] = whole
        elif len(rows) == 1:
            found.good[at] = False
        else:
            half = len(rows) // 2
            self._halved(rows[:half], at[:half], found)
            self._halved(rows[half:], at[half:], found)

    def _pays(self, fields: int, aside: int, count: int) -> bool:
        """Whether HGETALL was worth while for hashes that hold so many fields."""
        return fields <= UNWANTED * len(self._names) * count and aside * ASIDE_SHARE <= count


def known(field: FeatureField) -> tuple[list[bytes], int | None]:
    """Return the texts of a category, and which of them any other counts as."""
    unknown = None if field.unknown is None else field.categories.index(field.unknown)
    return [text.encode() for text in field.categories], unknown


def typed(values: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
    """Return float64 as the input takes it, and which rows it does take, (B,)."""
    if dtype not in INTEGERS:
        with np.errstate(over="ignore"):
            result = values.astype(numpy_dtype(dtype))
        return result, np.isfinite(result).all(axis=1)
    low, high = BOUNDS[dtype]
    whole = (
        (values == np.floor(values)) & (np.abs(values) < EXACT_INTEGER) & (values >= low) & (values <= high)
    )
    return np.where(whole, values, 0).astype(numpy_dtype(dtype)), whole.all(axis=1)
