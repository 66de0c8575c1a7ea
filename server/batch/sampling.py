"""Sampling: an even part of any number of rows, of which one need not know how many there are."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Generic, TypeVar

Row = TypeVar("Row")

DIGEST_BYTES = 8


class Sample(Generic[Row]):
    """At most so many rows, chosen by a digest of what names them: of the same rows always the same ones, each once.

    They come in the order of the digest, which looks drawn by chance: any beginning is a sample too.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rows: dict[bytes, Row] = {}
        self._above: bytes | None = None  # what no row of the sample is above, once there are too many

    def add(self, rows: Iterable[tuple[bytes, Row]]) -> None:
        """Take rows, each with its name."""
        for name, row in rows:
            digest = blake2b(name, digest_size=DIGEST_BYTES).digest()
            if self._above is None or digest <= self._above:
                self._rows[digest] = row
        if len(self._rows) > 2 * self._most:
            self._rows = dict(sorted(self._rows.items(), key=lambda one: one[0])[: self._most])
            self._above = max(self._rows)

    def clear(self) -> None:
        """Forget all of them: they will come once more."""
        self._rows, self._above = {}, None

    @property
    def rows(self) -> list[Row]:
        """The rows of the sample."""
        return [row for _, row in sorted(self._rows.items(), key=lambda one: one[0])[: self._most]]
