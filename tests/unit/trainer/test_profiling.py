"""What a training keeps in its card, so that rows of later days can be compared with it."""

from pathlib import Path

import numpy as np
import pytest

from models.profiles import Profile
from models.recipe import Recipe
from tests.unit.trainer import tables
from trainer.run import Place, train, train_on

GAPS = """\
name: gaps
task: classification
data: {source: csv, path: gaps.csv, target: {column: y}}
features:
  inputs:
    - name: x
      sources:
        - key: "row:{id}"
          as: hash
          fields: [{name: income, default: -1}, {name: plan, categories: [free, paid, gold]}]
labels: ["0", "1"]
network: [standardize, {linear: 4}, relu]
training: {epochs: 2}
private: [income]
"""


def kept(card: dict[str, object]) -> Profile:
    profile = Profile.of_card(card)
    assert profile is not None
    return profile


def test_the_card_has_the_training_rows_by_feature_and_the_answers_to_those_held_out() -> None:
    made = train_on(tables.recipe(epochs=2), tables.clouds())

    profile, rows = kept(made.bundle.manifest.card), made.outcome.rows
    assert [one.name for one in profile.features] == ["a", "b"]
    assert {one.rows for one in profile.features} == {rows.train}
    assert [one.name for one in profile.answers] == ["label", "probability of right"]
    assert {one.rows for one in profile.answers} == {rows.held_out}
    assert profile.of == f"{rows.train} training rows and the answers to {rows.held_out} held out"


def test_a_sequence_is_kept_by_channel_without_its_padding() -> None:
    table = tables.slopes()

    profile = kept(train_on(tables.recipe(tables.SLOPES, epochs=1), table).bundle.manifest.card)

    assert [one.name for one in profile.features] == ["walk:{id}[:,0]", "walk:{id}[:,1]", "steps of x"]
    steps = profile.features[2].bins
    assert steps is not None
    assert (steps.least, steps.most) == (2, 11)


def test_defaults_and_categories_are_counted_and_private_names_are_not_told(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = [
        f"{'' if at % 4 == 0 else round(float(random.normal()), 3)},{'free' if at % 3 else 'paid'},{at % 2}"
        for at in range(120)
    ]
    (tmp_path / "gaps.csv").write_text("\n".join(["income,plan,y", *lines, ""]))

    made = train(Recipe.parse(GAPS), None, place=Place(tmp_path)).bundle

    income, plan = kept(made.manifest.card).features
    assert income.name == "private 1"
    assert income.filled / income.rows == pytest.approx(0.25, abs=0.01)
    assert set(plan.categories) == {"free", "paid"}
    assert "income" not in str(made.manifest.card["profile"])
