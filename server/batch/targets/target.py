"""Target: what every place has that answers go to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from models.errors import InsituError
from models.keys import Keys
from server.batch.scored import Scored
from server.inference.reading.slots import tag_beside


@dataclass(frozen=True, slots=True)
class PartName:
    """Which part is written: its place in the job's stream, and the walk that found it, from 0.

    The same part comes again when who wrote it died before it could say so. When a walk begins
    anew everything is found again, so parts of earlier walks count no more. `again` says that some
    process had the part before. `keys` are its rows, whatever came of them; one may be there twice.
    """

    entry: str
    walk: int = 0
    again: bool = False
    keys: Sequence[str] = ()

    def __str__(self) -> str:
        return f"{self.walk}-{self.entry}"

    def places(self, keys: Sequence[str]) -> Iterator[int]:
        """Return where rows of the part are in it, from 0; of those with one key the first comes first."""
        free: dict[str, list[int]] = {}
        for place in range(len(self.keys) - 1, -1, -1):
            free.setdefault(self.keys[place], []).append(place)
        return (free[key].pop() for key in keys)


@dataclass(frozen=True, slots=True)
class JobRun:
    """A job from its first row to its last: what it has begun is gone on with by it alone.

    One that is `done` finds its files completed, or completes them. Units: begun, Unix seconds.
    """

    name: str
    begun: float
    done: bool = False
    keys: Keys = field(default_factory=Keys)

    def __str__(self) -> str:
        return f"{self.name} {self.begun}"

    def notes(self, stream: str) -> str:
        """Return where it is noted what the job has appended to a stream."""
        return self.keys.job_appended(self.name, self.begun, stream, tag_beside(stream))


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
