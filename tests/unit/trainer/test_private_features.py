"""A whole training from a file whose private features are named nowhere but in the manifest's view and recipe."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.errors import InsituError
from models.recipe import Recipe
from trainer.events import Event, as_json
from trainer.run import Place, train

SECRET = """\
name: secret
task: classification
data: {source: csv, path: secret.csv, target: {column: y}}
features:
  inputs:
    - {name: x, sources: [{key: "secret:{id}", as: hash, fields: [{name: income, default: -1}, age]}]}
labels: ["0", "1"]
network: [{columns: {income: [missing, standardize]}}, {linear: 4}, relu]
training: {epochs: 3}
private: [income]
"""


def rows(folder: Path, header: str = "income,age,y", first: str = "1,2,0") -> Place:
    x = np.random.default_rng(0).normal(size=(60, 2))
    lines = [f"{income:.3f},{age:.3f},{int(income > 0)}" for income, age in x]
    (folder / "secret.csv").write_text("\n".join([header, first, *lines, ""]))
    return Place(folder)


def test_a_private_feature_has_its_alias_in_events_on_the_card_and_on_its_page(tmp_path: Path) -> None:
    told: list[Event] = []

    made = train(Recipe.parse(SECRET), None, told.append, rows(tmp_path)).bundle

    assert "private 1 adds the most" in json.dumps([*map(as_json, told)])
    shown = (json.dumps([*map(as_json, told)]), json.dumps(made.manifest.card), made.page.decode())
    assert not [text for text in shown if "income" in text]
    assert {"columns": {"private 1": ["missing", "standardize"]}} in made.manifest.card["network"]["x"]


@pytest.mark.parametrize(
    ("header", "first", "said"),
    [
        ("income,age,y", "much,2,0", "row 1: column 'private 1' holds 'much'"),
        ("in,age,y", "1,2,0", "has no column 'private 1'"),
    ],
)
def test_an_error_about_a_file_calls_a_private_column_by_its_alias(
    tmp_path: Path, header: str, first: str, said: str
) -> None:
    with pytest.raises(InsituError) as caught:
        train(Recipe.parse(SECRET), None, place=rows(tmp_path, header, first))

    assert said in str(caught.value)
    assert "income" not in f"{caught.value} {caught.value.details}"
