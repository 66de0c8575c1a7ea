"""What was found of RedisAI: which keys, what each holds and where its bytes lie; no value itself."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Kind = Literal["tensor", "model", "script"]
AI_KINDS: dict[str, Kind] = {"AI_TENSOR": "tensor", "AI__MODEL": "model", "AI_SCRIPT": "script"}
COMMAND = -1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value begins in a file.

    `encoding` is the version in which the module wrote it, COMMAND when it is a command of an AOF.
    """

    path: Path
    offset: int
    encoding: int


@dataclass(frozen=True, slots=True)
class Found:
    """One key of RedisAI; without a place where the running server is asked for it."""

    db: int
    key: bytes
    kind: Kind
    expires_at_ms: int | None = None
    place: Place | None = None

    @property
    def name(self) -> str:
        """The key as it is shown, in one line."""
        text = self.key.decode("utf-8", "backslashreplace")
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(slots=True)
class Inventory:
    """Everything that was found, and what is to be known about how."""

    found: list[Found] = field(default_factory=list)
    keys: int = 0
    """Keys of every type."""
    expired: int = 0
    notes: list[str] = field(default_factory=list)
