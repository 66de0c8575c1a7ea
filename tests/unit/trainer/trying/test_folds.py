"""Folds: each scored by a network of its own, and kept when it is done, so that a killed training goes on after it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.recipe import Recipe
from tests.unit.trainer.tables import CLOUDS, LINE, clouds, line, recipe
from trainer.blueprints import blueprint_of
from trainer.errors import CheckpointMismatch
from trainer.events import EpochEnded, Event, Journal, Noticed, StageAdvanced, StageBegan, silent
from trainer.fitting.beginning import Beginning, Learning
from trainer.fitting.checkpoints import Checkpoint
from trainer.run import train_on
from trainer.table import Table
from trainer.tasks.task import task_of
from trainer.trying.folds import Folds, cross_validate


def cross_validated(
    made: Recipe, table: Table, checkpoint: Checkpoint | None = None, events: Callable[[Event], None] = silent
) -> Folds | None:
    learning = Learning(blueprint_of(made), table, table, task_of(made, table), torch.device("cpu"))
    return cross_validate(made, table, learning, Journal(events), Beginning(checkpoint))


def in_folds(made: Recipe, count: int = 3) -> Recipe:
    return Recipe.model_validate(made.as_data() | {"split": {"folds": count}})


class Killed(Exception):
    """What ends a training here in the middle of it."""


def killed(at: Event) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        if event == at:
            raise Killed

    return listen


@pytest.mark.parametrize(("text", "table"), [(CLOUDS, clouds()), (LINE, line())], ids=["label", "value"])
def test_folds_are_scored_each_by_a_network_of_its_own(text: str, table: Table) -> None:
    made = in_folds(recipe(text, epochs=20))

    found = cross_validated(made, table)

    assert found is not None
    assert found.rows == (40, 40, 40)
    assert found.mean == pytest.approx(np.mean(found.scores))
    assert found.deviation == pytest.approx(np.std(found.scores, ddof=1))
    assert (found.mean > 0.9) if text == CLOUDS else (found.mean < 60)


@pytest.mark.parametrize("marks", [[0], [0, 0, 0, 1]], ids=["trained on", "some validate"])
def test_folds_need_no_row_that_says_it_is_held_out(marks: list[int]) -> None:
    table = replace(clouds(), marks=np.repeat(np.resize(np.array(marks, np.int8), 60), 2))
    made = Recipe.model_validate(recipe(epochs=20).as_data() | {"split": {"part": "field", "folds": 3}})

    found = cross_validated(made, table)

    assert found is not None
    assert found.rows == (40, 40, 40)


@pytest.mark.parametrize("done", [1, 2, 3])
def test_folds_killed_and_resumed_go_on_after_those_that_are_done(tmp_path: Path, done: int) -> None:
    path, told = tmp_path / "clouds.checkpoint", list[Event]()
    made, table = in_folds(recipe(epochs=5)), clouds(apart=1.0)
    with pytest.raises(Killed):
        cross_validated(made, table, Checkpoint(path), killed(StageAdvanced("folds", done, 3)))

    found = cross_validated(made, table, Checkpoint(path, resume=True), told.append)

    assert found == cross_validated(made, table)
    assert Noticed(f"goes on after fold {done} of 3") in told
    assert [event.done for event in told if isinstance(event, StageAdvanced)] == [*range(done, 4)]


@pytest.mark.parametrize("stage", ["fit", "export"])
def test_a_training_killed_after_its_folds_keeps_them_and_gives_the_same_model(
    tmp_path: Path, stage: str
) -> None:
    path, told = tmp_path / "clouds.checkpoint", list[Event]()
    made, table = in_folds(recipe(epochs=5, ensemble=2)), clouds(apart=1.0)
    whole = train_on(made, table)
    with pytest.raises(Killed):
        train_on(made, table, Journal(killed_in(stage)), Beginning(Checkpoint(path, every_epochs=1)))

    resumed = train_on(made, table, Journal(told.append), Beginning(Checkpoint(path, resume=True)))

    assert resumed.bundle.onnx == whole.bundle.onnx
    assert resumed.outcome.folds == whole.outcome.folds
    assert Noticed("goes on after fold 3 of 3") in told


def test_folds_of_other_rows_are_refused_before_any_is_scored(tmp_path: Path) -> None:
    path, told = tmp_path / "clouds.checkpoint", list[Event]()
    made = in_folds(recipe(epochs=2))
    with pytest.raises(Killed):
        cross_validated(made, clouds(), Checkpoint(path), killed(StageAdvanced("folds", 1, 3)))

    with pytest.raises(CheckpointMismatch, match="rows"):
        cross_validated(made, clouds(apart=1.0), Checkpoint(path, resume=True), told.append)

    assert told == []


def killed_in(stage: str) -> Callable[[Event], None]:
    """Kill when a stage begins; in a fit, after the second epoch of its second network."""

    def listen(event: Event) -> None:
        in_fit = isinstance(event, EpochEnded) and (event.network, event.epoch) == (2, 2)
        if in_fit if stage == "fit" else isinstance(event, StageBegan) and event.stage == stage:
            raise Killed

    return listen
