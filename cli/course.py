"""The course of a training in words: the epoch, its losses, the best so far, and a small curve."""

from dataclasses import dataclass, field
from math import isfinite, log

from cli.terminal import BLOCKS, duration_text
from trainer.events import EpochEnded

CURVE_WIDTH = 40


@dataclass(slots=True)
class Course:
    """What is known of a training while it runs."""

    last: EpochEnded | None = None
    best: EpochEnded | None = None
    losses: list[float] = field(default_factory=list)

    def see(self, event: EpochEnded) -> None:
        """Take one more epoch into account; each network of an ensemble has a course of its own."""
        if self.last is not None and event.network != self.last.network:
            self.best, self.losses = None, []
        self.last = event
        if event.best:
            self.best = event
        self.losses.append(event.train_loss if event.validation_loss is None else event.validation_loss)

    @property
    def epoch(self) -> int:
        """How many epochs were run."""
        return self.last.epoch if self.last else 0

    @property
    def place(self) -> str:
        """Where the training is."""
        return f"after {self._at(self.last)}" if self.last else "before the first epoch"

    @property
    def short(self) -> str:
        """The last epoch in a few words."""
        if self.last is None:
            return ""
        validated = "" if self.last.validation_loss is None else f" / {self.last.validation_loss:.3f}"
        score = "" if self.last.score is None else f", {self.last.metric} {self.last.score:.3f}"
        return f"loss {self.last.train_loss:.3f}{validated}{score}"

    @property
    def lines(self) -> tuple[str, ...]:
        """What is to be seen while it goes on."""
        if self.last is None:
            return ()
        left = f"{duration_text(self.last.seconds_left)} left"
        place = f"{self._at(self.last)}, {left}"
        return place + self._best(), f"{self._named} {curve(self.losses)}"

    @staticmethod
    def _at(event: EpochEnded) -> str:
        network = f"network {event.network} of {event.networks}, " if event.networks > 1 else ""
        return f"{network}epoch {event.epoch} of {event.epochs}"

    def _best(self) -> str:
        if self.best is None or self.best.score is None:
            return ""
        return f", best {self.best.metric} {self.best.score:.3f} in epoch {self.best.epoch}"

    @property
    def _named(self) -> str:
        return "training loss" if self.last and self.last.validation_loss is None else "validation loss"


def curve(values: list[float]) -> str:
    """Return numbers as a row of blocks, on a logarithmic scale; many are thinned evenly."""
    count = min(len(values), CURVE_WIDTH)
    shown = [values[(at * len(values) + len(values) - 1) // count] for at in range(count)]
    heights = [log(value) for value in shown if isfinite(value) and value > 0]
    if not heights:
        return ""
    low, spread = min(heights), max(max(heights) - min(heights), 1e-9)
    marks = [
        BLOCKS[min(7, int(8 * (log(value) - low) / spread))] if isfinite(value) and value > 0 else " "
        for value in shown
    ]
    return "".join(marks)
