"""Evidence made for one purpose: every part of it is unremarkable but for what a test changes."""

from typing import Any

import numpy as np

from trainer.judging.evidence import Course, Evidence, Part, constant_loss, constant_score
from trainer.judging.questions import Answered, Array, Question, Scores
from trainer.judging.scoring import score

LABELS = Question("classification", ("no", "yes"))
VALUES = Question("regression")
SETTLED = Course((0.7, 0.4, 0.3, 0.28, 0.27, 0.27), (0.72, 0.45, 0.35, 0.33, 0.32, 0.32), 5)


def rows(count: int = 200, columns: int = 3, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=(count, columns))


def labels(features: Array, noise: float = 1.0, seed: int = 2) -> Array:
    """Labels that follow from the features but for some noise."""
    return (features.sum(1) + np.random.default_rng(seed).normal(size=len(features)) * noise > 0).astype(
        np.int64
    )


def sure(features: Array) -> Array:
    """What a good model says: unsure near the border."""
    second = 1 / (1 + np.exp(-1.7 * features.sum(1)))
    return np.stack([1 - second, second], axis=1)


def part(features: Array, targets: Array, answers: Array | None = None) -> Part:
    given = sure(features) if answers is None else answers
    keys = tuple(f"row:{1000 - 7 * number}" for number in range(len(features)))
    names = tuple("abcdefghijklmnopqrstuvwxyz"[: features.shape[1]])
    return Part(features, Answered(given, targets, keys=keys), names)


def evidence(train: Part | None = None, held_out: Part | None = None, **facts: Any) -> Evidence:
    question = facts.pop("question", LABELS)
    train = train or part(rows(), labels(rows()))
    held_out = held_out or part(rows(seed=3), labels(rows(seed=3), seed=4))
    usual: dict[str, Any] = {
        "on_train": score(question, train.given),
        "on_held_out": score(question, held_out.given),
        "baseline": score(question, held_out.given),
        "noise": 0.02,
        "course": SETTLED,
        "constant": constant_score(question, train.given.truth, held_out.given.truth),
    }
    return Evidence(question, train, held_out, **(usual | facts))


def scored(value: float) -> Scores:
    classes = {label: {"recall": value} for label in LABELS.labels}
    return Scores({"accuracy": value, "r2": value}, classes=classes)


__all__ = ["constant_loss", "evidence", "labels", "part", "rows", "scored", "sure"]
