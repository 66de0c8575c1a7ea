"""Priorities: jobs of several levels wait as one queue, the most urgent first; made when a job names a level.

Level 1 is the most urgent. Inside one level the first that came goes first. Nobody starves: every
ninth job that is taken is the one that waits longest, whatever its level, where it has waited for
over a second. So a job before which n others wait longer goes among the next 9 * (n + 1), however
many urgent ones come. A job whose deadline is over before its turn is given up, as in any queue.

A full queue is full for a level and those below it: what waits there keeps nobody out who is more
urgent. So each level has the bound of a queue, as each has its max_queue_size in Triton.

Source: priority_levels, default_priority_level and default_queue_policy of Triton's ModelDynamicBatching.
"""

import time
from collections import deque
from collections.abc import Sequence

from server.inference.jobs import Job

LEVELS = 10
DEFAULT_LEVEL = 5  # room on both sides for whoever names one
STARVING_SECONDS = 1.0
TURN_JOBS = 9  # of so many that are taken the last is the one that waits longest


class Lanes:
    """A queue with a lane for each level; it stands in for the deque of a queue without levels."""

    def __init__(self, lanes: Sequence[deque[Job]], default: int) -> None:
        """Take the lanes, level 1 first; what names no level is of level `default`."""
        self._lanes = lanes
        self._default = default
        self._taken = 0  # since the longest waiting had its turn
        self._chosen: deque[Job] | None = None

    @classmethod
    def around(cls, waiting: deque[Job], default: int) -> "Lanes":
        """Return lanes of which the default one is a queue that is there already."""
        return cls([waiting if level == default else deque() for level in range(1, LEVELS + 1)], default)

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def __getitem__(self, place: int) -> Job:
        """Return the next job, for place 0."""
        if self._chosen is None:
            self._chosen = self._next()
        return self._chosen[place]

    def append(self, job: Job) -> None:
        """Put a job at the end of its level."""
        self._lanes[self.level(job) - 1].append(job)
        self._chosen = None

    def popleft(self) -> Job:
        """Take the next job."""
        lane, self._chosen = self._chosen or self._next(), None
        self._taken = (self._taken + 1) % TURN_JOBS
        return lane.popleft()

    def _next(self) -> deque[Job]:
        """Return the lane of the next job: of the most urgent level, or where somebody has waited too long."""
        filled = [lane for lane in self._lanes if lane]
        if self._taken == TURN_JOBS - 1:
            longest = min(filled, key=arrival)
            if time.monotonic() - arrival(longest) > STARVING_SECONDS:
                return longest
        return filled[0]

    @property
    def since(self) -> float:
        """When the job that waits longest came, in seconds of time.monotonic."""
        return min(arrival(lane) for lane in self._lanes if lane)

    def level(self, job: Job) -> int:
        """Return the level of a job."""
        return job.priority or self._default

    def above(self, level: int) -> "Lanes":
        """Return the jobs that are more urgent than a level, as a queue that shares its lanes with this one."""
        return Lanes(self._lanes[: level - 1], self._default)


def arrival(lane: deque[Job]) -> float:
    """Return when the first job of a lane came."""
    return lane[0].arrived


class LevelRows:
    """How many rows wait for a run, by the levels that were named for them; the others are of the default one."""

    def __init__(self, default: int) -> None:
        self._default = default
        self._named = [0] * LEVELS

    def count(self, level: int, rows: int) -> None:
        """Count rows of a level, fewer than 0 that no longer wait."""
        self._named[level - 1] += rows

    def ahead(self, priority: int, every: int) -> int:
        """Return how many of `every` row that waits are at the level of a priority, 0 the default one, or above it."""
        level = priority or self._default
        found = sum(self._named[:level])
        return found + every - sum(self._named) if self._default <= level else found
