"""What the steps of the demo hand to one another."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cli.demo.story import Story
from cli.settings import Settings

if TYPE_CHECKING:
    from cli.demo.measuring import Measured

# What these networks are called among people; `insitu models NAME --json` says exactly what they are.
NETWORKS = {"breast_cancer": "MLP", "digits": "CNN", "japanese_vowels": "GRU"}
SCORED = "breast_cancer"


@dataclass(slots=True)
class Made:
    """One model as the demo knows it; `facts` is what `insitu train --json` told at its end."""

    name: str
    facts: dict[str, Any]
    measured: "Measured | None" = None

    @property
    def keys(self) -> list[str]:
        """The rows that were held out."""
        return list(self.facts["held_out"]["keys"])

    @property
    def targets(self) -> list[str]:
        """What is true for each of them."""
        return list(self.facts["held_out"]["targets"])

    @property
    def baseline(self) -> float:
        """Accuracy of the linear model of scikit-learn on the same rows."""
        return float(self.facts["baseline"]["accuracy"])


@dataclass(slots=True)
class Tour:
    """The demo under way; `resp` is the host and the port of the Redis protocol, nothing where it is not spoken."""

    story: Story
    settings: Settings
    redis: str = ""
    reached: str = ""
    url: str = ""
    resp: str = ""
    made: dict[str, Made] = field(default_factory=dict)
    scored: dict[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, ...]:
        """Options that tell a command where Redis is, when the environment does not."""
        directory = self.settings.data_dir
        return ("--data-dir", str(directory)) if self.settings.redis_url is None and directory else ()

    @property
    def shown_place(self) -> str:
        """The same, as a user would type it; nothing when the environment says it."""
        return "".join(f" {word}" for word in self.place)

    def redis_cli(self, words: str) -> str:
        """Return a redis-cli command that works here."""
        return f"redis-cli {self.reached} {words}"
