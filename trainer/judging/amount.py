"""Whether there are enough rows: in all, of each label, and what more of them would bring."""

from collections.abc import Iterator

import numpy as np

from trainer.judging.evidence import Evidence
from trainer.judging.findings import Finding
from trainer.judging.questions import said_labels

HELD_OUT_FEW = 50  # below this one row is worth 2 points of accuracy or more
ROWS_PER_CLASS_FEW = 20
RARE = 0.1
TIMES_RARER = 9.0
RECALL_POOR = 0.5
CLIMB = 0.02
FLAT = 0.01


def signs(evidence: Evidence) -> Iterator[Finding]:
    """Say when there are too few rows, and whether labels are rare."""
    yield from scarcity(evidence)
    yield from climbing(evidence)
    yield from imbalance(evidence)


def scarcity(evidence: Evidence) -> Iterator[Finding]:
    """Say when there are too few rows to learn from or to judge by."""
    held_out, rows = len(evidence.held_out), len(evidence.train)
    if held_out < HELD_OUT_FEW:
        yield Finding(
            "too little data",
            f"only {held_out} rows were held out: the score is a rough guess",
            "collect more rows, or hold a larger share out (training.test)",
        )
    labels = evidence.question.labels if evidence.question.kind == "classification" else ("",)
    if rows < ROWS_PER_CLASS_FEW * len(labels):
        yield Finding(
            "too little data",
            f"only {rows} rows to learn from, {ROWS_PER_CLASS_FEW} a label is little already",
            "collect more rows",
        )


def climbing(evidence: Evidence) -> Iterator[Finding]:
    """Say what the curve over the number of rows tells; it needs three sizes, the last of them all rows."""
    sizes = evidence.sizes
    if len(sizes) < 3:
        return
    told = ", ".join(f"{size.score:.3f} from {size.rows} rows" for size in sizes)
    before, half, whole = sizes[-3:]
    by_chance = 2 * evidence.noise
    if whole.score > half.score and whole.score - before.score > max(CLIMB, by_chance):
        yield Finding(
            "too little data",
            f"the score still climbs with the rows ({evidence.metric} {told})",
            "more rows will help more than another network",
        )
    elif whole.score - half.score < max(FLAT, evidence.noise):
        yield Finding(
            "enough data",
            f"more rows of the same kind would hardly help ({evidence.metric} {told})",
            "look for better features or another network instead",
        )


def imbalance(evidence: Evidence) -> Iterator[Finding]:
    """Say when a label is rare, and what that makes of the score."""
    question = evidence.question
    if question.kind != "classification":
        return
    counts = np.bincount(evidence.train.given.truth.astype(np.int64), minlength=len(question.labels))
    rare, most = int(counts.argmin()), int(counts.argmax())
    # Of many labels each is rare: what matters is that one is rarer than another.
    if counts[rare] > RARE * counts.sum() or counts[most] < TIMES_RARER * counts[rare]:
        yield from one_label(evidence)
        return
    label, often = question.labels[rare], question.labels[most]
    found = (evidence.decided or evidence.on_held_out).classes[label]["recall"]
    cure = "; set class weights" + ("" if evidence.decided else ", or a decision with a cost")
    yield Finding(
        "imbalanced labels",
        f"{label!r} is {counts[rare] / counts.sum():.1%} of the rows, so saying always {often!r} would be right in "
        f"{evidence.constant:.1%}; of the held-out rows that are {label!r} it finds {found:.0%}",
        "judge by pr_auc and balanced_accuracy, not by accuracy" + (cure if found < RECALL_POOR else ""),
    )


def one_label(evidence: Evidence) -> Iterator[Finding]:
    """Say when every row held out is given the same label: its accuracy says nothing then."""
    said = np.unique(said_labels(evidence.question, evidence.held_out.given.answers))
    if len(said) > 1 or evidence.decided is not None:
        return
    area = evidence.on_held_out.values.get("roc_auc")
    order = (
        ""
        if area is None
        else f"; how its probabilities order them has an area under the ROC curve of {area:.3f}"
    )
    yield Finding(
        "imbalanced labels",
        f"every row held out is answered {evidence.question.labels[said[0]]!r}, so that its accuracy is that of "
        f"saying so always{order}",
        "judge by pr_auc and balanced_accuracy, not by accuracy; set class weights, or a decision with a cost",
    )
