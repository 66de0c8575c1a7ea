"""One training from a table to a bundle: part, search, fit, export, evaluate, compare, judge."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.columns import Wording
from models.privacy import Privacy
from models.recipe import Recipe
from models.recipe_data import FollowingTarget
from models.reference import ENTRY
from models.scores import four_digits
from trainer.attribute import attributions
from trainer.baseline import Baseline, baseline, categories_of, mean_row
from trainer.blueprints import blueprint_of
from trainer.contest.unseen import unseen_by_all
from trainer.contest.windows import Windows
from trainer.datasets.series import Series
from trainer.errors import NotEnoughRows, TrainingDiverged
from trainer.evaluate import question_of
from trainer.events import Journal, Noticed, silent
from trainer.exporting.export import Exported, Input, Served, Signature, answers, export, feed
from trainer.exporting.quantize import quantized
from trainer.fitting.beginning import Beginning, Learning, fitted
from trainer.fitting.fit import History, raw_outputs, reproducible
from trainer.fitting.rows import Rows
from trainer.fitting.starting import begun_task
from trainer.judge import Asked, Case, Judgement, judge
from trainer.judging.calibration import TEMPERED, Tempering, tempering
from trainer.judging.data_curve import data_curve
from trainer.judging.evidence import Size
from trainer.judging.questions import Answered, Question
from trainer.judging.scoring import HEADLINES, score
from trainer.networks.autoencoder import Autoencoder
from trainer.networks.ensemble import Fitted
from trainer.outcome import HeldOut, Outcome, RowCounts, TrainResult
from trainer.profiling import profile
from trainer.publish import compose
from trainer.reference import reference
from trainer.split import Split, parted, ranked, split
from trainer.table import Indices, Table
from trainer.tasks.anomaly import Anomaly
from trainer.tasks.task import Task, answer_of
from trainer.trying.folds import Folds, cross_validate
from trainer.trying.trials import Trials

CPU = torch.device("cpu")
PARITY_ROWS = (1, 2, 7)  # sizes of the batches on which PyTorch and ONNX Runtime are compared


class Training:
    """One training, from a table, whose rows change places, to a bundle."""

    def __init__(
        self, recipe: Recipe, table: Table, journal: Journal, beginning: Beginning | None = None
    ) -> None:
        self.recipe, self.table, self.journal = recipe, table, journal
        self.beginning = beginning or Beginning()
        parts = split(table, recipe)
        self.windows = Windows.of(recipe, table, parts)
        self.train, self.validation, self.held_out = parted(table, parts)
        self._left_out = len(parts.left_out)
        self._known = as_windows(parts) if isinstance(recipe.data.target, FollowingTarget) else None
        self.task: Task = begun_task(recipe, self.train, self.beginning.start)
        self.signature = signature_of(recipe, self.task)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def result(self) -> TrainResult:
        """Do all of it."""
        self.recipe, trials = self._search()
        folds = self._cross_validate()
        network, history = self._fit()
        tempered = self._temper(network)
        served = Served(network, self.task, tempered.temperature)
        exported = self._exported(network, served)
        case = self._case(self._answer(exported), history, self._baseline(network), tempered)
        judgement, typical = self._judge(case), self._typical()
        outcome = Outcome(
            exported=exported,
            rows=self._counts(),
            held_out=held_out(self.recipe, self.held_out, self.windows),
            history=history,
            judgement=judgement,
            baseline=case.baseline,
            sizes=case.sizes,
            device=device_name(self.device),
            question=case.question,
            answered=case.held_out.given,
            reference=typical,
            profile=self._profile(case, judgement),
            attributions=self._attribute(served, typical),
            trials=trials,
            folds=folds,
            seconds=dict(self.journal.seconds),
        )
        return TrainResult(compose(self.recipe, self.task, outcome), outcome)

    def _cross_validate(self) -> Folds | None:
        if self.recipe.split.folds is None:
            return None
        known = self.table.slice(0, len(self.train) + len(self.validation))
        if self._known is not None:
            known = known.take(self._known)
        learning = self._learning(self.train)
        return cross_validate(self.recipe, known, learning, self.journal, self.beginning)

    def _exported(self, network: Fitted, served: Served) -> Exported:
        """Return the file that is published; a score's threshold is known once there is one."""
        exported = self._quantize(self._export(served))
        if isinstance(self.task, Anomaly):
            self.task = self._with_threshold(self.task, network, exported)
        return exported

    def _case(
        self,
        asked: tuple[Asked, Asked | None, Asked],
        history: History,
        plain: Baseline,
        tempered: Tempering,
    ) -> Case:
        question, sizes = asked_of(self.recipe, self.task), self._data_curve(asked[2])
        return Case(self.recipe, question, *asked, history, plain, tempering=tempered, sizes=sizes)

    def _typical(self) -> Mapping[str, Any]:
        """Return the typical row; its medians say something of the rows that no epsilon covers."""
        if self.recipe.training.privacy is not None:
            return {}
        return reference(feed(self.train, self.signature), self.recipe.features)

    def _profile(self, case: Case, judgement: Judgement) -> Mapping[str, Any]:
        """Return what rows of today are compared with; it too says something that no epsilon covers."""
        if self.recipe.training.privacy is not None:
            return {}
        threshold = judgement.decided.threshold if judgement.decided else None
        spec = answer_of(self.task, self.recipe)
        wording = Wording(self.recipe.task, self.recipe.classes, threshold, spec)
        answered = (wording, case.held_out.answers)
        return profile(self.recipe, self.train, len(self.table), self.signature, answered)

    def _search(self) -> tuple[Recipe, Trials | None]:
        """Return the recipe with the best values that its search finds."""
        if self.recipe.search is None:
            return self.recipe, None
        from trainer.trying.search import Searching  # noqa: PLC0415  # optuna is an extra of its own

        learning = self._learning(self.train)
        with self.journal.stage("search", self.recipe.search.trials) as stage:
            begun, events = self.beginning, self.journal.events
            searching = Searching(
                self.recipe, self.recipe.search, learning, events, begun.start, begun.checkpoint
            )
            recipe, trials = searching.run()
            best = trials.trials[trials.best - 1]
            stage.result = (
                f"trial {trials.best} of {len(trials.trials)} is the best, {trials.by} {best.value:.4g}"
            )
        return recipe, trials

    def _fit(self) -> tuple[Fitted, History]:
        networks = self.recipe.training.ensemble
        with self.journal.stage("fit", self.recipe.training.epochs * networks) as stage:
            learning = self._learning(self.train)
            network, history = fitted(self.recipe, learning, self.journal.events, self.beginning)
            for note in (*self._apart(), *self._learned_before()):
                history.notes.append(note)
                self.journal.events(Noticed(note))
            several = f"{networks} networks, the first with " if networks > 1 else ""
            stage.result = f"{several}{len(history.epochs)} epochs, the best was {history.best}"
        return network, history

    def _apart(self) -> Iterator[str]:
        """Say how many windows between two parts are in none."""
        if self._left_out:
            yield (
                f"{self._left_out} windows of a series are in no part: they share steps to come with those of another"
            )

    def _learned_before(self) -> Iterator[str]:
        """Say how many rows are held out that the version may know which this training begins with."""
        start = self.beginning.start
        if start is None:
            return
        known = int((~unseen_by_all(start.lineage, self.held_out.keys, self.windows)).sum())
        who = f"{start} or one that it began with" if start.lineage.before.manifests else str(start)
        if known:
            yield (
                f"{who} may have learned from {known} of the {len(self.held_out)} rows held out, which "
                "flatters the scores; take its seed and shares, or rows that it did not have"
            )
        if start.lineage.lost is not None:
            yield (
                f"what {start.lineage.lost} learned from, which {start} began with, is not known: it cannot be "
                "read; rows held out that it knows flatter the scores"
            )

    def _learning(self, rows: Table) -> Learning:
        return Learning(blueprint_of(self.recipe), rows, self.validation, self.task, self.device)

    def _temper(self, network: Fitted) -> Tempering:
        question = question_of(self.task)
        if not (self.recipe.judge.temperature and len(self.validation)) or question.kind not in TEMPERED:
            return Tempering()
        raw = raw_outputs(network, Rows.of(self.validation, self.device)).cpu().numpy()
        return tempering(question.kind, raw, self.validation.targets, self.recipe.training.seed)

    def _export(self, served: Served) -> Exported:
        with self.journal.stage("export") as stage:
            samples = [self.held_out.take(rows) for rows in self.held_out.samples(PARITY_ROWS)]
            feeds = [feed(sample, self.signature) for sample in samples]
            exported = export(served, self.signature, feeds)
            stage.result = f"{len(exported.onnx)} bytes of ONNX, within {exported.difference:.1e} of PyTorch"
        return exported

    def _quantize(self, exported: Exported) -> Exported:
        """Keep smaller numbers where they pay; rows that are held out choose nothing, while others can."""
        spec = self.recipe.quantize
        if spec is None:
            return exported
        with self.journal.stage("quantize") as stage:
            rows = self.validation if len(self.validation) else self.train
            made = quantized(exported.onnx, spec, self.task, self.signature, rows)
            stage.result = f"{made.served} is served, {len(made.onnx)} bytes of {len(exported.onnx)}"
        return replace(exported, onnx=made.onnx, quantized=made)

    def _answer(self, exported: Exported) -> tuple[Asked, Asked | None, Asked]:
        with self.journal.stage("evaluate") as stage:
            train, validation, held = (
                self._asked(part, exported) if len(part) else None
                for part in (self.train, self.validation, self.held_out)
            )
            if train is None or held is None:
                raise NotEnoughRows("there are no rows to learn from or none held out", rows=len(self.table))
            value = score(question_of(self.task), held.given).values[self.task.metric]
            stage.result = f"{self.task.metric} {four_digits(value)} on {len(self.held_out)} rows"
        return train, validation, held

    def _asked(self, rows: Table, exported: Exported) -> Asked:
        series = Series.of(self.recipe)
        naive = None if series is None else series.last_known(rows)
        return Asked(rows, answers(exported.onnx, self.signature, rows), naive)

    def _data_curve(self, held: Asked) -> tuple[Size, ...]:
        asked = self.recipe.judge
        if not asked.data_curve:
            return ()
        with self.journal.stage("data curve") as stage:
            headline = HEADLINES[question_of(self.task).kind]
            whole = Size(len(self.train), score(question_of(self.task), held.given).values[headline])
            sizes = data_curve(whole, self._learned_from, asked.seconds, self.journal.seconds["fit"])
            stage.result = ", ".join(f"{four_digits(size.score)} from {size.rows} rows" for size in sizes)
        return sizes

    def _learned_from(self, rows: int) -> float:
        """Return the headline score of a network that learned from the first so many rows by their keys."""
        order = np.argsort(np.array(ranked(self.train.keys, self.recipe.training.seed)))
        try:
            learning = self._learning(self.train.take(np.sort(order[:rows])))
            network, _ = fitted(self.recipe, learning, silent, Beginning(start=self.beginning.start))
        except TrainingDiverged:
            return nan
        raw = raw_outputs(network, Rows.of(self.held_out, self.device))
        question = question_of(self.task)
        given = Answered(self.task.answer(raw).cpu().numpy(), self.held_out.targets)
        return score(question, given).values[HEADLINES[question.kind]]

    def _judge(self, case: Case) -> Judgement:
        with self.journal.stage("judge") as stage:
            judgement = judge(case)
            stage.result = judgement.diagnosis.verdict
        return judgement

    def _with_threshold(self, task: Anomaly, network: Fitted, exported: Exported) -> Anomaly:
        scores = answers(exported.onnx, self.signature, self.train)
        threshold = float(np.quantile(scores, task.share))
        return replace(
            task, threshold=threshold, spread=float(self._misses(network, self.train).mean()) or 1.0
        )

    def _misses(self, network: Fitted, table: Table) -> NDArray[np.float32]:
        """Return by how much the mean of the training rows misses each row of a table."""
        if not isinstance(network, Autoencoder):
            raise TypeError("only a network that gives rows again has a mean row")
        mean = network.mean_row(Rows.of(self.train, CPU).inputs)
        misses: NDArray[np.float32] = network.errors_of_mean(mean, Rows.of(table, CPU).inputs).numpy()
        return misses

    def _baseline(self, network: Fitted) -> Baseline:
        with self.journal.stage("baseline") as stage:
            if isinstance(self.task, Anomaly):
                taught = np.quantile(self._misses(network, self.train), self.task.share)
                own = replace(self.task, threshold=float(taught))  # that of the network is of other scores
                plain = mean_row(own, self._misses(network, self.held_out), self.held_out.targets)
            else:
                known = self.table.slice(0, len(self.train) + len(self.validation))
                plain = baseline(self.task, known, self.held_out, categories_of(self.recipe))
            stage.result = (
                f"{self.task.metric} {four_digits(plain.scores.values[self.task.metric])}, {plain.name}"
            )
        return plain

    def _attribute(self, served: Served, typical: Mapping[str, Any]) -> Mapping[str, Any]:
        with self.journal.stage("attribute") as stage, reproducible(self.recipe.training):
            card, view = {ENTRY: typical}, self.recipe.features
            found = attributions(served, self.held_out, self.signature, card, view)
            largest = Privacy.of(self.recipe.as_data()).alias(
                next(iter(found.get("features", ())), "no feature")
            )
            stage.result = f"{largest} adds the most" if found else "left out"
        return found

    def _counts(self) -> RowCounts:
        return RowCounts(len(self.train), len(self.validation), len(self.held_out), self.train.skipped)


def as_windows(parts: Split) -> Indices:
    """Return the order in which the rows that are not held out, once parted, are windows in their order again."""
    return np.argsort(np.concatenate([parts.train, parts.validation]), kind="stable")


def signature_of(recipe: Recipe, task: Task) -> Signature:
    """Return the names and types that the graph shall have."""
    inputs = tuple(Input(one.name, one.dtype or "float32", one.lengths) for one in recipe.features.inputs)
    return Signature(inputs, task.output)


def asked_of(recipe: Recipe, task: Task) -> Question:
    """Return what a task asks, with the label that the recipe's decision looks for."""
    wanted = recipe.decision.positive if recipe.decision else None
    return (
        question_of(task)
        if wanted is None
        else replace(question_of(task), positive=recipe.classes.index(wanted))
    )


def held_out(recipe: Recipe, table: Table, windows: Windows | None) -> HeldOut:
    """Return the held-out rows with what is true of each."""
    if recipe.task == "anomaly":
        return HeldOut(table.keys, ())
    if recipe.task == "classification":
        return HeldOut(table.keys, tuple(recipe.classes[int(target)] for target in table.targets))
    return HeldOut(table.keys, tuple(table.targets.tolist()), windows)


def device_name(device: torch.device) -> str:
    """Return what trained, as a person knows it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
