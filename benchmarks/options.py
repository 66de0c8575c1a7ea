"""Options: how much is measured, and where the results go."""

from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line.

    Units: `seconds` and `rounds` are of one measurement; `soak` in seconds.
    """

    seconds: int = 2
    rounds: int = 5
    soak: int = 60
    quick: bool = False
    only: tuple[str, ...] = ()
    out: Path = RESULTS

    @property
    def partial(self) -> bool:
        """Whether the numbers are a glance and nothing to publish."""
        return self.quick or bool(self.only)
