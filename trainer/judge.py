"""A trained network before its judges: tables and answers become evidence, evidence a judgement."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from models.privacy import Privacy
from models.recipe import Recipe
from trainer.baseline import Baseline, flat_features
from trainer.fit import History
from trainer.judging.columns import column_names
from trainer.judging.confidence import confidence
from trainer.judging.diagnosis import Diagnosis, diagnose
from trainer.judging.evidence import Course, Evidence, Part, Size, constant_loss, constant_score
from trainer.judging.forest import forest_scores
from trainer.judging.intervals import Interval
from trainer.judging.questions import Answered, Array, Question, Scores
from trainer.judging.scoring import HEADLINES, score
from trainer.table import Table

ELEMENTS_MOST = 100_000_000  # numbers of one part that are looked at as columns: 800 MB of doubles


@dataclass(frozen=True, slots=True)
class Asked:
    """The rows of one part and what the exported network answers to them."""

    table: Table
    answers: Array

    @property
    def given(self) -> Answered:
        """The answers beside the truth."""
        return Answered(self.answers, self.table.targets, keys=self.table.keys)


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged: a recipe's network, its answers on each part, how it was fitted and what it must beat."""

    recipe: Recipe
    question: Question
    train: Asked
    validation: Asked | None
    held_out: Asked
    history: History
    baseline: Baseline
    sizes: tuple[Size, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be thought of a network; scores are on the held-out rows."""

    scores: Scores
    intervals: Mapping[str, Interval]
    diagnosis: Diagnosis


def judge(case: Case) -> Judgement:
    """Judge a network."""
    question = case.question
    scores = score(question, case.held_out.given)
    intervals = confidence(question, case.held_out.given, case.recipe.training.seed)
    headline = intervals.get(HEADLINES[question.kind])
    noise = headline.deviation if headline is not None and np.isfinite(headline.deviation) else 0.0
    return Judgement(scores, intervals, diagnose(evidence(case, scores, noise)))


def evidence(case: Case, scores: Scores, noise: float) -> Evidence:
    """Return what the verdict is made from."""
    names = shown_names(case.recipe)
    train, held_out = part(case.train, names), part(case.held_out, names)
    truth = case.train.table.targets
    return Evidence(
        question=case.question,
        train=train,
        held_out=held_out,
        on_train=score(case.question, train.given),
        on_held_out=scores,
        baseline=case.baseline.scores,
        noise=noise,
        course=course_of(case.history, constant_loss(case.question, truth)),
        forest=forest_scores(case.question, train, held_out),
        checked=None if case.validation is None else part(case.validation, names),
        sizes=case.sizes,
        constant=constant_score(case.question, truth, case.held_out.table.targets),
    )


def part(asked: Asked, names: tuple[str, ...]) -> Part:
    """Return the rows of one part as columns; of rows too large for that, no columns."""
    table = asked.table
    if table.x.size > ELEMENTS_MOST:
        return Part(np.zeros((len(table), 0)), asked.given)
    return Part(flat_features(table), asked.given, names)


def shown_names(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the columns as they may be shown."""
    privacy = Privacy.of(recipe.as_data())
    return tuple(map(privacy.alias, column_names(recipe.input)))


def course_of(history: History, chance: float | None) -> Course:
    """Return how a fit went, in plain numbers."""
    checked = [epoch.validation_loss for epoch in history.epochs if epoch.validation_loss is not None]
    learned = tuple(epoch.train_loss for epoch in history.epochs)
    return Course(learned, tuple(checked), history.best, history.stopped_early, chance)
