"""BatchLimits: how many rows run together and wait, as the server is set and as a model's publisher asked."""

from dataclasses import dataclass, replace

from models.execution import Execution
from server.inference.priorities import DEFAULT_LEVEL

WAIT_SECONDS = 0.01  # where a publisher says how many rows are enough, and no time
LONGEST_WAIT_SECONDS = 10.0  # as long as the server itself may be set to


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of one model's queue.

    Units: rows; queue_rows, that may wait at a level of priority and above it; least_rows, a batch of
           fewer waits for more, 0 one that is not full; wait_seconds, for how long at the most.
           default_priority, the level of a request that names none.
    """

    batch_rows: int = 1024
    queue_rows: int = 16_384
    wait_seconds: float = 0.0
    least_rows: int = 0
    default_priority: int = DEFAULT_LEVEL

    @property
    def enough_rows(self) -> int:
        """How many rows wait for no more."""
        return min(self.least_rows, self.batch_rows) if self.least_rows else self.batch_rows

    def asked(self, execution: Execution | None, rows_apart: bool) -> "BatchLimits":
        """Return the bounds of a model that its publisher has asked for more of.

        Never more rows than the server runs together. Rows that share no run wait for no others.
        """
        if execution is None:
            return self
        rows = min(execution.batch_rows or self.batch_rows, self.batch_rows)
        if not execution.min_batch_rows or not rows_apart:
            return replace(self, batch_rows=rows)
        said = execution.min_batch_wait_ms / 1000 or WAIT_SECONDS
        wait = min(said, LONGEST_WAIT_SECONDS)
        return replace(self, batch_rows=rows, wait_seconds=wait, least_rows=execution.min_batch_rows)
