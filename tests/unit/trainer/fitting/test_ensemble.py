"""An ensemble is the mean of networks of which each is what it would be alone, and is gone on with to the last bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.errors import BadRecipe
from models.recipe import Recipe
from tests.unit.trainer.fitting.test_checkpoints import Killed, every_epoch, trained
from tests.unit.trainer.tables import CLOUDS, LINE, SLOPES, clouds, line, recipe, slopes
from trainer.blueprints import blueprint_of
from trainer.errors import BadNetwork
from trainer.events import EpochEnded, Event, silent
from trainer.exporting.export import answers
from trainer.fitting.beginning import Learning, fitted
from trainer.fitting.checkpoints import read
from trainer.fitting.fit import raw_outputs
from trainer.fitting.rows import Rows
from trainer.networks import building
from trainer.networks.ensemble import Ensemble
from trainer.networks.network import Network
from trainer.run import train, train_on
from trainer.table import Table
from trainer.tasks.task import task_of
from trainer.training import signature_of

CPU = torch.device("cpu")


def fit(made: Recipe, table: Table) -> Any:
    learning = Learning(blueprint_of(made), table, table, task_of(made, table), CPU)
    return fitted(made, learning, silent)[0]


def weights(network: torch.nn.Module) -> list[bytes]:
    return [one.numpy().tobytes() for one in network.state_dict().values()]


@pytest.mark.parametrize(
    ("text", "table"),
    [(CLOUDS, clouds()), (LINE, line()), (SLOPES, slopes())],
    ids=["classes", "values", "series"],
)
def test_it_answers_the_mean_of_its_networks(text: str, table: Table) -> None:
    several = fit(recipe(text, epochs=3, ensemble=3), table)
    rows = Rows.of(table, CPU)

    assert isinstance(several, Ensemble)
    each = [raw_outputs(one, rows).numpy() for one in several.members]
    np.testing.assert_allclose(raw_outputs(several, rows).numpy(), np.mean(each, 0), atol=1e-6)
    assert not np.allclose(each[0], each[1], atol=1e-3)
    assert not np.allclose(each[1], each[2], atol=1e-3)


def test_its_first_network_is_the_one_that_would_be_alone() -> None:
    alone, several = fit(recipe(epochs=4), clouds()), fit(recipe(epochs=4, ensemble=2), clouds())

    assert isinstance(alone, Network)
    assert weights(several.members[0]) == weights(alone)


def test_no_network_of_the_next_seed_is_one_of_this() -> None:
    here = fit(recipe(epochs=1, ensemble=3, seed=7), clouds()).members
    there = fit(recipe(epochs=1, ensemble=3, seed=8), clouds()).members

    assert not {tuple(weights(one)) for one in here} & {tuple(weights(one)) for one in there}


@pytest.mark.parametrize("ended", [1, 5, 6, 7, 11, 12])
def test_killed_in_any_network_and_resumed_it_has_the_same_weights(tmp_path: Path, ended: int) -> None:
    made, path, seen = recipe(epochs=4, ensemble=3), tmp_path / "it.checkpoint", 0
    whole = trained(made, clouds())

    def kill(event: Event) -> None:
        nonlocal seen
        seen += isinstance(event, EpochEnded)
        if seen == ended:
            raise Killed

    with pytest.raises(Killed):
        trained(made, clouds(), every_epoch(path), kill)
    assert not path.exists() or len(read(path)["finished"]) <= (ended - 1) // 4

    resumed = trained(made, clouds(), every_epoch(path, resume=True))

    assert resumed == whole


def test_its_progress_says_which_network_it_is() -> None:
    told: list[Event] = []

    trained(recipe(epochs=2, ensemble=2), clouds(), events=told.append)

    ended = [event for event in told if isinstance(event, EpochEnded)]
    assert [(one.network, one.networks, one.epoch) for one in ended] == [
        (1, 2, 1),
        (1, 2, 2),
        (2, 2, 1),
        (2, 2, 2),
    ]
    assert ended[0].seconds_left > ended[2].seconds_left / 2 >= 0


def test_it_is_exported_as_one_graph_that_answers_as_its_networks_do() -> None:
    table = clouds()
    result = train_on(recipe(epochs=6, ensemble=3), table)
    bundle, outcome = result.bundle, result.outcome

    made = recipe()
    probabilities = answers(outcome.exported.onnx, signature_of(made, task_of(made, table)), table)

    assert outcome.exported.difference < 1e-4
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert bundle.manifest.outputs
    assert "the mean of 3 networks is served; the curves are those of the first" in outcome.history.notes


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ({"privacy": {"epsilon": 3, "delta": 1e-3}}, "is one network where training is private"),
        ({"from": "churn:3"}, "begins with a version's weights in one network only"),
    ],
)
def test_what_it_does_not_go_together_with_is_said(training: dict[str, Any], told: str) -> None:
    text = (
        "name: a\ntask: classification\ndata: {source: csv, path: a.csv, target: {column: y}}\n"
        "features: {inputs: [{name: x, sources: [{key: 'a:{id}', as: hash, fields: [b]}]}]}\n"
        "labels: {'0': no, '1': yes}\nnetwork: [{linear: 4}]\n"
        f"training: {{ensemble: 2, {', '.join(f'{name}: {value}' for name, value in training.items())}}}\n"
    )

    with pytest.raises(BadRecipe, match=told):
        Recipe.parse(text)


def test_its_networks_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = building.check(blueprint_of(recipe()))
    monkeypatch.setattr(building, "PARAMETER_LIMIT", 2 * alone)

    with pytest.raises(BadNetwork, match=f"has {3 * alone:,} parameters"):
        train(recipe(ensemble=3), None)
