"""Learning rates over a training: by step, and for `plateau` by how the loss goes."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, inf, pi

from models.recipe_training import Plateau, Training

RISE = 0.3  # one_cycle: share of the epochs over which the rate rises. Source: torch's OneCycleLR
FIRST, LAST = 1 / 25, 1e-4 / 25  # one_cycle: share of the rate at both ends. Source: as above


def learning_rate(training: Training, time: float, step: float) -> float:
    """Return the learning rate of a step.

    Units: `time` that has passed and `step` that is to come, in epochs; `plateau` comes on top.
    """
    rate = training.lr * SHARES[training.schedule](training, time)
    return rate * min(1.0, (time + step) / training.warmup) if training.warmup else rate


def constant(_training: Training, _time: float) -> float:
    """Return the whole rate."""
    return 1.0


def cosine(training: Training, time: float) -> float:
    """Fall along a cosine from 1 to 0 over what follows the warm-up."""
    return (1 + cos(pi * done(training, time))) / 2


def linear(training: Training, time: float) -> float:
    """Fall along a line from 1 to 0 over what follows the warm-up."""
    return 1 - done(training, time)


def steps(training: Training, time: float) -> float:
    """Fall by a factor after every so many epochs."""
    return training.step.factor ** int(time // training.step.every)


def one_cycle(training: Training, time: float) -> float:
    """Rise, then fall to next to nothing. Source: Smith and Topin 2018, Super-Convergence."""
    part = time / training.epochs
    if part < RISE:
        return between(FIRST, 1.0, part / RISE)
    return between(1.0, LAST, (part - RISE) / (1 - RISE))


def done(training: Training, time: float) -> float:
    """Return how much of the epochs after the warm-up has passed, from 0 to 1."""
    return max(0.0, time - training.warmup) / (training.epochs - training.warmup)


def between(start: float, end: float, part: float) -> float:
    """Return a point on half a wave of a cosine."""
    return end + (start - end) * (1 + cos(pi * part)) / 2


SHARES: dict[str, Callable[[Training, float], float]] = {
    "none": constant,
    "plateau": constant,
    "cosine": cosine,
    "linear": linear,
    "one_cycle": one_cycle,
    "step": steps,
}


@dataclass(slots=True)
class Flatness:
    """How long the loss has not fallen, and what the learning rate was multiplied by for it."""

    spec: Plateau | None
    factor: float = 1.0
    best: float = inf
    waited: int = 0

    def see(self, loss: float) -> None:
        """Take the loss of an epoch into account."""
        if loss < self.best:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.spec is not None and self.waited > self.spec.patience:
            self.factor, self.waited = self.factor * self.spec.factor, 0
