"""Whether a probability means what it says: what was said and what came true, bin by bin."""

from dataclasses import dataclass

import numpy as np

from trainer.judging.questions import Array, Floats

BINS = 10
HONEST, HONEST_DRAWN = 0.95, 1000


@dataclass(frozen=True, slots=True)
class Bin:
    """The rows whose answer was about equally sure: how sure on average, and how often it was right."""

    low: float
    high: float
    rows: int
    said: float
    came_true: float


def bin_numbers(confidence: Array) -> Array:
    """Return the bin of each row, of ten as wide as one another."""
    return np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)


def calibration_error(confidence: Floats, right: Array, weights: Floats | None = None) -> float:
    """Return the expected calibration error, 0 for an honest model.

    Shape:  confidence (N,) in [0, 1], right (N,) bool.
    Source: Guo et al. 2017, arXiv:1706.04599, equation 5, with ten bins.
    """
    weight = np.ones(len(confidence)) if weights is None else weights
    gaps = np.bincount(bin_numbers(confidence), weight * (confidence - right), minlength=BINS)
    return float(np.abs(gaps).sum() / weight.sum())


def error_by_chance(confidence: Floats, weights: Floats | None = None, seed: int = 0) -> float:
    """Return the calibration error that an honest model which is as sure of these rows exceeds once in twenty times.

    The gap of each bin is normal, as a sum of many rows is.

    Shape:  confidence (N,) in [0, 1].
    Source: Bröcker and Smith 2007, consistency resampling; doi 10.1175/WAF993.1
    """
    weight = np.ones(len(confidence)) if weights is None else weights
    spreads = np.square(weight) * confidence * (1 - confidence)
    deviations = np.sqrt(np.bincount(bin_numbers(confidence), spreads, minlength=BINS))
    gaps = np.random.default_rng(seed).normal(size=(HONEST_DRAWN, BINS)) * deviations
    return float(np.quantile(np.abs(gaps).sum(1), HONEST) / weight.sum())


def bins(confidence: Floats, right: Array) -> tuple[Bin, ...]:
    """Return the bins that have rows, from the least sure to the surest."""
    numbers = bin_numbers(confidence)
    return tuple(
        Bin(
            number / BINS,
            (number + 1) / BINS,
            int(chosen.sum()),
            float(confidence[chosen].mean()),
            float(right[chosen].mean()),
        )
        for number in range(BINS)
        if (chosen := numbers == number).any()
    )
