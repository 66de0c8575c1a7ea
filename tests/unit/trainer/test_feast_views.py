"""What Feast has written is learned like any other source, its arrays number by number; nobody else writes there."""

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from models.recipe import Recipe
from models.recipe_data import ParquetRows
from trainer.blueprints import columns_of
from trainer.errors import BadData
from trainer.events import Stage, silent
from trainer.fitting.places import field_names
from trainer.networks.forms import Column
from trainer.reading.stored import dataset_of
from trainer.reading.table import read_columns

RECIPE = """\
name: drivers
task: classification
data: {source: parquet, path: rows.parquet, target: {column: late}}
features:
  inputs:
    - name: x
      sources:
        - as: feast
          project: shop
          view: stats
          entity: {driver_id: int64}
          fields: [rate, {name: tier, categories: [a, b]}, {name: e, shape: [2], default: 0}]
labels: {"0": stays, "1": leaves}
network: [{linear: 4}]
"""


def test_an_array_is_as_many_columns_without_a_name() -> None:
    (view,) = Recipe.parse(RECIPE).features.inputs

    assert columns_of(view) == (Column("rate"), Column("tier", 2), Column(), Column())
    assert field_names(view) == ["rate", "tier", None, None]


def written(folder: Path) -> Recipe:
    """The recipe, and its file as `get_historical_features` gives it."""
    rows = {
        "driver_id": [1, 2],
        "rate": [0.5, 0.25],
        "tier": ["b", "a"],
        "e": [[1.0, 2.0], None],
        "late": [0, 1],
    }
    parquet.write_table(pa.table(rows), folder / "rows.parquet")
    return Recipe.parse(RECIPE)


def test_rows_are_not_loaded_where_feast_writes(tmp_path: Path) -> None:
    recipe = written(tmp_path)

    with pytest.raises(
        BadData, match=r"'driver_id:{driver_id}' is where Feast writes view 'stats', and nobody else"
    ):
        dataset_of(recipe, tmp_path)


def test_historical_features_in_a_file_are_learned_through_the_same_view(tmp_path: Path) -> None:
    recipe = written(tmp_path)
    assert isinstance(recipe.data, ParquetRows)

    table = read_columns(recipe, recipe.data, tmp_path, Stage("read", silent))

    assert table.keys == ("driver_id:1", "driver_id:2")
    assert table.inputs["x"].x.tolist() == [[0.5, 1.0, 1.0, 2.0], [0.25, 0.0, 0.0, 0.0]]
