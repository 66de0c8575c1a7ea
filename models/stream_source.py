"""Sources that are streams: the last entries as steps of a sequence; replies -> rows, pure, no I/O.

A reader as in `models/text_sources.py`. An entry is an id, `MILLISECONDS-NUMBER`, and fields with their
values one after the other: [b"1795350590000-0", [b"temp", b"21.5", b"load", b"0.7"]]. Clients of a
cluster make a mapping of the fields; of a field that an entry has twice the last one counts either way.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from models.decoding import Cell, checked
from models.encoding import Form
from models.errors import KeyMissing, WrongType, shown
from models.fields import FieldReader, FieldsReader
from models.raw_sources import padded
from models.sources import StreamSource
from models.stream_errors import EntryFieldMissing, IdWithoutTime, SequenceStale
from models.tensors import Tensor
from models.text_sources import age_of, fresh
from models.values import Place, Raw, array

EARLIEST_MS = 10**12  # September 2001: no stream is older, and a Unix time in seconds is far below it
Step = list[Raw]  # the values of one entry in the order of the fields, None for one that is not there


class StreamReader:
    """XREVRANGE of the last entries; one reply: a list of at most `last`, newest first."""

    def __init__(self, source: StreamSource, dtype: str) -> None:
        self._source, self._dtype = source, dtype
        self._fields = FieldsReader(source.fields, dtype)
        self._names = [field.name.encode() for field in source.fields]
        self.form = Form("XREVRANGE", "+", "-", "COUNT", source.last)
        self.columnar = False

    def columns(self, _replies: Sequence[Any]) -> Tensor | None:
        """Rows differ in length: read one by one."""
        return None

    def row(self, cell: Cell) -> Tensor:
        """One row: (steps, fields), `last` steps when padded."""
        entries = checked(cell, "XREVRANGE", "a stream")
        if not isinstance(entries, list) or len(entries) > self._source.last:
            raise WrongType(cell.key, "a stream")
        if not entries:
            return padded(self._stand_in(cell), self._source)
        ids, steps = self._taken(entries[::-1], cell.key)
        if self._source.max_age_seconds is not None:
            check_age(cell, ids[-1], self._source.max_age_seconds)
        if any(None in step for step in steps):
            self._fill(steps, ids, cell)
        quick = self._fields.columns(steps)
        return padded(self._read(steps, ids, cell) if quick is None else quick, self._source)

    def _taken(self, entries: Sequence[Any], key: str) -> tuple[list[str], list[Step]]:
        """Return the ids of entries and their values.

        Raises: WrongType, they are none.
        """
        try:
            return [entry.decode() for entry, _ in entries], [self._step(pairs) for _, pairs in entries]
        except (TypeError, ValueError, AttributeError) as error:
            raise WrongType(key, "a stream") from error

    def _step(self, pairs: Any) -> Step:
        told: Mapping[bytes, bytes] = (
            pairs if isinstance(pairs, dict) else dict(zip(pairs[::2], pairs[1::2], strict=True))
        )
        return [told.get(name) for name in self._names]

    def _fill(self, steps: list[Step], ids: list[str], cell: Cell) -> None:
        """Put in what stands in for values that entries do not have; a field is named once."""
        for at, field in enumerate(self._fields.fields):
            lacking = [number for number, step in enumerate(steps) if step[at] is None]
            if lacking:
                value = self._filled(field, ids[lacking[0]], cell)
                for number in lacking:
                    steps[number][at] = value

    def _filled(self, field: FieldReader, entry: str, cell: Cell) -> bytes:
        """Return the stand-in for a field as a stream would hold it.

        Raises: EntryFieldMissing without one, NotANumber, UnknownCategory.
        """
        fill = cell.fills.get(field.name, field.default)
        if fill is None:
            raise EntryFieldMissing(cell.key, entry, field.name)
        value = field.stand_in(fill, Place("the stand-in for field", field.name, f"key {shown(cell.key)!r}"))
        return (field.categories[value] if field.categories else str(value)).encode()

    def _read(self, steps: list[Step], ids: list[str], cell: Cell) -> Tensor:
        """Read entries value by value.

        Raises: UnknownCategory, NotANumber, naming the entry.
        """
        fields = self._fields.fields
        rows: list[Tensor] = []
        for entry, step in zip(ids, steps, strict=True):
            whole = f"entry {entry} of key {shown(cell.key)!r}"
            values = [
                field.value(value, Place("field", field.name, whole))
                for field, value in zip(fields, step, strict=True)
            ]
            rows.append(array(values, self._dtype))
        return np.stack(rows)

    def _stand_in(self, cell: Cell) -> Tensor:
        """Return the one step that stands in for a stream without entries: (1, fields).

        Raises: KeyMissing without one, NotANumber, UnknownCategory.
        """
        fill = cell.fills.get(self._source.key, self._source.default)
        if fill is None:
            raise KeyMissing(cell.key)
        place = f"the stand-in for key {shown(cell.key)!r}"
        values = [field.stand_in(fill, place) for field in self._fields.fields]
        return array(values, self._dtype).reshape(1, -1)


def check_age(cell: Cell, newest: str, most_seconds: float) -> None:
    """Refuse a sequence whose newest entry is too old, or was added in the future.

    Raises: IdWithoutTime, SequenceStale.
    """
    added = id_seconds(newest)
    if added is None:
        raise IdWithoutTime(cell.key, newest, most_seconds)
    age = age_of(cell, added)
    if not fresh(age, most_seconds):
        raise SequenceStale(cell.key, newest, age, most_seconds)


def id_seconds(entry: str) -> float | None:
    """Return when an entry was added by its id, in Unix seconds; None for an id that is no time."""
    milliseconds = int(entry.partition("-")[0])
    return milliseconds / 1000 if milliseconds >= EARLIEST_MS else None
