"""From which probability on one of two labels is said, chosen for what mistakes cost.

Chosen on rows that trained nothing and reported on rows that chose nothing.
"""

from dataclasses import dataclass

import numpy as np

from trainer.judging.questions import EVEN, Array, Floats


@dataclass(frozen=True, slots=True)
class Rule:
    """What a threshold is chosen for: one of cost (false positive, false negative), beta, precision, recall."""

    cost: tuple[float, float] | None = None
    beta: float | None = None
    precision: float | None = None
    recall: float | None = None

    @property
    def words(self) -> str:
        """The rule as a person says it."""
        if self.cost is not None:
            return f"a false positive costs {self.cost[0]:g}, a false negative {self.cost[1]:g}"
        if self.beta is not None:
            return f"the highest F{self.beta:g}"
        if self.precision is not None:
            return f"a precision of {self.precision:g} or more"
        return f"a recall of {self.recall:g} or more"


@dataclass(frozen=True, slots=True)
class Counts:
    """Right and wrong answers at one threshold, as sums of weights."""

    threshold: float
    true_positives: float
    false_positives: float
    false_negatives: float
    true_negatives: float

    @property
    def rows(self) -> float:
        """All of them."""
        return self.true_positives + self.false_positives + self.false_negatives + self.true_negatives

    @property
    def precision(self) -> float:
        """Share of the rows said to be positive that are; 1 where none is said to be."""
        said = self.true_positives + self.false_positives
        return self.true_positives / said if said else 1.0

    @property
    def recall(self) -> float:
        """Share of the positive rows that are found; 1 where there are none."""
        there = self.true_positives + self.false_negatives
        return self.true_positives / there if there else 1.0

    def cost(self, false_positive: float, false_negative: float) -> float:
        """Return what the mistakes cost, a row on average."""
        return (false_positive * self.false_positives + false_negative * self.false_negatives) / self.rows

    def f_score(self, beta: float) -> float:
        """Return F beta: van Rijsbergen 1979, recall counts beta times as much as precision."""
        square = beta * beta
        hits = (1 + square) * self.true_positives
        every = hits + square * self.false_negatives + self.false_positives
        return hits / every if every else 0.0


def counts_at(threshold: float, scores: Array, truth: Array, weights: Floats | None = None) -> Counts:
    """Count the answers at a threshold: scores (N,) of the positive label, truth (N,) bool."""
    weight = np.ones(len(scores)) if weights is None else weights
    said, true = scores >= threshold, truth.astype(bool)
    cells = (said & true, said & ~true, ~said & true, ~said & ~true)
    return Counts(threshold, *(float(weight[cell].sum()) for cell in cells))


def candidates(scores: Array) -> Floats:
    """Return one threshold for each way to part the rows: between scores, below and above all of them."""
    values = np.unique(scores.astype(np.float64))
    middles = (values[1:] + values[:-1]) / 2
    return np.unique(np.concatenate([[0.0], middles, [(1 + values[-1]) / 2]]))


def every_count(scores: Array, truth: Array, weights: Floats | None = None) -> list[Counts]:
    """Count the answers at every threshold that makes a difference, ascending."""
    weight = np.ones(len(scores)) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    positive = weight[order] * truth.astype(bool)[order]
    # What lies below a threshold is said to be negative: sums up to each place.
    misses = np.concatenate([[0.0], np.cumsum(positive)])
    spared = np.concatenate([[0.0], np.cumsum(weight[order] - positive)])
    limits = candidates(scores)
    places = np.searchsorted(scores[order].astype(np.float64), limits)
    return [
        Counts(
            float(limit),
            float(misses[-1] - misses[place]),
            float(spared[-1] - spared[place]),
            float(misses[place]),
            float(spared[place]),
        )
        for limit, place in zip(limits, places, strict=True)
    ]


def choose(rule: Rule, scores: Array, truth: Array, weights: Floats | None = None) -> Counts:
    """Return the threshold that a rule asks for, with its counts; of equal ones the least surprising.

    Where no threshold reaches a precision, the one that comes closest is taken.
    """
    every = every_count(scores, truth, weights)
    if rule.cost is not None:
        false_positive, false_negative = rule.cost
        honest = false_positive / (false_positive + false_negative)  # of calibrated probabilities
        return min(
            every,
            key=lambda one: (
                round(one.cost(false_positive, false_negative), 12),
                abs(one.threshold - honest),
            ),
        )
    if rule.beta is not None:
        beta = rule.beta
        return max(every, key=lambda one: (round(one.f_score(beta), 12), -abs(one.threshold - EVEN)))
    if rule.recall is not None:
        enough = [one for one in every if one.recall >= rule.recall]
        return max(enough, key=lambda one: one.threshold)
    wanted = rule.precision or 0.0
    precise = [one for one in every if one.precision >= wanted and one.true_positives > 0]
    if precise:
        return max(precise, key=lambda one: (one.recall, one.precision))
    return max(every, key=lambda one: (one.true_positives > 0, one.precision))
