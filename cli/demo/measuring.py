"""What the running server answers for rows it was never trained on, asked over HTTP by their keys."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from cli.client import ServerClient

ROWS_A_REQUEST = 500
REQUESTS_TIMED = 100


@dataclass(frozen=True, slots=True)
class Measured:
    """Held-out rows through the server; milliseconds of one request for one row."""

    rows: int
    right: int
    median_ms: float

    @property
    def accuracy(self) -> float:
        """The share that was right."""
        return self.right / self.rows if self.rows else 0.0


def measure(server: ServerClient, name: str, keys: Sequence[str], targets: Sequence[str]) -> Measured:
    """Predict every key and compare with what is true; a row that cannot be predicted is wrong.

    Raises: ServerUnreachable, ServerRefused.
    """
    said: list[str | None] = []
    for at in range(0, len(keys), ROWS_A_REQUEST):
        answer = server.predict(name, {"keys": list(keys[at : at + ROWS_A_REQUEST])})
        said += [row.get("label") for row in answer["predictions"]]
    right = sum(label == target for label, target in zip(said, targets, strict=True))
    return Measured(len(keys), right, median_ms(server, name, keys))


def median_ms(server: ServerClient, name: str, keys: Sequence[str]) -> float:
    """Return the median time of a request for one key, one request after another."""
    took = []
    for number in range(REQUESTS_TIMED):
        began = time.perf_counter()
        server.predict(name, {"keys": [keys[number % len(keys)]]})
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)
