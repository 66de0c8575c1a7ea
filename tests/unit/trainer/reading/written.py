"""Small files of rows, the recipes that read them, and what reading one comes to."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.recipe import Recipe
from trainer.events import Journal
from trainer.reading.rows import read_rows
from trainer.table import Table

CHURN = """\
name: churn
task: classification
data: {source: csv, path: churn.csv, target: {column: left}}
features:
  inputs:
    - name: x
      sources:
        - {key: "customer:{id}", as: hash, fields: [age, {name: plan, categories: [free, paid]}]}
labels: {"0": stays, "1": leaves}
network: [{linear: 4}]
"""
CHURN_CSV = "id,age,plan,left\n7,41,free,0\n8,20.5,paid,1\n9,1e1,free,1\n"
IMAGES = """\
name: images
task: classification
data: {source: parquet, path: images.parquet, target: {column: y}}
features:
  inputs:
    - {name: image, sources: [{key: "image:{id}", as: vector, dtype: uint8, shape: [2, 2]}]}
labels: ["0", "1"]
network: [flatten, {linear: 4}]
"""
WALKS = """\
name: walks
task: regression
data: {source: parquet, path: walks.parquet, target: {column: y}}
features:
  inputs:
    - {name: x, lengths: x_length, sources: [{key: "walk:{id}", as: list, shape: [2], last: 3}]}
network: [{gru: 4}]
"""


def changed(text: str, *pairs: tuple[str, str]) -> Recipe:
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return Recipe.parse(text)


def read(recipe: Recipe, folder: Path | None) -> Table:
    return read_rows(recipe, None, Journal(), folder)


def csv(folder: Path, text: str = CHURN_CSV, name: str = "churn.csv") -> None:
    (folder / name).write_text(text, encoding="utf-8")


def parquet(folder: Path, columns: dict[str, Any], name: str) -> None:
    pq.write_table(pa.table(columns), folder / name)


def values(table: Table, name: str = "x") -> list[Any]:
    listed: list[Any] = np.round(table.inputs[name].x.astype(np.float64), 6).tolist()
    return listed
