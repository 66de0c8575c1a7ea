"""What became of each key, as a command tells it in the end."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from cli.importing.inventory import Found

State = Literal["imported", "same", "failed", "left_out"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one key: of a model which version, how it was verified, or why it is not there."""

    key: str
    db: int
    kind: str
    state: State
    reason: str = ""
    model: str | None = None
    version: int | None = None
    size_bytes: int = 0
    verified: str = ""

    @classmethod
    def of(cls, found: Found, state: State, reason: str = "", **facts: Any) -> "Outcome":
        """Return the outcome of a key."""
        return cls(found.name, found.db, found.kind, state, reason, **facts)


@dataclass(slots=True)
class Summary:
    """All of it; tensors that were imported are counted, everything else is named."""

    dry_run: bool = False
    tensors: Counter[State] = field(default_factory=Counter)
    tensor_bytes: int = 0
    named: list[Outcome] = field(default_factory=list)
    expired: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Take one outcome in."""
        if outcome.kind == "tensor":
            self.tensors[outcome.state] += 1
            self.tensor_bytes += outcome.size_bytes
        if outcome.kind != "tensor" or outcome.reason:
            self.named.append(outcome)

    def of(self, *states: State) -> list[Outcome]:
        """Return the named outcomes of some states."""
        return [one for one in self.named if one.state in states]

    def models(self, *states: State) -> list[Outcome]:
        """Return the models of some states."""
        return [one for one in self.of(*states) if one.kind == "model"]

    @property
    def failed(self) -> bool:
        """Whether something that could have been imported was not."""
        return bool(self.of("failed"))

    def as_data(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "dry_run": self.dry_run,
            "tensors": self.tensors["imported"],
            "tensors_there_already": self.tensors["same"],
            "tensor_bytes": self.tensor_bytes,
            "models": [asdict(one) for one in self.models("imported", "same")],
            "failed": [asdict(one) for one in self.of("failed")],
            "left_out": [asdict(one) for one in self.of("left_out")],
            "expired": self.expired,
            "notes": self.notes,
        }
