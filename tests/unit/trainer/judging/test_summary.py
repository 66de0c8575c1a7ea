"""What the rows are like: numbers that stand for none are no values of a feature."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.recipe import Recipe
from trainer.judging.summary import features
from trainer.run import Place, train

RECIPE = """\
name: rows
task: classification
data: {source: parquet, path: rows.parquet, target: {column: y}}
features:
  inputs:
    - name: x
      sources: [{key: "row:{id}", as: hash, fields: [{name: age, default: -1}, {name: b, default: 5}]}]
labels: ["no", "yes"]
training: {epochs: 1}
network: [{linear: 2}]
"""


def test_a_default_that_stands_in_for_a_missing_number_is_none_of_its_values(tmp_path: Path) -> None:
    ages = [None if row % 4 == 0 else 20.0 + row % 40 for row in range(400)]
    numbers = [None if row % 9 == 0 else float(row % 10) for row in range(400)]
    table = pa.table({"age": ages, "b": numbers, "y": [("no", "yes")[row % 2] for row in range(400)]})
    pq.write_table(table, tmp_path / "rows.parquet")

    card = train(Recipe.parse(RECIPE), None, place=Place(tmp_path)).bundle.manifest.card

    age, other = card["summary"]["features"]
    assert (age["least"], age["most"], age["missing"]) == (21, 59, 0.25)
    assert 39 < age["mean"] < 41
    assert (other["least"], other["most"]) == (0, 9)


def test_a_default_between_the_others_or_of_what_is_never_missing_is_a_value() -> None:
    column = np.array([[-1.0], [3.0], [8.0]], np.float32)

    assert features(column, ["a"], {}, {"a": -1})[0]["least"] == -1
    assert features(column, ["a"], {"a": 0.3}, {"a": 3})[0]["mean"] == 3.33333
    assert features(column, ["a"], {"a": 0.3}, {"a": -1})[0]["mean"] == 5.5
    assert features(column[:1], ["a"], {"a": 1.0}, {"a": -1})[0]["mean"] == -1
