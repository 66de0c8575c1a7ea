"""A search: finds what is better, the same again, on validation rows only, and tells of every trial."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from models.recipe import Recipe
from models.recipe_changes import changed
from tests.unit.trainer.tables import CLOUDS, LINE, clouds, line, recipe
from trainer.blueprints import blueprint_of
from trainer.errors import NothingFound
from trainer.events import Event, Journal, TrialEnded, silent
from trainer.fitting.beginning import Learning
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
