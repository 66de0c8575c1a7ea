"""Parts: rows of a job that are scored together, and the steps of a walk that finds them; pure.

A part is what one process takes at a time and lies in Redis until its answers are written. Keys go
as they are, with a NUL between two: no key that a template reads has one. Instances go as JSON, after
the number of the first.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

BETWEEN = b"\0"
KEYS, INSTANCES = b"k", b"i"  # what a packed part begins with

Instance = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Rows: keys as Redis has them, or instances; never both. `first` is how many instances were before these."""

    keys: Sequence[bytes] = ()
    instances: Sequence[Instance] = ()
    first: int = 0

    def __len__(self) -> int:
        return len(self.keys) or len(self.instances)

    def packed(self) -> bytes:
        """Return the part as it lies in Redis."""
        if self.keys:
            return KEYS + BETWEEN.join(self.keys)
        return b"%b%d%b%b" % (INSTANCES, self.first, BETWEEN, orjson.dumps(self.instances))

    @classmethod
    def unpacked(cls, data: bytes) -> "Part":
        """Return what was packed."""
        rest = data[1:]
        if data[:1] == KEYS:
            return cls(rest.split(BETWEEN))
        first, _, instances = rest.partition(BETWEEN)
        return cls((), orjson.loads(instances), int(first))

    def split(self, rows: int) -> "list[Part]":
        """Return it in parts of at most so many rows."""
        starts = range(0, len(self), rows)
        if self.keys:
            return [Part(self.keys[at : at + rows]) for at in starts]
        return [Part((), self.instances[at : at + rows], self.first + at) for at in starts]


def texts_of(keys: Sequence[bytes]) -> list[str]:
    """Return keys as texts, all of them decoded at once; what is no UTF-8 stays as surrogates."""
    return BETWEEN.join(keys).decode("utf-8", "surrogateescape").split(BETWEEN.decode()) if keys else []


def readable(keys: Sequence[bytes]) -> tuple[list[str], list[str]]:
    """Return keys as texts, and those that are no UTF-8 by themselves, their bytes written out."""
    if not keys:
        return [], []
    with suppress(UnicodeDecodeError):
        return BETWEEN.join(keys).decode().split(BETWEEN.decode()), []
    texts: list[str] = []
    odd: list[str] = []
    for key in keys:
        try:
            texts.append(key.decode())
        except UnicodeDecodeError:
            odd.append(key.decode("utf-8", "backslashreplace"))
    return texts, odd


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a walk: rows found, where a walk goes on after it, and the share done with it, 0 to 1.

    A step that begins `anew` says that everything before it will be found again: Redis was
    restarted, and its cursors with it.
    """

    part: Part
    position: str
    share: float
    anew: bool = False


class Source(Protocol):
    """Where rows come from."""

    strict: bool
    """Whether every row was meant: one that the model cannot read is an error then, not somebody else's key."""

    def steps(self, position: str) -> AsyncIterator[Step]:
        """Find rows from a position on, "" is the beginning; each row that stays there at least once.

        Raises: BadRequest, there is no such source, or it is of another kind; RedisUnavailable,
                RedisRefused.
        """
