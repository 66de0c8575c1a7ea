"""Finding: one thing that was looked at, how it stands, and the cure."""

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `insitu check`."""

    area: str
    state: State
    what: str
    cure: str = ""

    def as_data(self) -> dict[str, str]:
        """Return the finding for a program."""
        return asdict(self)


def ok(area: str, what: str) -> Finding:
    """Return a finding that needs no cure."""
    return Finding(area, "ok", what)


def warn(area: str, what: str, cure: str) -> Finding:
    """Return a finding that may be meant so."""
    return Finding(area, "warn", what, cure)


def fail(area: str, what: str, cure: str) -> Finding:
    """Return a finding that stops something from working."""
    return Finding(area, "fail", what, cure)
