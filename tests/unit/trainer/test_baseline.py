"""The baseline that a network has to beat."""

import numpy as np
import pytest

from models.recipe import ready_recipe
from tests.unit.trainer.tables import LINE, clouds, keys, line, recipe, slopes
from trainer.baseline import baseline, categories_of, flat_features, places
from trainer.judging.columns import column_names
from trainer.table import Table, Values
from trainer.tasks.task import Classification, task_of

KINDS = Classification(("lower", "higher"))


def test_a_linear_model_parts_two_clouds() -> None:
    plain = baseline(Classification(("left", "right")), clouds(80), clouds(40))

    assert plain.scores.values["accuracy"] > 0.95
    assert plain.name == "scikit-learn logistic regression on the features, standardised"


def test_a_linear_model_finds_a_line() -> None:
    table = line()

    plain = baseline(task_of(recipe(LINE), table), table, table)

    assert plain.scores.values["r2"] > 0.99
    assert "ridge" in plain.name


def test_sequences_are_summed_up_for_the_baseline_without_their_padding() -> None:
    table = slopes(4)
    values = table.inputs["x"]
    assert values.lengths is not None
    first = values.x[0, : values.lengths[0]]

    features = flat_features(table)

    assert features.shape == (4, 8)
    assert features[0] == pytest.approx(
        np.concatenate([first.mean(0), first.std(0), first.min(0), first.max(0)])
    )


def kinds(rows: int) -> Table:
    """Two sequences of steps without order, then a category of four and a number: only the middle two say higher."""
    chance = np.random.default_rng(3)
    category = chance.integers(0, 4, rows)
    x = np.stack([category, chance.normal(size=rows)], 1).astype(np.float32)
    steps = Values(chance.normal(size=(rows, 5, 1)).astype(np.float32), np.full(rows, 5))
    return Table(
        keys(rows), {"series": steps, "x": Values(x)}, ((category == 1) | (category == 2)).astype(np.int64)
    )


def test_a_category_is_no_number_to_a_linear_model() -> None:
    train, held_out = kinds(300), kinds(100)

    plain = baseline(KINDS, train, held_out, {"x": {0: 4}})

    assert plain.scores.values["accuracy"] == 1
    assert plain.name.endswith("standardised, categories one-hot")
    assert baseline(KINDS, train, held_out).scores.values["accuracy"] < 0.9


def test_a_category_that_the_training_rows_lack_is_none_of_the_others() -> None:
    train, odd = kinds(300), kinds(40)
    odd.inputs["x"].x[:, 0] = 4

    plain = baseline(KINDS, train, odd, {"x": {0: 5}})

    assert 0 <= plain.scores.values["log_loss"] < 3


def test_categories_are_found_behind_the_inputs_before_them() -> None:
    assert places(kinds(3), {"x": {0: 4}}) == {4: 4}


def test_categories_are_those_of_the_view() -> None:
    view = ready_recipe("caravan").features.inputs[0]

    found = categories_of(ready_recipe("caravan"))["x"]

    names = column_names(view)
    assert {names[at]: count for at, count in found.items()} == {"PPERSAUT": 10, "PBRAND": 10}
