"""The baseline that a network has to beat."""

import numpy as np
import pytest

from tests.unit.trainer.tables import LINE, clouds, line, recipe, slopes
from trainer.baseline import baseline, flat_features
from trainer.tasks.task import Classification, task_of


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
