"""Contests: which ready recipes are measured, in which score, and what they shall reach."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contest:
    """One recipe and a score of it, of which more is better; `least` is to be reached beside beating rivals."""

    recipe: str
    score: str
    least: float | None = None


CONTESTS = (
    Contest("breast_cancer", "accuracy"),
    Contest("wine", "accuracy"),
    Contest("digits", "accuracy", 0.988),
    Contest("diabetes", "r2"),
    Contest("caravan", "roc_auc"),
    Contest("caravan", "pr_auc"),
    Contest("japanese_vowels", "accuracy", 0.98),
    Contest("basic_motions", "accuracy", 1.0),
)
