"""What a supervisor and a worker tell each other: one JSON object a line over their channel.

    supervisor -> worker   {"settings": {...}, "metrics": PATH, "wait_seconds": SECONDS or null, "follows": BOOLEAN}
    worker -> supervisor   {"answers": URL}
                           {"alive": true}   again and again, once it answers
                           {"kind": NAME, "code": CODE, "message": TEXT, "details": {...}}   it cannot serve

The supervisor says nothing more; that the channel closes tells a worker that it is alone.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from models.errors import InsituError
from server.settings import ServerSettings


class WorkerFailed(InsituError):
    """A server process that ended and did not say why."""

    code = "worker_failed"


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is to serve; one that `follows` takes the place of another that answers, and has to be as able.

    Units: wait_seconds, how long it may load before it answers; None leaves that to the server.
    """

    settings: ServerSettings
    metrics: Path
    wait_seconds: float | None = None
    follows: bool = False

    def line(self) -> bytes:
        """Return the task as it is sent."""
        told = {
            "settings": self.settings.model_dump(mode="json"),
            "metrics": str(self.metrics),
            "wait_seconds": self.wait_seconds,
            "follows": self.follows,
        }
        return json.dumps(told).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Return the task that was sent."""
        told = json.loads(line)
        settings = ServerSettings.model_validate(told["settings"])
        return cls(settings, Path(told["metrics"]), told["wait_seconds"], told["follows"])


def answers(url: str) -> bytes:
    """Return the report of a worker that answers."""
    return json.dumps({"answers": url}).encode() + b"\n"


def alive() -> bytes:
    """Return the report of a worker whose event loop goes on."""
    return json.dumps({"alive": True}).encode() + b"\n"


def cannot(error: Exception) -> bytes:
    """Return the report of a worker that cannot serve."""
    if not isinstance(error, InsituError):
        error = WorkerFailed(f"a worker ended: {type(error).__name__}: {error}")
    told = {"kind": type(error).__name__, "code": error.code, "message": str(error), "details": error.details}
    return json.dumps(told, default=str).encode() + b"\n"


def refusal(told: dict[str, Any]) -> InsituError:
    """Return the error that a worker met, as if it had been met here."""
    kind = next((one for one in kinds(InsituError) if one.__name__ == told["kind"]), None)
    if kind is None:  # one that only workers know
        kind = type(str(told["kind"]), (InsituError,), {"code": told["code"]})
    error = kind.__new__(kind)
    InsituError.__init__(error, told["message"], **told["details"])
    return error


def kinds(root: type[InsituError]) -> Iterator[type[InsituError]]:
    """Return every kind of error that is known here."""
    yield root
    for one in root.__subclasses__():
        yield from kinds(one)
