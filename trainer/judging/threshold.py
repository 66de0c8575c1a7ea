"""From which probability on one of two labels is said, chosen for what mistakes cost.

Chosen on rows that trained nothing and reported on rows that chose nothing.
"""

from dataclasses import dataclass

import numpy as np

from trainer.judging.questions import EVEN, Array, Floats

EDGE = 0.1  # of the gap between two scores
DEVIATIONS = 2.0
OWN_ROWS = 100


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


def candidates(scores: Array, near: float) -> Floats:
    """Return one threshold for each way to part the rows, as near to a wanted one as the scores allow."""
    values = np.unique(scores.astype(np.float64))
    low = np.concatenate([[min(0.0, values[0])], values])
    high = np.concatenate([values, [max(1.0, values[-1])]])
    # Not at the very edge: another row may score a little less or more.
    limits: Floats = np.clip(near, low + EDGE * (high - low), high - EDGE * (high - low))
    return limits


def every_count(
    scores: Array, truth: Array, weights: Floats | None = None, near: float = EVEN
) -> list[Counts]:
    """Count the answers at every threshold that makes a difference, ascending."""
    weight = np.ones(len(scores)) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    positive = weight[order] * truth.astype(bool)[order]
    # What lies below a threshold is said to be negative: sums up to each place.
    misses = np.concatenate([[0.0], np.cumsum(positive)])
    spared = np.concatenate([[0.0], np.cumsum(weight[order] - positive)])
    limits = candidates(scores, near)
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
    if rule.cost is not None:
        return cheapest(rule.cost, scores, truth, weights)
    every = every_count(scores, truth, weights)
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


def cheapest(cost: tuple[float, float], scores: Array, truth: Array, weights: Floats | None = None) -> Counts:
    """Return the threshold of the lowest cost.

    Of honest probabilities that is known beforehand; it is left only where the rows show, beyond
    chance, that another one costs less. What is cheapest on a few rows is rarely so on others, so
    what the probabilities themselves expect counts as so many more rows.
    Source: Elkan 2001, "The foundations of cost-sensitive learning", IJCAI, equation 2.
    """
    honest = cost[0] / (cost[0] + cost[1])
    every = every_count(scores, truth, weights, near=honest)
    expected = own_costs(cost, scores, [one.threshold for one in every])
    best, _ = min(
        zip(every, expected, strict=True),
        key=lambda pair: (
            round(pair[0].cost(*cost) * len(scores) + pair[1] * OWN_ROWS, 9),
            abs(pair[0].threshold - honest),
        ),
    )
    saved = row_costs(cost, scores >= honest, truth) - row_costs(cost, scores >= best.threshold, truth)
    saved = saved if weights is None else saved * weights
    if saved.mean() > DEVIATIONS * saved.std() / np.sqrt(len(saved)):
        return best
    return counts_at(honest, scores, truth, weights)


def own_costs(cost: tuple[float, float], scores: Array, limits: list[float]) -> Floats:
    """Return what each threshold costs a row on average, if the probabilities are right."""
    order = np.sort(scores.astype(np.float64))
    missed = np.concatenate([[0.0], np.cumsum(order)])
    wrongly = np.concatenate([[0.0], np.cumsum(1 - order)])
    places = np.searchsorted(order, limits)
    total: Floats = cost[1] * missed[places] + cost[0] * (wrongly[-1] - wrongly[places])
    return total / len(order)


def row_costs(cost: tuple[float, float], said: Array, truth: Array) -> Floats:
    """Return what each row costs."""
    true = truth.astype(bool)
    return np.where(said & ~true, cost[0], 0.0) + np.where(~said & true, cost[1], 0.0)
