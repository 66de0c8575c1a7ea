"""From a recipe to a bundle: read, part, fit, export, evaluate, compare, judge.

    train       a recipe and the URL of a Redis -> TrainResult
    train_on    the same for rows that are already in memory

Only reading waits for anything, so only reading is asynchronous: fitting keeps processors busy.
"""

import asyncio
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from models.connecting import connect
from models.keys import Keys
from models.recipe import Recipe
from models.store import ModelStore
from trainer.anomaly import Anomaly
from trainer.baseline import Baseline, baseline, mean_row
from trainer.blueprints import blueprint_of
from trainer.checkpoints import Checkpoint
from trainer.datasets.from_redis import read_table
from trainer.diagnose import Parts, diagnose
from trainer.evaluate import Scores, evaluate
from trainer.events import Events, Journal, silent
from trainer.export import Exported, Input, Served, Signature, answers, export, feed
from trainer.fit import History
from trainer.fitting import Beginning, Learning, check_start, fitted
from trainer.networks.autoencoder import Autoencoder
from trainer.networks.building import check
from trainer.networks.network import Network
from trainer.outcome import HeldOut, Outcome, RowCounts, TrainResult
from trainer.publish import compose
from trainer.quantize import quantized
from trainer.rows import Rows
from trainer.split import split
from trainer.starting import Start, read_start
from trainer.table import Table
from trainer.tasks import Task, task_of
from trainer.trials import Trials

CPU = torch.device("cpu")
PARITY_ROWS = (1, 2, 7)  # sizes of the batches on which PyTorch and ONNX Runtime are compared


def train(
    recipe: Recipe,
    redis_url: str,
    events: Events = silent,
    checkpoint: Checkpoint | None = None,
    keys: Keys | None = None,
) -> TrainResult:
    """Train a recipe's model on the rows of a Redis; with a checkpoint it can be gone on with later.

    `keys` are those of the versions that a training may begin with.

    Raises: BadNetwork, before anything is read; NoRows, TooManyBadRows, TooMuchData, NotEnoughRows,
        TrainingDiverged, ExportFailed, ExportMismatch, RedisUnavailable, BadCheckpoint,
        CheckpointMismatch, BadStart; ModelNotFound and such, the version it shall begin with.
    """
    check(blueprint_of(recipe))
    journal = Journal(events)
    start = asyncio.run(begun(recipe, redis_url, keys))
    table = asyncio.run(read(recipe, redis_url, journal))
    return train_on(recipe, table, journal, Beginning(checkpoint, start))


async def begun(recipe: Recipe, redis_url: str, keys: Keys | None) -> Start | None:
    """Read the weights that a recipe begins with, if it names any.

    Raises: BadStart, they do not fit; ModelNotFound, VersionNotFound, AliasNotFound, RedisUnavailable.
    """
    if recipe.training.from_ is None:
        return None
    async with connect(redis_url) as client:
        start = await read_start(ModelStore(client, keys), recipe.training.from_)
    check_start(recipe, blueprint_of(recipe), start)
    return start


async def read(recipe: Recipe, redis_url: str, journal: Journal) -> Table:
    """Read the rows of a recipe from a Redis.

    Raises: NoRows, TooManyBadRows, TooMuchData, RedisUnavailable.
    """
    with journal.stage("read") as stage:
        async with connect(redis_url) as client:
            table = await read_table(client, recipe, stage)
        skipped = sum(table.skipped.values())
        stage.result = f"{len(table)} rows of {recipe.data.match}" + (
            f", {skipped} skipped" if skipped else ""
        )
    return table


def train_on(
    recipe: Recipe, table: Table, journal: Journal | None = None, beginning: Beginning | None = None
) -> TrainResult:
    """Train a recipe's model on a table.

    Raises: as `train`, but for what concerns Redis.
    """
    return Training(recipe, table, journal or Journal(), beginning).result()


class Training:
    """One training, from a table to a bundle."""

    def __init__(
        self, recipe: Recipe, table: Table, journal: Journal, beginning: Beginning | None = None
    ) -> None:
        self.recipe, self.table, self.journal = recipe, table, journal
        self.beginning = beginning or Beginning()
        parts = split(table, recipe)
        self.train = table.take(parts.train)
        self.validation = table.take(parts.validation)
        self.held_out = table.take(parts.held_out)
        self.task = task_of(recipe, self.train)
        self.signature = signature_of(recipe, self.task)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def result(self) -> TrainResult:
        """Do all of it."""
        self.recipe, trials = self._search()
        network, history = self._fit()
        exported = self._quantize(self._export(network))
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
            trials=trials,
        )
        return TrainResult(compose(self.recipe, self.task, outcome), outcome)

    def _search(self) -> tuple[Recipe, Trials | None]:
        """Return the recipe with the best values that its search finds."""
        if self.recipe.search is None:
            return self.recipe, None
        from trainer.search import Searching  # noqa: PLC0415  # optuna is an extra of its own

        learning = Learning(blueprint_of(self.recipe), self.train, self.validation, self.task, self.device)
        with self.journal.stage("search", self.recipe.search.trials) as stage:
            searching = Searching(
                self.recipe, self.recipe.search, learning, self.journal.events, self.beginning.start
            )
            recipe, trials = searching.run()
            best = trials.trials[trials.best - 1]
            stage.result = (
                f"trial {trials.best} of {len(trials.trials)} is the best, {trials.by} {best.value:.4g}"
            )
        return recipe, trials

    def _fit(self) -> tuple[Network, History]:
        learning = Learning(blueprint_of(self.recipe), self.train, self.validation, self.task, self.device)
        with self.journal.stage("fit", self.recipe.training.epochs) as stage:
            network, history = fitted(self.recipe, learning, self.journal.events, self.beginning)
            stage.result = f"{len(history.epochs)} epochs, the best was {history.best}"
        return network, history

    def _export(self, network: Network) -> Exported:
        with self.journal.stage("export") as stage:
            samples = [self.held_out.take(rows) for rows in self.held_out.samples(PARITY_ROWS)]
            feeds = [feed(sample, self.signature) for sample in samples]
            exported = export(Served(network, self.task), self.signature, feeds)
            stage.result = f"{len(exported.onnx)} bytes of ONNX, within {exported.difference:.1e} of PyTorch"
        return exported

    def _quantize(self, exported: Exported) -> Exported:
        spec = self.recipe.quantize
        if spec is None:
            return exported
        with self.journal.stage("quantize") as stage:
            made = quantized(exported.onnx, spec, self.task, self.signature, self.held_out)
            stage.result = f"{made.served} is served, {len(made.onnx)} bytes of {len(exported.onnx)}"
        return replace(exported, onnx=made.onnx, quantized=made)

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
                plain = baseline(self.task, self.train.joined_with(self.validation), self.held_out)
            stage.result = f"{self.task.metric} {plain.scores.values[self.task.metric]:.4f}, {plain.name}"
        return plain

    def _counts(self) -> RowCounts:
        return RowCounts(len(self.train), len(self.validation), len(self.held_out), self.table.skipped)


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
