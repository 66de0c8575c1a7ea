"""VersionMetrics: what is counted of one version, added in place; it knows where each number lies.

Only the thread of the event loop may count.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from time import monotonic

from server.counting.cells import plain
from server.counting.series import (
    AGE,
    AGES,
    ANSWERED,
    BATCH,
    DIFFERENCE,
    DIFFERENCES,
    DIFFERENT,
    END,
    FAILED,
    FAILED_SECONDS,
    FILLED,
    HANDED,
    LAST,
    MADE,
    MISSING,
    OF_JOBS,
    OF_SIZE,
    QUEUE,
    READ,
    REQUEST,
    ROWS,
    RUN,
    SECONDS,
    SHADOWED,
    SHARED,
    SIZE_END,
    SIZE_HANDED,
    SIZE_MADE,
    SIZE_RAN,
    SKIPPED,
    UNANSWERED,
    UNANSWERED_SECONDS,
)

REQUEST_AT, REQUEST_SUM, READ_AT, READ_SUM = REQUEST.at, REQUEST.total, READ.at, READ.total
QUEUE_AT, QUEUE_SUM, RUN_AT, RUN_SUM = QUEUE.at, QUEUE.total, RUN.at, RUN.total
BATCH_AT, BATCH_SUM = BATCH.at, BATCH.total
AGE_AT, AGE_SUM, DIFFERENCE_AT, DIFFERENCE_SUM = AGE.at, AGE.total, DIFFERENCE.at, DIFFERENCE.total


class VersionMetrics:
    """The numbers of one version, looked up once; `of_size` gives those of its batches of one size."""

    __slots__ = ("_cells", "_of_size", "_sizes")

    def __init__(self, cells: "memoryview[float]", of_size: "Callable[[int], memoryview[float]]") -> None:
        self._cells = cells
        self._of_size = of_size
        self._sizes: dict[int, memoryview[float]] = {}

    def request(self, rows: int, seconds: float, requests: int = 1) -> None:
        """Count requests that were answered, and their rows."""
        cells = self._cells
        cells[ANSWERED] += rows
        cells[REQUEST_AT + bisect_left(SECONDS, seconds)] += requests
        cells[REQUEST_SUM] += seconds * requests

    def failed(self, seconds: float, requests: int = 1) -> None:
        """Count requests that failed whole, and how long each took."""
        self._cells[FAILED] += requests
        self._cells[FAILED_SECONDS] += seconds * requests

    def unanswered(self, seconds: float, requests: int = 1) -> None:
        """Count that requests, which `request` has counted too, were answered without one good row."""
        self._cells[UNANSWERED] += requests
        self._cells[UNANSWERED_SECONDS] += seconds * requests

    def filled(self, rows: int) -> None:
        """Count rows with a value stood in for."""
        self._cells[FILLED] += rows

    def missing(self, rows: int) -> None:
        """Count rows refused for an absent key or field."""
        self._cells[MISSING] += rows

    def read(self, seconds: float, requests: int = 1) -> None:
        """Count how long the features of requests took to read."""
        cells = self._cells
        cells[READ_AT + bisect_left(SECONDS, seconds)] += requests
        cells[READ_SUM] += seconds * requests

    def waited(self, seconds: float, requests: int = 1) -> None:
        """Count how long requests waited for their run."""
        cells = self._cells
        cells[QUEUE_AT + bisect_left(SECONDS, seconds)] += requests
        cells[QUEUE_SUM] += seconds * requests

    def batch(self, rows: int, requests: int, made: float, ran: float, ended: float) -> float:
        """Count a batch that so many requests waited for, handed out by now, and return what time that is.

        Units:  made and ran, seconds of making it and of running it; ended, when the run had ended,
                seconds of time.monotonic.
        """
        cells, now = self._cells, monotonic()
        handed = now - ended
        cells[RUN_AT + bisect_left(SECONDS, ran)] += 1
        cells[RUN_SUM] += ran
        cells[BATCH_AT + bisect_left(ROWS, rows)] += 1
        cells[BATCH_SUM] += rows
        cells[MADE] += made * requests
        cells[HANDED] += handed * requests
        if requests > 1:
            cells[SHARED] += ran * (requests - 1)
        cells[LAST] = now
        size = self._sizes.get(rows)
        if size is None:
            size = self._sizes[rows] = self._of_size(rows)
        size[OF_SIZE] += 1
        size[SIZE_MADE] += made
        size[SIZE_RAN] += ran
        size[SIZE_HANDED] += handed
        return now

    def aged(self, seconds: float) -> None:
        """Count the age of a feature; one that claims to come from the future is new."""
        if not 0 <= seconds < math.inf:
            seconds = 0.0
        cells = self._cells
        cells[AGE_AT + bisect_left(AGES, seconds)] += 1
        cells[AGE_SUM] += seconds

    def shadowed(self, rows: int, different: int, largest_difference: float) -> None:
        """Count rows of a request that a shadow answered too; what is no number differs without end."""
        cells = self._cells
        cells[SHADOWED] += rows
        cells[DIFFERENT] += different
        if largest_difference < math.inf:
            cells[DIFFERENCE_AT + bisect_left(DIFFERENCES, largest_difference)] += 1
            cells[DIFFERENCE_SUM] += largest_difference
        else:
            cells[DIFFERENCE_AT + len(DIFFERENCES)] += 1

    def skipped(self, rows: int) -> None:
        """Count rows of a request that a shadow was not asked for: it had too much to do."""
        self._cells[SKIPPED] += rows

    def job(self, rows: int) -> None:
        """Count rows that a scoring job looked at."""
        self._cells[OF_JOBS] += rows

    def retire(self) -> None:
        """Count nowhere from now on: who still holds this must not write into another's cells."""
        self._cells = plain(END)
        self._of_size = lambda _rows: plain(SIZE_END)
        self._sizes = {}
