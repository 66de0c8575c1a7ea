"""A recipe's network fitted to its rows: begun anew, from a version's weights, or from a checkpoint."""

from dataclasses import dataclass

import torch

from models.recipe import Recipe
from trainer.events import Events
from trainer.fitting.checkpoints import Checkpoint
from trainer.fitting.fit import Fit, History, reproducible
from trainer.fitting.rows import Rows
from trainer.fitting.starting import Start, begin_with, check_places, freeze
from trainer.networks.building import Blueprint, build
from trainer.networks.ensemble import Ensemble, Fitted
from trainer.networks.network import Network
from trainer.table import Table
from trainer.tasks.task import Task, values_of


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a training begins with, and where it is kept while it runs."""

    checkpoint: Checkpoint | None = None
    start: Start | None = None


@dataclass(frozen=True, slots=True)
class Learning:
    """What is fitted to which rows: those learned from, and those that choose the best epoch."""

    blueprint: Blueprint
    train: Table
    validation: Table
    task: Task
    device: torch.device


def fitted(
    recipe: Recipe, learning: Learning, events: Events, beginning: Beginning | None = None
) -> tuple[Fitted, History]:
    """Build and fit a recipe's network, or each of its ensemble, and return it with its history: the first one's.

    Raises: TrainingDiverged, BadStart, BadCheckpoint, CheckpointMismatch.
    """
    begin = beginning or Beginning()
    if begin.checkpoint is not None:
        begin.checkpoint.begin(facts_of(recipe, learning, begin.start))
    count = recipe.training.ensemble
    made = [member(recipe, learning, events, begin, number) for number in range(count)]
    networks, histories = zip(*made, strict=True)
    if count == 1:
        return networks[0], histories[0]
    first: History = histories[0]
    first.notes.append(f"the mean of {count} networks is served; the curves are those of the first")
    return Ensemble(networks), first


def member(
    recipe: Recipe, learning: Learning, events: Events, begin: Beginning, number: int
) -> tuple[Network, History]:
    """Build and fit one network; the first, number 0, as if it were the only one."""
    checkpoint, count = begin.checkpoint, recipe.training.ensemble
    with reproducible(recipe.training, number):
        network = build(learning.blueprint)
        if checkpoint is not None and number < len(checkpoint.finished):
            finished = checkpoint.finished[number]
            network.load_state_dict(finished["weights"])
            return network.to(learning.device), History.of(finished["history"])
        notes = begun(network, learning.blueprint, begin.start, recipe)
        freeze(network, recipe.training.freeze)
        fit = fit_of(recipe, network.to(learning.device), learning, events)
        fit.checkpoint, fit.measured, fit.number = checkpoint, begin.start is not None, number
        for note in notes:
            fit.note(note)
        history = fit.run()
    if history.privacy is not None and begin.start is not None and begin.start.spent is not None:
        history.privacy = history.privacy.after(*begin.start.spent)
    if checkpoint is not None and count > 1:
        checkpoint.finish({"weights": network.state_dict(), "history": history.state()})
    return network, history


def fit_of(recipe: Recipe, network: Network, learning: Learning, events: Events) -> Fit:
    """Return the fit of a network to the rows on the device that trains."""
    train = Rows.of(learning.train, learning.device)
    validation = Rows.of(learning.validation, learning.device) if len(learning.validation) else None
    return Fit(network, learning.task, recipe.training, train, validation, events)


def begun(network: Network, blueprint: Blueprint, start: Start | None, recipe: Recipe) -> list[str]:
    """Give a network the weights that it begins with, and tell what begins anew."""
    if start is None:
        return []
    head = recipe.classes or values_of(recipe)
    notes = [*begin_with(network, blueprint, start, head), *check_places(start, recipe)]
    if recipe.training.privacy is not None:
        notes.append(privacy_told(start))
    return notes


def privacy_told(start: Start) -> str:
    """Return what a private training makes of the privacy of the version that it begins with."""
    if start.spent is None:
        return f"the epsilon is of this training alone: {start} was trained without privacy"
    return f"the epsilon and the delta include the {start.spent[0]:.3g} and {start.spent[1]:g} that {start} spent"


def check_start(recipe: Recipe, blueprint: Blueprint, start: Start) -> None:
    """Refuse a version whose weights do not fit, before anything is read.

    Raises: BadStart.
    """
    with torch.random.fork_rng(devices=[]):
        begun(build(blueprint), blueprint, start, recipe)


def facts_of(recipe: Recipe, learning: Learning, start: Start | None = None) -> dict[str, object]:
    """Return what a training's weights follow from: another recipe or other rows give others."""
    digests = f"{learning.train.digest()} {learning.validation.digest()}"
    rows = {"train": len(learning.train), "validation": len(learning.validation), "sha256": digests}
    begun = {} if start is None else {"start": str(start)}
    return {**recipe.as_data(), "rows": rows, "torch": str(torch.__version__), **begun}
