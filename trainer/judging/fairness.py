"""How a model treats groups of rows: scores of each, the largest gaps between them, a warning above a bound.

Source of the names: Hardt, Price and Srebro 2016, arXiv:1610.02413 (equalised odds); demographic
parity is the gap in how often a label is said, whatever is true.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from models.scores import six_digits
from trainer.judging.findings import Finding
from trainer.judging.groups import Grouping, grouping
from trainer.judging.questions import Answered, Array, Floats, Question, said_labels

ROWS_FEW = 20  # of a smaller group a gap says nothing
CASES_FEW = 5  # rows that a rate is of
SHUFFLES = 200
ROWS_SHUFFLED = 20_000
CHANCE = 0.95
NORMAL = 1.96

Rates = dict[str, Floats]  # of each group, nan where too few rows say


@dataclass(frozen=True, slots=True)
class Audit:
    """One sensitive field: its groups, the largest gap of each kind, and what chance alone would give."""

    name: str
    groups: tuple[dict[str, Any], ...]
    gaps: dict[str, float]
    by_chance: dict[str, float]
    bound: float

    def as_data(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "name": self.name,
            "groups": list(self.groups),
            "gaps": self.gaps,
            "by_chance": self.by_chance,
        }

    def findings(self) -> Iterator[Finding]:
        """Give a warning for each gap above the bound."""
        for kind, gap in self.gaps.items():
            if gap <= self.bound:
                continue
            chance = self.by_chance.get(kind, 0.0)
            small = f"; with so few rows chance alone gives up to {chance:.2f}" if gap <= chance else ""
            yield Finding(
                "unequal groups",
                f"the groups of {self.name} differ by {gap:.2f} in {WORDS[kind]}, {self.bound:g} is the bound{small}",
                "compare the groups on the card; take out what stands for the field, weigh or collect rows "
                "of the group that fares worse",
            )


WORDS = {
    "demographic_parity": "how often a label is said (demographic parity)",
    "equalised_odds": "how often it is said rightly or wrongly (equalised odds)",
    "accuracy": "accuracy",
    "error": "their mean absolute error, as a share of that of all rows",
    "bias": "their mean error, in deviations of the target",
}


def audit(
    question: Question,
    given: Answered,
    fields: Mapping[str, Sequence[str | None]],
    bound: float,
    seed: int = 0,
) -> tuple[Audit, ...]:
    """Compare the groups of each field; kinds of question without a rate of their own have none."""
    if question.kind not in ("classification", "regression"):
        return ()
    return tuple(
        audited(question, given, name, grouping(values), (bound, seed)) for name, values in fields.items()
    )


def audited(question: Question, given: Answered, name: str, parted: Grouping, by: tuple[float, int]) -> Audit:
    """Compare the groups of one field."""
    bound, seed = by
    count = len(parted.names)
    measure = measures(question, given)
    rows = np.bincount(parted.codes, minlength=count)
    rates = measure(parted.codes, count)
    groups = tuple(
        {
            "group": group,
            "rows": int(rows[at]),
            **({"few": True} if rows[at] < ROWS_FEW else {}),
            **group_scores(question, rates, at, rows),
        }
        for at, group in enumerate(parted.names)
    )
    gaps = gaps_of(rates, rows)
    return Audit(name, groups, gaps, chance_gaps(measure, parted, (seed, len(given))) if gaps else {}, bound)


def measures(question: Question, given: Answered) -> Callable[[Array, int], Rates]:
    """Return what measures groups, given their codes and how many they are."""
    if question.kind == "regression":
        truth, answers = given.truth.reshape(-1).astype(np.float64), given.answers.reshape(-1)
        error, spread = answers - truth, float(truth.std()) or 1.0
        whole = float(np.abs(error).mean()) or 1.0

        def of_values(codes: Array, count: int) -> Rates:
            rows = np.bincount(codes, minlength=count)
            return {
                "mae": share(np.bincount(codes, np.abs(error), count), rows),
                "mean_error": share(np.bincount(codes, error, count), rows),
                "error": share(np.bincount(codes, np.abs(error) / whole, count), rows),
                "bias": share(np.bincount(codes, error / spread, count), rows),
            }

        return of_values
    return label_measures(question, given)


def label_measures(question: Question, given: Answered) -> Callable[[Array, int], Rates]:
    """Return what measures groups by the labels that are said of them."""
    truth, said = given.truth.astype(np.int64), said_labels(question, given.answers)
    looked_for = (question.positive,) if question.binary else tuple(range(len(question.labels)))

    def of_labels(codes: Array, count: int) -> Rates:
        rows = np.bincount(codes, minlength=count)
        rates = {"accuracy": share(np.bincount(codes, said == truth, count), rows)}
        for label in looked_for:
            there, told = truth == label, said == label
            rates[f"selection:{label}"] = share(np.bincount(codes, told, count), rows)
            for kind, among in (("hits", there), ("alarms", ~there)):
                of = np.bincount(codes[among], minlength=count)
                rates[f"{kind}:{label}"] = share(np.bincount(codes[among], told[among], count), of)
        return rates

    return of_labels


def share(part: Array, whole: Array) -> Floats:
    """Return a rate of each group, nan where it is of too few rows."""
    result: Floats = np.where(whole >= CASES_FEW, part / np.maximum(whole, 1), np.nan)
    return result


def gaps_of(rates: Rates, rows: Array) -> dict[str, float]:
    """Return the largest gap of each kind between groups of enough rows."""
    enough = rows >= ROWS_FEW

    def largest(*starts: str) -> float:
        values = [rate[enough] for name, rate in rates.items() if name.startswith(starts)]
        spans = [np.ptp(rate[np.isfinite(rate)]) for rate in values if np.isfinite(rate).sum() > 1]
        return round(float(max(spans)), 6) if spans else np.nan

    kinds = {
        "demographic_parity": largest("selection:"),
        "equalised_odds": largest("hits:", "alarms:"),
        "accuracy": largest("accuracy"),
        "error": largest("error"),
        "bias": largest("bias"),
    }
    return {kind: gap for kind, gap in kinds.items() if np.isfinite(gap)}


def chance_gaps(
    measure: Callable[[Array, int], Rates], parted: Grouping, by: tuple[int, int]
) -> dict[str, float]:
    """Return the gaps that groups of these sizes reach once in twenty times when rows are dealt out by chance."""
    seed, count = by
    random = np.random.default_rng(seed)
    shuffles = SHUFFLES if count <= ROWS_SHUFFLED else max(20, SHUFFLES * ROWS_SHUFFLED // count)
    rows = np.bincount(parted.codes, minlength=len(parted.names))
    drawn: dict[str, list[float]] = {}
    for _ in range(shuffles):
        for kind, gap in gaps_of(measure(random.permutation(parted.codes), len(parted.names)), rows).items():
            drawn.setdefault(kind, []).append(gap)
    return {kind: round(float(np.quantile(gaps, CHANCE)), 6) for kind, gaps in drawn.items()}


def group_scores(question: Question, rates: Rates, at: int, rows: Array) -> dict[str, Any]:
    """Return the scores of one group with intervals, as a card tells them."""
    names = {"accuracy": "accuracy", "mae": "mean absolute error", "mean_error": "mean error"}
    if question.binary:
        label = question.positive
        names |= {
            f"selection:{label}": f"said {question.labels[label]}",
            f"hits:{label}": "rightly",
            f"alarms:{label}": "wrongly",
        }
    scores = {
        told: six_digits(float(rates[name][at]))
        for name, told in names.items()
        if name in rates and np.isfinite(rates[name][at])
    }
    of_all = {told for name, told in names.items() if name == "accuracy" or name.startswith("selection:")}
    return {
        "scores": scores,
        "intervals": {told: wilson(scores[told], int(rows[at])) for told in of_all & set(scores)},
    }


def wilson(rate: float, count: int) -> list[float]:
    """Return where a rate of so many rows lies with 95% confidence: Wilson 1927, as few rows need it."""
    square = NORMAL * NORMAL
    middle = (rate + square / (2 * count)) / (1 + square / count)
    half = NORMAL * sqrt(rate * (1 - rate) / count + square / (4 * count * count)) / (1 + square / count)
    return [round(max(0.0, middle - half), 6), round(min(1.0, middle + half), 6)]
