"""From a recipe to a bundle: read, part, fit, export, evaluate, compare, judge.

train       a recipe and where its rows are -> TrainResult
train_on    the same for rows that are already in memory
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.recipe import Recipe
from trainer.anomaly import Anomaly
from trainer.baseline import Baseline, baseline, mean_row
from trainer.blueprints import blueprint_of
from trainer.diagnose import Parts, diagnose
from trainer.evaluate import Scores, evaluate
from trainer.events import Events, Journal, silent
from trainer.export import Exported, Input, Served, Signature, answers, export, feed
from trainer.fit import Fit, History, Rows, reproducible
from trainer.folds import cross_validate
from trainer.networks.autoencoder import Autoencoder
from trainer.networks.building import build, check
from trainer.networks.network import Network
from trainer.outcome import HeldOut, Outcome, RowCounts, TrainResult
from trainer.publish import compose
from trainer.reading.rows import read_rows
from trainer.split import parted, split
from trainer.table import Table
from trainer.tasks import Task, task_of

CPU = torch.device("cpu")
PARITY_ROWS = (1, 2, 7)  # sizes of the batches on which PyTorch and ONNX Runtime are compared


def train(
    recipe: Recipe, redis_url: str | None, events: Events = silent, folder: Path | None = None
) -> TrainResult:
    """Train a recipe's model on the rows that it names.

    `folder` is the recipe's own, from where its paths are seen; without one a recipe runs no code.

    Raises: BadNetwork, before anything is read; NoRows, BadData, TooManyBadRows, TooMuchData,
        NotEnoughRows, TrainingDiverged, ExportFailed, ExportMismatch, RedisUnavailable.
    """
    check(blueprint_of(recipe))
    journal = Journal(events)
    return Training(recipe, read_rows(recipe, redis_url, journal, folder), journal).result()


def train_on(recipe: Recipe, table: Table, journal: Journal | None = None) -> TrainResult:
    """Train a recipe's model on a copy of a table.

    Raises: as `train`, but for what concerns reading.
    """
    return Training(recipe, table.copy(), journal or Journal()).result()


class Training:
    """One training, from a table, whose rows change places, to a bundle."""

    def __init__(self, recipe: Recipe, table: Table, journal: Journal) -> None:
        self.recipe, self.table, self.journal = recipe, table, journal
        self.train, self.validation, self.held_out = parted(table, split(table, recipe))
        self.task = task_of(recipe, self.train)
        self.signature = signature_of(recipe, self.task)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def result(self) -> TrainResult:
        """Do all of it."""
        known = self.table.slice(0, len(self.train) + len(self.validation))
        folds = cross_validate(self.recipe, known, self.device, self.journal)
        network, history = self._fit()
        exported = self._export(network)
        if isinstance(self.task, Anomaly):
            self.task = self._with_threshold(self.task, network, exported)
        scores, on_train = self._evaluate(exported)
        plain = self._baseline(network)
        parts = Parts(on_train, scores, plain.scores, len(self.train), len(self.held_out))
        outcome = Outcome(
            exported=exported,
            rows=self._counts(),
            held_out=held_out(self.recipe, self.held_out),
            history=history,
            scores=scores,
            baseline=plain,
            diagnosis=diagnose(self.task, parts, history),
            device=device_name(self.device),
            seconds=dict(self.journal.seconds),
            folds=folds,
        )
        return TrainResult(compose(self.recipe, self.task, outcome), outcome)

    def _fit(self) -> tuple[Network, History]:
        training = self.recipe.training
        with self.journal.stage("fit", training.epochs) as stage, reproducible(training):
            network = build(blueprint_of(self.recipe))
            train = Rows.of(self.train, self.device)
            validation = Rows.of(self.validation, self.device) if len(self.validation) else None
            fit = Fit(network.to(self.device), self.task, training, train, validation, self.journal.events)
            history = fit.run()
            stage.result = f"{len(history.epochs)} epochs, the best was {history.best}"
        return network, history

    def _export(self, network: Network) -> Exported:
        with self.journal.stage("export") as stage:
            samples = [self.held_out.take(rows) for rows in self.held_out.samples(PARITY_ROWS)]
            feeds = [feed(sample, self.signature) for sample in samples]
            exported = export(Served(network, self.task), self.signature, feeds)
            stage.result = f"{len(exported.onnx)} bytes of ONNX, within {exported.difference:.1e} of PyTorch"
        return exported

    def _evaluate(self, exported: Exported) -> tuple[Scores, Scores]:
        with self.journal.stage("evaluate") as stage:
            scores, on_train = (
                evaluate(self.task, answers(exported.onnx, self.signature, part), part.targets)
                for part in (self.held_out, self.train)
            )
            stage.result = (
                f"{self.task.metric} {scores.values[self.task.metric]:.4f} on {len(self.held_out)} rows"
            )
        return scores, on_train

    def _with_threshold(self, task: Anomaly, network: Network, exported: Exported) -> Anomaly:
        scores = answers(exported.onnx, self.signature, self.train)
        threshold = float(np.quantile(scores, task.share))
        return replace(
            task, threshold=threshold, spread=float(self._misses(network, self.train).mean()) or 1.0
        )

    def _misses(self, network: Network, table: Table) -> NDArray[np.float32]:
        """Return by how much the mean of the training rows misses each row of a table."""
        if not isinstance(network, Autoencoder):
            raise TypeError("only a network that gives rows again has a mean row")
        mean = network.mean_row(Rows.of(self.train, CPU).inputs)
        misses: NDArray[np.float32] = network.errors_of_mean(mean, Rows.of(table, CPU).inputs).numpy()
        return misses

    def _baseline(self, network: Network) -> Baseline:
        with self.journal.stage("baseline") as stage:
            if isinstance(self.task, Anomaly):
                plain = mean_row(self.task, self._misses(network, self.held_out), self.held_out.targets)
            else:
                known = self.table.slice(0, len(self.train) + len(self.validation))
                plain = baseline(self.task, known, self.held_out)
            stage.result = f"{self.task.metric} {plain.scores.values[self.task.metric]:.4f}, {plain.name}"
        return plain

    def _counts(self) -> RowCounts:
        return RowCounts(len(self.train), len(self.validation), len(self.held_out), self.train.skipped)


def signature_of(recipe: Recipe, task: Task) -> Signature:
    """Return the names and types that the graph shall have."""
    inputs = tuple(Input(one.name, one.dtype or "float32", one.lengths) for one in recipe.features.inputs)
    return Signature(inputs, task.output)


def held_out(recipe: Recipe, table: Table) -> HeldOut:
    """Return the held-out rows with what is true of each."""
    if recipe.task == "anomaly":
        return HeldOut(table.keys, ())
    if recipe.task == "classification":
        return HeldOut(table.keys, tuple(recipe.classes[int(target)] for target in table.targets))
    return HeldOut(table.keys, tuple(table.targets.tolist()))


def device_name(device: torch.device) -> str:
    """Return what trained, as a person knows it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
