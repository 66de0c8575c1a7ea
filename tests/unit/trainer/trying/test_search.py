"""A search: finds what is better, the same again, on validation rows only, and tells of every trial."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.recipe import Recipe
from models.recipe_changes import changed
from tests.unit.trainer.tables import CLOUDS, LINE, clouds, line, recipe
from trainer.blueprints import blueprint_of
from trainer.errors import BadCheckpoint, CheckpointMismatch, NothingFound
from trainer.events import EpochEnded, Event, Events, Journal, Noticed, TrialEnded, silent
from trainer.fitting.beginning import Beginning, Learning
from trainer.fitting.checkpoints import Checkpoint
from trainer.run import train_on
from trainer.tasks.task import task_of
from trainer.trying.search import Searching
from trainer.trying.trials import Trials

CPU = torch.device("cpu")


def searching(text: str, space: dict[str, Any], events: Any = silent, **options: Any) -> Searching:
    made = changed(recipe(text), {"search": {"space": space, **options}, "training.epochs": 6}, "test")
    assert made.search is not None
    table = line() if text == LINE else clouds(apart=2.0)
    learning = Learning(blueprint_of(made), table, table, task_of(made, table), CPU)
    return Searching(made, made.search, learning, events)


def test_the_best_learning_rate_of_three_is_found() -> None:
    chosen, trials = searching(CLOUDS, {"training.lr": [1e-6, 0.03, 1e-5]}, trials=8, prune=False).run()

    assert chosen.training.lr == 0.03
    assert chosen.search is None
    assert trials.trials[trials.best - 1].values == {"training.lr": 0.03}
    assert {one.state for one in trials.trials} == {"complete"}


def test_the_same_seed_tries_the_same_values() -> None:
    space = {
        "training.lr": {"log": [0.0003, 0.3]},
        "network.linear": {"int": [2, 32]},
        "training.weight_decay": {"uniform": [0, 0.5]},
    }

    _, first = searching(CLOUDS, space, trials=6).run()
    _, second = searching(CLOUDS, space, trials=6).run()

    assert tried(first) == tried(second)
    assert len({str(one.values) for one in first.trials}) == 6


def tried(trials: Trials) -> list[Any]:
    return [(one.values, one.state, one.value, one.epochs) for one in trials.trials]


SPACE = {"training.lr": {"log": [0.0003, 0.3]}, "training.epochs": [6, 9], "network.linear": {"int": [2, 32]}}


def kept(path: Path, *, resume: bool = True) -> Checkpoint:
    return Checkpoint(path / "clouds.checkpoint", every_seconds=3600, resume=resume)


def killed_after(trials: int) -> Events:
    def listener(event: Event) -> None:
        if isinstance(event, TrialEnded) and event.trial == trials:
            raise KeyboardInterrupt

    return listener


@pytest.mark.parametrize("trials", [1, 6, 11])
def test_a_search_that_is_gone_on_with_tries_what_it_would_have_tried(tmp_path: Path, trials: int) -> None:
    wanted, whole = searching(CLOUDS, SPACE, trials=12).run()
    begun = searching(CLOUDS, SPACE, killed_after(trials), trials=12)
    begun.checkpoint = kept(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        begun.run()
    told: list[Event] = []
    again = searching(CLOUDS, SPACE, told.append, trials=12)
    again.checkpoint = kept(tmp_path)

    chosen, tried_in_all = again.run()

    assert tried(tried_in_all) == tried(whole)
    assert "pruned" in {one.state for one in whole.trials}
    assert chosen == wanted
    assert [one.trial for one in told if isinstance(one, TrialEnded)] == [*range(trials + 1, 13)]
    assert told[0] == Noticed(f"the search goes on after trial {trials} of 12")


def test_a_search_whose_time_was_over_begins_no_further_trial(tmp_path: Path) -> None:
    first = searching(CLOUDS, SPACE, trials=12, minutes=1e-6)
    first.checkpoint = kept(tmp_path)
    _, short = first.run()
    second = searching(CLOUDS, SPACE, trials=12, minutes=1e-6)
    second.checkpoint = kept(tmp_path)

    _, same = second.run()

    assert len(short.trials) == 1
    assert same == short


def test_a_search_over_other_values_is_not_gone_on_with(tmp_path: Path) -> None:
    first = searching(CLOUDS, {"training.lr": [0.01, 0.1]}, trials=2)
    first.checkpoint = kept(tmp_path)
    first.run()
    other = searching(CLOUDS, {"training.lr": [0.01, 0.2]}, trials=2)
    other.checkpoint = kept(tmp_path)

    with pytest.raises(CheckpointMismatch, match=r"search\.space\.training\.lr\S* is 0\.1 there, 0\.2 here"):
        other.run()


def test_trials_that_this_optuna_would_not_draw_are_refused(tmp_path: Path) -> None:
    first = searching(CLOUDS, {"training.lr": [0.01, 0.1]}, trials=2)
    first.checkpoint = kept(tmp_path)
    first.run()
    saved = torch.load(first.checkpoint.path, weights_only=True)
    saved["searched"]["trials"][0]["trial"]["values"] = {"training.lr": 0.5}
    torch.save(saved, first.checkpoint.path)
    other = searching(CLOUDS, {"training.lr": [0.01, 0.1]}, trials=2)
    other.checkpoint = kept(tmp_path)

    with pytest.raises(CheckpointMismatch, match=r"trial 1 has \{'training.lr': 0.5\} there"):
        other.run()


def test_a_search_does_not_write_over_a_training_that_is_kept(tmp_path: Path) -> None:
    kept(tmp_path).path.write_bytes(b"a training")
    search = searching(CLOUDS, {"training.lr": [0.01, 0.1]}, trials=2)
    search.checkpoint = kept(tmp_path, resume=False)

    with pytest.raises(BadCheckpoint, match="add --resume"):
        search.run()

    assert kept(tmp_path).path.read_bytes() == b"a training"


@pytest.mark.parametrize("epoch", [1, 4])
def test_a_training_killed_behind_its_search_searches_no_more(tmp_path: Path, epoch: int) -> None:
    made = changed(recipe(), {"search": {"space": {"training.lr": [0.001, 0.03]}, "trials": 2}}, "test")
    whole = train_on(made, clouds())
    told: list[Event] = []

    def listener(event: Event) -> None:
        if isinstance(event, EpochEnded) and event.epoch == epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_on(made, clouds(), Journal(listener), Beginning(kept_each_epoch(tmp_path)))

    result = train_on(made, clouds(), Journal(told.append), Beginning(kept_each_epoch(tmp_path)))

    assert result.bundle.onnx == whole.bundle.onnx
    assert Noticed("the search was done after trial 2 of 2") in told
    assert not any(isinstance(one, TrialEnded) for one in told)


def kept_each_epoch(path: Path) -> Checkpoint:
    return Checkpoint(path / "clouds.checkpoint", every_seconds=3600, every_epochs=1, resume=True)


def test_values_stay_within_their_ranges() -> None:
    space = {
        "training.lr": {"log": [0.001, 0.01]},
        "network.linear": {"int": [3, 5]},
        "training.batch": [16, 32],
    }

    _, trials = searching(CLOUDS, space, trials=8).run()

    for one in trials.trials:
        assert 0.001 <= one.values["training.lr"] <= 0.01
        assert one.values["network.linear"] in (3, 4, 5)
        assert one.values["training.batch"] in (16, 32)


def test_a_trial_that_does_worse_than_most_is_given_up_early() -> None:
    space = {"training.lr": [0.03, 0.02, 1e-7], "training.epochs": [30]}

    _, trials = searching(CLOUDS, space, trials=16).run()

    pruned = [one for one in trials.trials if one.state == "pruned"]
    assert pruned
    assert all(one.values["training.lr"] == 1e-7 and one.epochs < 30 for one in pruned)


@pytest.mark.parametrize(("text", "falls"), [(CLOUDS, False), (LINE, True)], ids=["accuracy", "rmse"])
def test_a_metric_is_made_the_best_it_can_be(text: str, falls: bool) -> None:
    _, trials = searching(text, {"training.lr": [1e-6, 0.05]}, trials=6, by="metric", prune=False).run()

    values = [one.value for one in trials.trials if one.value is not None]
    assert trials.by == f"validation {'rmse' if falls else 'accuracy'}"
    assert trials.trials[trials.best - 1].value == (min(values) if falls else max(values))


def test_every_trial_is_told_with_the_best_so_far() -> None:
    told: list[Event] = []

    _, trials = searching(CLOUDS, {"training.lr": [1e-6, 0.03]}, told.append, trials=4).run()

    events = [event for event in told if isinstance(event, TrialEnded)]
    assert [event.trial for event in events] == [1, 2, 3, 4]
    assert events[-1].best == trials.best
    assert len(events) == len(told)


def test_trials_that_diverge_or_do_not_fit_do_not_end_the_search() -> None:
    images = CLOUDS.replace(
        "[standardize, {linear: 8}, tanh]", "[{linear: 8}, {reshape: [8, 1]}, {conv1d: 2}, flatten]"
    )

    _, wild = searching(CLOUDS, {"training.lr": [0.02, 99], "training.optimizer": ["sgd"]}, trials=6).run()
    _, misfit = searching(images, {"network.1.linear": [8, 4]}, trials=6).run()

    assert wild.trials[wild.best - 1].values["training.lr"] == 0.02
    assert {one.state for one in misfit.trials} == {"complete", "failed"}


def test_a_search_without_one_good_trial_says_why() -> None:
    hopeless = searching(CLOUDS, {"training.lr": [0.01, 0.1]}, trials=2)
    hopeless.learning.train.inputs["x"].x[3, 0] = np.inf

    with pytest.raises(NothingFound, match=r"none of 2 trials came to an end \(.*smaller training\.lr"):
        hopeless.run()


def test_time_ends_a_search() -> None:
    _, trials = searching(CLOUDS, {"training.lr": [0.03]}, trials=500, minutes=0.002).run()

    assert len(trials.trials) < 100


def test_the_best_recipe_is_trained_again_and_is_that_of_the_manifest() -> None:
    made = changed(
        recipe(epochs=6),
        {"search": {"trials": 4, "space": {"network.linear": [4, 6], "training.lr": [0.05]}}},
        "test",
    )
    told: list[Event] = []

    result = train_on(made, clouds(), Journal(told.append))

    card, written = result.bundle.manifest.card, result.bundle.manifest.recipe
    best = card["search"]["trials"][card["search"]["best"] - 1]["values"]
    assert json.loads(json.dumps(card)) == card
    assert written is not None
    again = Recipe.model_validate(written)
    assert again.search is None
    assert again.training.lr == 0.05
    assert again.as_data()["network"][1]["linear"]["features"] == best["network.linear"]
    assert train_on(again, clouds()).bundle.onnx == result.bundle.onnx
    assert train_on(recipe(epochs=2), clouds()).bundle.manifest.card["search"] is None
