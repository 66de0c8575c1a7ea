"""Target: what every place has that answers go to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from models.errors import InsituError
from server.batch.scored import Scored


@dataclass(frozen=True, slots=True)
class PartName:
    """Which part is written: its place in the job's stream, and the walk that found it, from 0.

    The same part comes again when who wrote it died before it could say so. When a walk begins
    anew everything is found again, so parts of earlier walks count no more.
    """

    entry: str
    walk: int = 0


Refused = dict[str, InsituError]  # by key: rows that could not be written


class Target(Protocol):
    """One place."""

    async def write(self, name: PartName, scored: Sequence[Scored]) -> Refused:
        """Write every row of a part, and return those that the place does not take.

        When it returns they are there to stay, whole; the same part may be written again.

        Raises: RedisUnavailable, RedisRefused; BadRequest, the place takes no row at all.
        """

    async def present(self, keys: Sequence[str]) -> list[bool] | None:
        """Whether each row has an answer of this version; None where that cannot be told."""

    async def finish(self) -> None:
        """Complete what was written, once, when every part is; again without harm."""
