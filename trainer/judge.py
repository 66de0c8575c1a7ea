"""A trained network before its judges: tables and answers become evidence, evidence a judgement."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from models.privacy import Privacy
from models.recipe import Recipe
from trainer.baseline import Baseline, flat_features
from trainer.fitting.fit import History
from trainer.judging.calibration import TEMPERED, Tempering
from trainer.judging.columns import column_names, defaults
from trainer.judging.confidence import confidence
from trainer.judging.diagnosis import Diagnosis, diagnose
from trainer.judging.evidence import Course, Evidence, Part, Size, constant_loss, constant_score
from trainer.judging.fairness import Audit, audit
from trainer.judging.forest import forest_scores
from trainer.judging.honesty import Calibration, Decided, calibration, decided
from trainer.judging.intervals import Interval, deviation_of_share
from trainer.judging.questions import Answered, Array, Kind, Question, Scores
from trainer.judging.scoring import HEADLINES, score
from trainer.judging.summary import FEATURES_KEPT, features, labels, target
from trainer.judging.threshold import Rule
from trainer.sampling import evenly
from trainer.table import Table

ELEMENTS_MOST = 1_000_000  # numbers of one part that are looked at as columns: 8 MB of doubles


@dataclass(frozen=True, slots=True)
class Asked:
    """The rows of one part and what the exported network answers to them."""

    table: Table
    answers: Array
    naive: Array | None = None
    """The forecast of the last known value, where there is one."""

    @property
    def given(self) -> Answered:
        """The answers beside the truth."""
        return Answered(self.answers, self.table.targets, naive=self.naive, keys=self.table.keys)


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
    tempering: Tempering = field(default_factory=Tempering)
    sizes: tuple[Size, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be thought of a network; scores are on the held-out rows."""

    scores: Scores
    intervals: Mapping[str, Interval]
    diagnosis: Diagnosis
    calibration: Calibration | None = None
    decided: Decided | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    audits: tuple[Audit, ...] = ()


def judge(case: Case) -> Judgement:
    """Judge a network by what it will say once it is served: under its threshold, where it has one."""
    chosen, given = decision(case), case.held_out.given
    question = case.question if chosen is None else replace(case.question, threshold=chosen.threshold)
    scores, found = scored(case, question)
    on_held_out, by_chance = (scores, found) if chosen is None else scored(case, case.question)
    seen = evidence(case, by_chance, on_held_out, scores if chosen else None)
    audits = compared(case, question)
    warned = [chosen.finding() if chosen else None, *(one for part in audits for one in part.findings())]
    return Judgement(
        scores,
        found,
        diagnose(seen, tuple(one for one in warned if one)),
        calibration(case.question, given, case.tempering) if case.question.kind in TEMPERED else None,
        chosen,
        summary(case, seen),
        audits,
    )


def scored(case: Case, question: Question) -> tuple[Scores, dict[str, Interval]]:
    """Return the scores on the held-out rows, and between which numbers chance leaves them."""
    given = case.held_out.given
    return score(question, given), confidence(question, given, case.recipe.training.seed)


def compared(case: Case, question: Question) -> tuple[Audit, ...]:
    """Compare the groups of held-out rows that the recipe names as sensitive."""
    wanted, table = case.recipe.fairness, case.held_out.table
    if wanted is None or not table.beside:
        return ()
    privacy = Privacy.of(case.recipe.as_data())
    fields = {privacy.alias(name): list(table.beside[name]) for name in wanted.fields}
    return audit(question, case.held_out.given, fields, wanted.bound, case.recipe.training.seed)


def summary(case: Case, seen: Evidence) -> dict[str, Any]:
    """Return what the rows are like."""
    tables = {"train": case.train.table, "held_out": case.held_out.table}
    if case.validation is not None:
        tables["validation"] = case.validation.table
    count = sum(map(len, tables.values()))
    privacy = Privacy.of(case.recipe.as_data())
    missing = {privacy.alias(name): rows / count for name, rows in case.train.table.filled.items()}
    table = case.train.table
    every = [values.x.reshape(len(table), -1) for values in table.inputs.values()]
    whole = len(every) == 1 and all(values.lengths is None for values in table.inputs.values())
    columns = every[0] if whole else seen.train.features  # a table is not copied for its summary
    stands = {
        privacy.alias(name): number
        for view in case.recipe.features.inputs
        for name, number in defaults(view).items()
    }
    told: dict[str, Any] = {"features": features(columns, seen.train.names, missing, stands)}
    told["left_out"] = max(0, len(seen.train.names) - FEATURES_KEPT)
    if case.question.kind == "classification":
        truth = {part: table.targets for part, table in tables.items()}
        return told | {"labels": labels(case.question.labels, truth)}
    return told | ({"target": target(case.train.table.targets)} if case.question.kind == "regression" else {})


def decision(case: Case) -> Decided | None:
    """Return the threshold that the recipe asks for, chosen on the validation rows."""
    wanted, checked = case.recipe.decision, case.validation
    if wanted is None or checked is None:
        return None
    cost = (wanted.cost.false_positive, wanted.cost.false_negative) if wanted.cost else None
    rule = Rule(cost, wanted.f_beta, wanted.precision, wanted.recall)
    return decided(rule, case.question.positive, checked.given, case.held_out.given)


def noise_of(found: Mapping[str, Interval], kind: Kind, on_held_out: Scores, rows: int) -> float:
    """Return how far chance moves the headline score on the held-out rows, 0 where nobody knows."""
    headline = found.get(HEADLINES[kind])
    noise = headline.deviation if headline is not None and np.isfinite(headline.deviation) else 0.0
    if kind != "classification":
        return noise
    return max(noise, deviation_of_share(on_held_out.values["accuracy"], rows))


def evidence(
    case: Case, found: Mapping[str, Interval], on_held_out: Scores, under_threshold: Scores | None
) -> Evidence:
    """Return what the verdict is made from; it is about the network, so no threshold counts.

    Nor in how far chance moves a score: not at all where a threshold gives every row one label.
    """
    names = shown_names(case.recipe)
    train, held_out = part(case.train, names), part(case.held_out, names)
    truth = case.train.table.targets
    return Evidence(
        question=case.question,
        train=train,
        held_out=held_out,
        on_train=score(case.question, case.train.given),
        on_held_out=on_held_out,
        baseline=case.baseline.scores,
        noise=noise_of(found, case.question.kind, on_held_out, len(case.held_out.given)),
        course=course_of(case.history, constant_loss(case.question, truth)),
        forest=forest_scores(case.question, train, held_out),
        checked=None if case.validation is None else part(case.validation, names),
        sizes=case.sizes,
        constant=constant_score(case.question, truth, case.held_out.table.targets),
        decided=under_threshold,
    )


def part(asked: Asked, names: tuple[str, ...]) -> Part:
    """Return the rows of one part as columns, of very many rows some of them, evenly over all."""
    table = asked.table
    numbers = sum(values.x.size for values in table.inputs.values())
    if numbers > ELEMENTS_MOST:
        rows = evenly(len(table), ELEMENTS_MOST * len(table) // numbers)
        naive = None if asked.naive is None else asked.naive[rows]
        asked = Asked(table.take(rows), asked.answers[rows], naive)
    return Part(flat_features(asked.table), asked.given, names)


def shown_names(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the columns as they may be shown."""
    privacy = Privacy.of(recipe.as_data())
    return tuple(privacy.alias(name) for view in recipe.features.inputs for name in column_names(view))


def course_of(history: History, chance: float | None) -> Course:
    """Return how a fit went, in plain numbers."""
    checked = [epoch.validation_loss for epoch in history.epochs if epoch.validation_loss is not None]
    learned = tuple(epoch.train_loss for epoch in history.epochs)
    return Course(learned, tuple(checked), history.best, history.stopped_early, chance)
