"""What the running server answers for rows it was never trained on, asked over HTTP by their keys."""

import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote, urlsplit

from cli.client import ServerClient
from cli.errors import ServerUnreachable

ROWS_A_REQUEST = 500
REQUESTS_TIMED = 100
ANSWER_SECONDS = 30.0


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
    """Return the median time of a request for one key, one after another on one connection.

    Raises: ServerUnreachable.
    """
    paths = [f"/v1/models/{name}/predict?key={quote(keys[n % len(keys)])}" for n in range(REQUESTS_TIMED)]
    try:
        with closing(connection(server.url)) as wire:
            return statistics.median([milliseconds(wire, path, server.headers) for path in paths])
    except (OSError, HTTPException) as error:
        raise ServerUnreachable(server.url, str(error)) from error


def milliseconds(wire: HTTPConnection, path: str, headers: Mapping[str, str]) -> float:
    """Return how long one request took."""
    began = time.perf_counter()
    wire.request("GET", path, headers=headers)
    wire.getresponse().read()
    return (time.perf_counter() - began) * 1000


def connection(url: str) -> HTTPConnection:
    """Return the leanest client there is: what is measured is the server."""
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return kind(parts.netloc, timeout=ANSWER_SECONDS)
