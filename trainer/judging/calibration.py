"""Temperature scaling: one number that makes the probabilities of a network mean what they say.

Source: Guo et al. 2017, arXiv:1706.04599, section 4.2. It changes no label: the order of the
probabilities of a row stays.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from trainer.judging.questions import Array, Floats, Kind

ROWS_LEAST = 40  # fewer say nothing about probabilities
FOLDS = 5
MISTAKES_LEAST = 10  # with fewer, nobody knows that a network may be surer still
COLDEST, HOTTEST = 0.2, 10.0
TEMPERED: tuple[Kind, ...] = ("classification", "multilabel")


@dataclass(frozen=True, slots=True)
class Tempering:
    """What the network's last numbers are divided by, 1 where that helps nobody.

    `before` and `after` are log losses of validation rows, each under a temperature that was
    fitted on others of them; nan where there were too few.
    """

    temperature: float = 1.0
    before: float = np.nan
    after: float = np.nan
    rows: int = 0

    @property
    def kept(self) -> bool:
        """Whether the numbers are divided at all."""
        return self.temperature != 1


def tempering(kind: Kind, raw: Array, truth: Array, seed: int = 0) -> Tempering:
    """Return the temperature for a network's last numbers, fitted on rows that trained nothing.

    It is kept only where it lowers the log loss of rows that it was not fitted on; a network becomes
    surer only where it was seen to be wrong often enough to know.

    Shape: raw (N, C) before softmax, truth (N,); for a multilabel raw (N, L) before sigmoid, truth (N, L).
    """
    count = len(raw)
    if kind not in TEMPERED or count < ROWS_LEAST:
        return Tempering(rows=count)
    numbers = raw.astype(np.float64)
    folds = np.random.default_rng(seed).permutation(count) % FOLDS
    after = np.empty(count)
    for fold in range(FOLDS):
        out = folds == fold
        after[out] = losses(kind, numbers[out] / best(kind, numbers[~out], truth[~out]), truth[out])
    before = float(losses(kind, numbers, truth).mean())
    temperature = round(best(kind, numbers, truth), 4)
    known = temperature > 1 or mistakes(kind, numbers, truth) >= MISTAKES_LEAST
    kept = known and float(after.mean()) < before
    return Tempering(temperature if kept else 1.0, before, float(after.mean()), count)


def mistakes(kind: Kind, raw: Floats, truth: Array) -> int:
    """Return how many of the rows a network gets wrong."""
    if kind == "multilabel":
        return int(((raw >= 0) != truth).any(1).sum())
    return int((raw.argmax(-1) != truth).sum())


def best(kind: Kind, raw: Floats, truth: Array) -> float:
    """Return the temperature of the lowest log loss; its logarithm is searched, the loss has one valley."""
    found = minimize_scalar(
        lambda log: float(losses(kind, raw / np.exp(log), truth).mean()),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
    )
    return float(np.exp(found.x))


def losses(kind: Kind, raw: Floats, truth: Array) -> Floats:
    """Return the log loss of each row, from the numbers before softmax or sigmoid."""
    if kind == "multilabel":
        signed: Floats = np.where(truth == 1, raw, -raw)
        each: Floats = np.logaddexp(0, -signed).mean(1)
        return each
    logs: Floats = log_softmax(raw, axis=-1)
    return -logs[np.arange(len(raw)), truth.astype(np.int64)]


def untempered(kind: Kind, probabilities: Array, temperature: float) -> Floats:
    """Return what the probabilities would be without the temperature."""
    tiny = np.finfo(np.float64).tiny
    logs = np.log(np.maximum(probabilities.astype(np.float64), tiny)) * temperature
    if kind == "multilabel":
        others = np.log(np.maximum(1 - probabilities.astype(np.float64), tiny)) * temperature
        result: Floats = 1 / (1 + np.exp(np.clip(others - logs, -700, 700)))
        return result
    whole: Floats = softmax(logs, axis=-1)
    return whole
