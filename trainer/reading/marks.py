"""The mark that parts rows: the group, time or part that each says it is of."""

from hashlib import blake2b
from typing import Any

import numpy as np

from models.errors import NotANumber, shown
from models.recipe_split import Split
from models.values import as_text, unix_time
from trainer.errors import UnlabelledRow

PARTS = {"train": 0, "training": 0, "validation": 1, "valid": 1, "val": 1, "test": 2, "held_out": 2}


class Unmarked(UnlabelledRow):
    """One row does not say how it is parted."""

    code = "unmarked_row"


class Marks:
    """The group, time or part of rows, as numbers: a digest, Unix seconds, 0 to 2."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self.dtype: type[np.generic] = np.float64
        if split.group is not None:
            self.dtype = np.uint64
        elif split.part is not None:
            self.dtype = np.int8

    def read(self, value: Any, place: str) -> float:
        """Return the mark of one row.

        Raises: Unmarked, no time, or none of the three parts.
        """
        if self._split.group is not None:
            digest = blake2b(as_text(value).encode(), digest_size=8).digest()
            return int.from_bytes(digest)
        if self._split.part is not None:
            part = PARTS.get(as_text(value).strip().lower())
            if part is None:
                raise Unmarked(f"{place} is {shown(value)!r}; a part is train, validation or test")
            return part
        try:
            return unix_time(value, "s", place)
        except NotANumber as error:
            raise Unmarked(
                f"{place} is {shown(value)!r}, no time: write a number or 2026-11-28T12:00"
            ) from error
