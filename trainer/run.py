"""From a recipe to a bundle: read, part, fit, export, evaluate, compare, judge.

train       a recipe and where its rows are -> TrainResult
train_on    the same for rows that are already in memory
"""

from collections.abc import Iterator
from pathlib import Path

import torch

from models.binding import row_shape
from models.features import InputView
from models.recipe import Recipe
from models.sources import ListSource, Source, VectorSource
from models.tensors import elements
from trainer.baseline import Baseline, baseline
from trainer.diagnose import Parts, diagnose
from trainer.evaluate import Scores, evaluate
from trainer.events import Events, Journal, silent
from trainer.export import Exported, Input, Served, Signature, answers, export, feed
from trainer.fit import Fit, History, Rows, reproducible
from trainer.networks.forms import FREE, Column, Entry, Form
from trainer.networks.network import Blueprint, Network, build, check
from trainer.outcome import HeldOut, Outcome, RowCounts, TrainResult
from trainer.publish import compose
from trainer.reading.rows import read_rows
from trainer.split import parted, split
from trainer.table import Table
from trainer.tasks import Task, outputs_of, task_of

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
    return train_on(recipe, read_rows(recipe, redis_url, journal, folder), journal)


def train_on(recipe: Recipe, table: Table, journal: Journal | None = None) -> TrainResult:
    """Train a recipe's model on a table, whose rows change places: memory holds them once.

    Raises: as `train`, but for what concerns reading.
    """
    return Training(recipe, table, journal or Journal()).result()


class Training:
    """One training, from a table to a bundle."""

    def __init__(self, recipe: Recipe, table: Table, journal: Journal) -> None:
        self.recipe, self.table, self.journal = recipe, table, journal
        self.train, self.validation, self.held_out = parted(table, split(table, recipe))
        self.task = task_of(recipe, self.train)
        self.signature = signature_of(recipe, self.task)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def result(self) -> TrainResult:
        """Do all of it."""
        network, history = self._fit()
        exported = self._export(network)
        scores, on_train = self._evaluate(exported)
        plain = self._baseline()
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
        )
        return TrainResult(compose(self.recipe, self.task.output, outcome), outcome)

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

    def _baseline(self) -> Baseline:
        with self.journal.stage("baseline") as stage:
            known = self.table.slice(0, len(self.train) + len(self.validation))
            plain = baseline(self.task, known, self.held_out)
            stage.result = f"{self.task.metric} {plain.scores.values[self.task.metric]:.4f}, {plain.name}"
        return plain

    def _counts(self) -> RowCounts:
        return RowCounts(len(self.train), len(self.validation), len(self.held_out), self.train.skipped)


def blueprint_of(recipe: Recipe) -> Blueprint:
    """Return what a recipe's network is built from."""
    entries = tuple(Entry(one.name, form_of(one), columns_of(one)) for one in recipe.features.inputs)
    return Blueprint(entries, recipe.branches, recipe.then, outputs_of(recipe))


def form_of(view: InputView) -> Form:
    """Return the form of one row of an input as the view gives it."""
    return Form(tuple(None if dim == FREE else int(dim) for dim in row_shape(view)))


def columns_of(view: InputView) -> tuple[Column, ...]:
    """Return what the view says of each number of a vector; nothing where it gives the input a shape."""
    if view.shape is not None or len(row_shape(view)) > 1:
        return ()
    return tuple(column for source in view.sources for column in columns_of_source(source))


def columns_of_source(source: Source) -> Iterator[Column]:
    """Give the columns of one source."""
    if isinstance(source, VectorSource | ListSource):
        yield from [Column()] * elements(source.shape)
        return
    for field in source.fields:
        default = float(field.default) if isinstance(field.default, int | float) else None
        yield Column(field.name, len(field.categories), default)


def signature_of(recipe: Recipe, task: Task) -> Signature:
    """Return the names and types that the graph shall have."""
    inputs = tuple(Input(one.name, one.dtype or "float32", one.lengths) for one in recipe.features.inputs)
    return Signature(inputs, task.output)


def held_out(recipe: Recipe, table: Table) -> HeldOut:
    """Return the held-out rows with their labels or values."""
    classes = recipe.classes
    targets = [classes[int(target)] if classes else float(target) for target in table.targets]
    return HeldOut(table.keys, tuple(targets))


def device_name(device: torch.device) -> str:
    """Return what trained, as a person knows it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
