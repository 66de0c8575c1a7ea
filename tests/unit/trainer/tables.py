"""Small tables and the recipes for them: two clouds of points, a line, sequences that rise or fall."""

from typing import Any

import numpy as np

from models.recipe import Recipe
from trainer.table import Table, Values

CLOUDS = """\
name: clouds
task: classification
data: {source: redis, match: "point:*", target: {key: "point:{id}", as: hash, field: side}}
features:
  inputs:
    - {name: x, sources: [{key: "point:{id}", as: hash, fields: [a, b]}]}
labels: [left, right]
network: [standardize, {linear: 8}, tanh]
training: {lr: 0.02, epochs: 12, batch: 16}
"""
LINE = """\
name: line
task: regression
data: {source: redis, match: "point:*", target: {key: "point:{id}", as: hash, field: y}}
features:
  inputs:
    - {name: x, sources: [{key: "point:{id}", as: hash, fields: [a, b]}]}
network: [standardize, {linear: 16}, tanh]
training: {lr: 0.02, epochs: 40, batch: 16}
"""
SLOPES = """\
name: slopes
task: classification
data: {source: redis, match: "walk:*", target: {key: "walk:{id}:meta", as: hash, field: slope}}
features:
  inputs:
    - {name: x, lengths: x_length, sources: [{key: "walk:{id}", as: list, shape: [2], last: 30}]}
labels: [down, up]
network: [standardize, {gru: 8}]
training: {lr: 0.03, epochs: 40, batch: 16}
"""


def recipe(text: str = CLOUDS, **training: Any) -> Recipe:
    read = Recipe.parse(text)
    return read.model_copy(update={"training": read.training.model_copy(update=training)})


def keys(count: int, name: str = "point") -> tuple[str, ...]:
    return tuple(sorted(f"{name}:{number}" for number in range(count)))


def clouds(count: int = 120, apart: float = 4.0) -> Table:
    random = np.random.default_rng(1)
    targets = np.arange(count) % 2
    x = random.normal(size=(count, 2)) + apart * targets[:, None]
    return Table(keys(count), {"x": Values(x.astype(np.float32))}, targets.astype(np.int64))


def line(count: int = 120) -> Table:
    random = np.random.default_rng(1)
    x = random.normal(size=(count, 2)).astype(np.float32)
    return Table(keys(count), {"x": Values(x)}, 1000 + 50 * x[:, 0] - 20 * x[:, 1])


def slopes(count: int = 90) -> Table:
    random = np.random.default_rng(1)
    lengths = random.integers(2, 12, count)
    targets = np.arange(count) % 2
    x = np.zeros((count, int(lengths.max()), 2), np.float32)
    for row, (length, target) in enumerate(zip(lengths, targets, strict=True)):
        x[row, :length, 0] = np.arange(length) * (1 if target else -1) + random.normal()
        x[row, :length, 1] = random.normal(size=length)
    return Table(keys(count, "walk"), {"x": Values(x, lengths.astype(np.int64))}, targets.astype(np.int64))
