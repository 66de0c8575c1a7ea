"""Hints that targets are wrong: mistakes where the model is as sure as anywhere, and outlying values.

Values of which a few are many times as large as the others are not wrong, but badly learned as they are.
"""

from collections.abc import Iterator

import numpy as np
from sklearn.metrics import roc_auc_score

from trainer.judging.evidence import Evidence
from trainer.judging.findings import Finding
from trainer.judging.leakage import VARIED, row_digests
from trainer.judging.questions import Answered, Floats

MISTAKES_LEAST = 12
BETTER_THAN_CONSTANT = 0.1
TELLS_MISTAKES = 0.62  # area under the curve; overlapping labels give about 0.8
SURE_AND_WRONG = 0.03  # share of mistakes among the surer half
DEVIATIONS = 8.0
OUTLYING_MOST = 0.05
FAR = 0.95  # the quantile of the targets that is held against their median
FAR_TIMES = 10.0  # incomes of a country: 3 to 5; a log-normal of deviation 1.4 or more
CONFLICTS_SHARE = 0.01
SHOWN = 3


def signs(evidence: Evidence) -> Iterator[Finding]:
    """Say when targets look wrong."""
    if evidence.question.kind == "classification":
        yield from conflicts(evidence)
        yield from sure_mistakes(evidence)
    elif evidence.question.kind == "regression":
        yield from far_targets(evidence) or outlying(evidence)


def sure_mistakes(evidence: Evidence) -> Iterator[Finding]:
    """Say when mistakes on new rows are spread evenly over those it is sure of and those it is not.

    Labels that overlap make mistakes where a model is unsure; labels that are wrong make them anywhere.
    """
    given = evidence.unseen
    right = given.answers.argmax(-1) == given.truth
    mistakes = int((~right).sum())
    if mistakes < MISTAKES_LEAST or right.mean() < evidence.constant + BETTER_THAN_CONSTANT:
        return
    sure = given.answers.max(-1).astype(np.float64)
    surer = sure >= np.median(sure)
    wrong = float((~right[surer]).mean())
    if roc_auc_score(right, sure) > TELLS_MISTAKES or wrong < SURE_AND_WRONG:
        return
    yield Finding(
        "noisy labels",
        f"of {len(right)} new rows {mistakes} are wrong, and of the half it is surest of {wrong:.1%}: "
        "about as many as of the others",
        f"check the labels, first of {named(given, np.where(right, -np.inf, sure))}",
    )


def conflicts(evidence: Evidence) -> Iterator[Finding]:
    """Say when rows with the same features have different labels."""
    digests = row_digests(evidence.train.features)
    labels: dict[bytes, set[int]] = {}
    for digest, label in zip(digests, evidence.train.given.truth.tolist(), strict=True):
        labels.setdefault(digest, set()).add(label)
    torn = sum(len(labels[digest]) > 1 for digest in digests)
    if torn >= CONFLICTS_SHARE * len(digests) and torn and len(labels) >= VARIED * len(digests):
        yield Finding(
            "noisy labels",
            f"{torn} of {len(digests)} training rows have a twin with the same features and another label",
            "check these labels, or add the feature that tells them apart",
        )


def far_targets(evidence: Evidence) -> list[Finding]:
    """Say when a few targets, all above 0, are so far above the others that they alone are learned."""
    truth = evidence.train.given.truth
    if truth.size != len(truth) or not truth.min() > 0:
        return []
    middle, far = np.quantile(truth, [0.5, FAR])
    if far < FAR_TIMES * middle:
        return []
    return [
        Finding(
            "far targets",
            f"half of the targets are below {middle:.3g} and {1 - FAR:.0%} above {far:.3g}, up to {truth.max():.3g}: "
            "the squared errors of these few are nearly all that is learned and scored",
            "learn the logarithm, a target of its own, and take the exponential of the answers",
        )
    ]


def outlying(evidence: Evidence) -> Iterator[Finding]:
    """Say when a few targets are far off from everything that the others show."""
    given = evidence.unseen
    residual = given.truth.reshape(-1).astype(np.float64) - given.answers.reshape(-1)
    usual = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))  # a normal deviation
    far = np.abs(residual - np.median(residual)) / usual if usual else np.zeros(len(residual))
    count = int((far > DEVIATIONS).sum())
    if 0 < count <= max(1, OUTLYING_MOST * len(far)):
        yield Finding(
            "noisy labels",
            f"{count} of {len(far)} new rows have a target more than {DEVIATIONS:g} usual errors away",
            f"check the targets, first of {named(given, far)}",
        )


def named(given: Answered, doubt: Floats) -> str:
    """Return the rows of which one doubts most, by their keys or else their numbers."""
    worst = np.argsort(-doubt, kind="stable")[:SHOWN]
    return ", ".join(given.keys[row] if given.keys else f"row {row}" for row in worst)
