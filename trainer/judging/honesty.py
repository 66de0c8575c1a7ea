"""What is told of probabilities and of the threshold: how honest they are, and what the decision costs."""

from dataclasses import asdict, dataclass

from trainer.judging.calibration import Tempering, untempered
from trainer.judging.findings import Finding
from trainer.judging.questions import EVEN, Answered, Floats, Question
from trainer.judging.reliability import Bin, bins
from trainer.judging.scoring import score
from trainer.judging.threshold import Counts, Rule, choose, counts_at

POSITIVES_FEW = 20


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far the probabilities of held-out rows are from what came true, without and with the temperature."""

    tempering: Tempering
    before: dict[str, float]
    after: dict[str, float]
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """A threshold of the positive label: chosen on validation rows, tried on those held out.

    `even` is what one half would have made of the held-out rows.
    """

    positive: int
    rule: Rule
    chosen: Counts
    tried: Counts
    even: Counts

    @property
    def threshold(self) -> float:
        """The probability from which the second of the two labels is said, as a server applies it."""
        return self.chosen.threshold if self.positive == 1 else 1 - self.chosen.threshold

    def as_data(self, labels: tuple[str, ...]) -> dict[str, object]:
        """Return it as plain data."""
        parts = {"validation": self.chosen, "held_out": self.tried, "held_out_at_one_half": self.even}
        return {
            "positive": labels[self.positive],
            "rule": self.rule.words,
            "threshold": self.chosen.threshold,
            **{name: self._facts(counts) for name, counts in parts.items()},
        }

    def _facts(self, counts: Counts) -> dict[str, float]:
        cells = {name: value for name, value in asdict(counts).items() if name != "threshold"}
        facts = {"precision": counts.precision, "recall": counts.recall}
        if self.rule.cost is not None:
            facts["cost"] = counts.cost(*self.rule.cost)
        return {name: round(value, 6) for name, value in (cells | facts).items()}

    def finding(self) -> Finding | None:
        """Return a warning where too few rows chose it."""
        there = self.chosen.true_positives + self.chosen.false_negatives
        if there >= POSITIVES_FEW:
            return None
        return Finding(
            "rough threshold",
            f"the threshold {self.chosen.threshold:.3g} was chosen on {there:g} positive validation rows",
            "give training.validation a larger share, or collect more rows of that label",
        )


def calibration(question: Question, given: Answered, tempered: Tempering) -> Calibration:
    """Return how honest probabilities are, and were before they were tempered."""
    answers = given.answers.astype("float64")
    raw = untempered(question.kind, answers, tempered.temperature) if tempered.kept else answers
    said, right = certainty(question, answers, given)
    return Calibration(
        tempered, honesty(question, raw, given), honesty(question, answers, given), bins(said, right)
    )


def honesty(question: Question, answers: Floats, given: Answered) -> dict[str, float]:
    """Return the scores that measure probabilities."""
    values = score(question, Answered(answers, given.truth, given.weights)).values
    return {name: values[name] for name in ("log_loss", "brier", "ece")}


def certainty(question: Question, answers: Floats, given: Answered) -> tuple[Floats, Floats]:
    """Return how sure each answer is, and whether it is right."""
    if question.kind == "multilabel":
        sure = abs(answers - EVEN) + EVEN
        return sure.reshape(-1), ((answers >= EVEN) == given.truth).reshape(-1)
    return answers.max(-1), answers.argmax(-1) == given.truth


def decided(rule: Rule, positive: int, checked: Answered, held_out: Answered) -> Decided:
    """Choose a threshold on rows that trained nothing, and try it on those held out."""
    chosen = choose(rule, checked.answers[:, positive], checked.truth == positive, checked.weights)
    tried, even = (
        counts_at(limit, held_out.answers[:, positive], held_out.truth == positive, held_out.weights)
        for limit in (chosen.threshold, EVEN)
    )
    return Decided(positive, rule, chosen, tried, even)
