"""A verdict on a trained model, in words and numbers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isfinite

from trainer.judging import amount, course, fitting, leakage, mislabelled
from trainer.judging.evidence import Evidence
from trainer.judging.findings import GOOD, VERDICTS, Finding

Look = Callable[[Evidence], Iterator[Finding]]
LOOKS: tuple[Look, ...] = (
    leakage.signs,
    fitting.signs,
    lambda evidence: course.signs(evidence.course),
    mislabelled.signs,
    amount.signs,
)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is to be thought of a model.

    `gap` is the headline score on the training rows less that on the held-out rows, `noise` how far
    chance alone moves the latter; `findings` are a summary and the signs as sentences.
    """

    verdict: str
    metric: str
    gap: float
    noise: float
    findings: tuple[str, ...]
    signs: tuple[Finding, ...] = ()


def diagnose(evidence: Evidence, also: tuple[Finding, ...] = ()) -> Diagnosis:
    """Say whether a model learned too much, too little, the wrong thing, or from too few rows."""
    found = (*(finding for look in LOOKS for finding in look(evidence)), *also)
    gap = evidence.own - evidence.new
    signs = {finding.sign for finding in found}
    return Diagnosis(
        next((verdict for verdict in VERDICTS if verdict in signs), GOOD),
        evidence.metric,
        round(gap, 4) if isfinite(gap) else 0.0,
        round(evidence.noise, 4),
        (summary(evidence), *map(str, found)),
        found,
    )


def summary(evidence: Evidence) -> str:
    """Return the scores that the verdict rests on, in one sentence."""
    forest = (
        f", {evidence.forest.values[evidence.metric]:.3f} for a forest" if evidence.forest is not None else ""
    )
    return (
        f"{evidence.metric} {evidence.own:.3f} on the rows it learned from, {evidence.new:.3f} on those held out "
        f"(give or take {evidence.noise:.3f} by chance), {evidence.plain:.3f} for the linear baseline{forest}"
    )
