"""Failures: the versions that did not load, told to whoever asks and tried again later and later."""

import logging
import time
from dataclasses import dataclass, replace

from models.errors import InsituError

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
RETRY_MOST_SECONDS = 300.0

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a version did not load, how often, and when to try again (time.monotonic)."""

    error: InsituError
    times: int
    again_at: float


class Failures:
    """The failures of one process."""

    def __init__(self) -> None:
        self._failures: dict[Place, Failure] = {}

    def of(self, name: str) -> dict[int, str]:
        """Return what was wrong with the versions of a model."""
        return {version: str(one.error) for (held, version), one in self._failures.items() if held == name}

    def raise_known(self, place: Place) -> None:
        """Raise what was wrong with a version, while it is too early to try it again."""
        failure = self._failures.get(place)
        if failure is not None and time.monotonic() < failure.again_at:
            raise failure.error

    def note(self, place: Place, error: InsituError) -> bool:
        """Keep a failure, and log it when it is another one than before; whether it is."""
        before = self._failures.get(place)
        times = before.times + 1 if before is not None else 1
        wait = min(RETRY_SECONDS * 2 ** min(times - 1, 32), RETRY_MOST_SECONDS)
        self._failures[place] = Failure(error, times, time.monotonic() + wait)
        again = before is not None and str(before.error) == str(error)
        log.log(logging.DEBUG if again else logging.WARNING, "%s; tried again after %.0f s", error, wait)
        return not again

    def forgive(self, name: str, kind: type[InsituError]) -> None:
        """Let the versions of a model that failed in one way be tried again now."""
        for place in self.places(name):
            failure = self._failures[place]
            if isinstance(failure.error, kind):
                self._failures[place] = replace(failure, again_at=0.0)

    def forget(self, place: Place) -> None:
        """Forget a version that has loaded or is gone."""
        self._failures.pop(place, None)

    def places(self, name: str) -> set[Place]:
        """Return the versions of a model that failed."""
        return {place for place in self._failures if place[0] == name}
