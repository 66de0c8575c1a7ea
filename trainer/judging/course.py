"""What the curve of the losses tells: whether training was over, and whether its steps were too large."""

from collections.abc import Iterator

import numpy as np

from trainer.judging.evidence import Course
from trainer.judging.findings import Finding

EPOCHS_READ = 5  # fewer say nothing
STILL_FALLING = 0.9  # the loss now over that a fifth of the epochs ago
PART_OF_ALL = 0.1  # of the whole fall in the last fifth; a curve that settles falls early
NOTICED = 0.02  # of the loss
RISING_SHARE = 0.3  # of the epochs; a loss that settles rises in few
LEAP = 0.15  # of the loss, from one epoch to the next, on average
MATTERS = 0.1  # a loss below this share of a constant answer's may leap as it likes
FAR_WORSE = 3.0  # times a constant answer's loss


def signs(course: Course) -> Iterator[Finding]:
    """Say what the curve tells."""
    yield from unfinished(course)
    yield from restless(course)


def unfinished(course: Course) -> Iterator[Finding]:
    """Say when training ended while it still paid."""
    losses = course.validation or course.train
    count = len(losses)
    if count < EPOCHS_READ or course.stopped_early or course.best < count:
        return
    earlier = losses[-1 - count // 5]
    fall = earlier - losses[-1]
    slow = fall > PART_OF_ALL * (losses[0] - losses[-1]) and fall > NOTICED * losses[-1]
    if losses[-1] < STILL_FALLING * earlier or slow:
        yield Finding(
            "not converged",
            f"the last epoch of {count} was the best and the loss still fell "
            f"({earlier:.3g} to {losses[-1]:.3g} in the last fifth)",
            "take more epochs, or a larger lr",
        )


def restless(course: Course) -> Iterator[Finding]:
    """Say when the training loss leaps up and down, or begins far worse than saying always the same."""
    losses = np.array(course.train)
    chance = course.chance or float(losses[0])
    cure = "take a smaller lr (a third of it), set clip, or begin with standardize"
    if len(losses) >= EPOCHS_READ and leaps(losses, chance):
        late = losses[len(losses) // 2 :]
        yield Finding(
            "learning rate too high",
            f"the training loss leaps between {late.min():.3g} and {late.max():.3g} in the second half of training",
            cure,
        )
    elif losses[0] > FAR_WORSE * chance and losses[0] > FAR_WORSE * losses.min():
        yield Finding(
            "learning rate too high",
            f"the first epoch's loss of {losses[0]:.3g} is far above the {chance:.3g} of saying always the same",
            cure,
        )


def leaps(losses: "np.typing.NDArray[np.float64]", chance: float) -> bool:
    """Whether the second half of a curve neither settles nor is low enough not to matter."""
    late = losses[len(losses) // 2 :]
    steps = np.diff(late)
    middle = float(np.median(late))
    rising = float((steps > 0).mean())
    return bool(
        middle > MATTERS * min(chance, losses[0])
        and rising >= RISING_SHARE
        and np.abs(steps).mean() > LEAP * middle
    )
