"""Two models on the same rows: which one is better, and whether that may be chance."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from trainer.judging.confidence import mean_of
from trainer.judging.intervals import Interval, intervals
from trainer.judging.labels import SMALLEST_PROBABILITY, log_losses
from trainer.judging.questions import Array, Floats, Kind, Question, said_labels
from trainer.judging.threshold import row_costs

ROWS_LEAST = 30
CERTAIN = 0.05


@dataclass(frozen=True, slots=True)
class Contender:
    """One model's answers to the rows, and the threshold that it says its label by."""

    answers: Array
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A challenger beside the champion: `measure` is better when lower, a row on average.

    `saved` says how much lower the challenger's is, with 95% confidence; `only_champion` and
    `only_challenger` count the rows that only one of the two labels rightly, `mcnemar` how likely
    such counts are if both are as good, 1 where rows have no label.
    """

    measure: str
    champion: float
    challenger: float
    saved: Interval
    rows: int
    only_champion: int = 0
    only_challenger: int = 0
    mcnemar: float = 1.0

    @property
    def better(self) -> bool:
        """Whether the challenger is better beyond chance, and labels no fewer rows rightly beyond chance."""
        fewer = self.mcnemar < CERTAIN and self.only_champion > self.only_challenger
        return self.rows >= ROWS_LEAST and self.saved.low > 0 and not fewer

    @property
    def words(self) -> str:
        """What came of it, in a sentence."""
        scores = f"{self.measure} {self.challenger:.4g} against {self.champion:.4g} on {self.rows} rows"
        if self.rows < ROWS_LEAST:
            return f"{scores} that neither learned from: fewer than {ROWS_LEAST} decide nothing"
        ends = f"{self.saved.low:.3g} to {self.saved.high:.3g} lower with 95% confidence"
        if self.better:
            return f"the challenger is better: {scores}, {ends}"
        if self.saved.low > 0:
            return (
                f"{scores}, {ends}, but it labels fewer rows rightly: {self.only_challenger} that the champion "
                f"does not, the champion {self.only_champion} that it does not (McNemar p {self.mcnemar:.2g})"
            )
        if self.saved.high < 0:
            return f"the champion is better: {scores}"
        return f"{scores}: the difference may be chance ({ends})"


def compare(
    question: Question,
    truth: Array,
    pair: tuple[Contender, Contender],
    cost: tuple[float, float] | None = None,
) -> Comparison | None:
    """Compare a champion and a challenger, in this order; None for questions without a truth for each row.

    Where mistakes of two labels have a cost, that is what is compared, each model under its own
    threshold; else the log loss of labels, the pinball loss of quantiles, the squared error of values.
    """
    measure, losses = measured(question, cost)
    if losses is None:
        return None
    champion, challenger = (losses(question, one, truth) for one in pair)
    # Not each label among its own: who gives up one label for another gains where it happens to be rare.
    alike = np.zeros(len(truth))
    saved = intervals({"saved": mean_of(champion - challenger)}, alike)["saved"]
    facts = (measure, float(champion.mean()), float(challenger.mean()), saved, len(truth))
    if question.kind != "classification":
        return Comparison(*facts)
    right = [said_by(question, one) == truth for one in pair]
    alone = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    likely = float(binomtest(alone[0], sum(alone)).pvalue) if sum(alone) else 1.0
    return Comparison(*facts, *alone, likely)


Losses = Callable[[Question, Contender, Array], Floats]


def measured(question: Question, cost: tuple[float, float] | None) -> tuple[str, Losses | None]:
    """Return what is compared, and what gives it for each row."""
    if cost is not None and question.binary:

        def costs(asked: Question, one: Contender, truth: Array) -> Floats:
            said = said_by(asked, one) == asked.positive
            return row_costs(cost, said, truth == asked.positive)

        return "cost a row", costs
    return MEASURES.get(question.kind, ("", None))


def said_by(question: Question, one: Contender) -> Array:
    """Return the label number that a model says of each row, under its own threshold."""
    asked = Question(question.kind, question.labels, threshold=one.threshold, positive=question.positive)
    return said_labels(asked, one.answers)


def label_losses(_question: Question, one: Contender, truth: Array) -> Floats:
    """Return the log loss of each row."""
    return log_losses(one.answers.astype(np.float64), truth)


def several_losses(_question: Question, one: Contender, truth: Array) -> Floats:
    """Return the mean log loss over the labels of each row."""
    answers = one.answers.astype(np.float64)
    right = np.where(truth == 1, answers, 1 - answers)
    losses: Floats = -np.log(np.maximum(right, SMALLEST_PROBABILITY)).mean(1)
    return losses


def squared_errors(_question: Question, one: Contender, truth: Array) -> Floats:
    """Return the mean squared error of each row."""
    true = truth.reshape(len(truth), -1).astype(np.float64)
    errors: Floats = np.square(one.answers.reshape(len(truth), -1) - true).mean(1)
    return errors


def pinball_losses(question: Question, one: Contender, truth: Array) -> Floats:
    """Return the mean pinball loss over the values and the quantiles of each row."""
    shares = np.array(question.quantiles)
    true = truth.reshape(len(truth), -1, 1).astype(np.float64)
    over = true - one.answers.reshape(len(truth), -1, len(shares))  # (N, values, quantiles)
    losses: Floats = np.maximum(shares * over, (shares - 1) * over).mean((1, 2))
    return losses


MEASURES: dict[Kind, tuple[str, Losses]] = {
    "classification": ("log loss", label_losses),
    "multilabel": ("log loss", several_losses),
    "regression": ("squared error", squared_errors),
    "forecast": ("squared error", squared_errors),
    "quantiles": ("pinball loss", pinball_losses),
}
