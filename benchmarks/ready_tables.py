"""The rows of the ready data sets as tables, without a Redis between."""

from collections.abc import Mapping

import numpy as np

from models.recipe import Recipe
from models.tensors import Tensor
from trainer.datasets.catalogue import dataset
from trainer.datasets.dataset import Value
from trainer.table import Table, Values

TARGETS = {"breast_cancer": "diagnosis", "digits": "label", "japanese_vowels": "speaker"}


def ready_table(recipe: Recipe) -> Table:
    """Return every row of a ready recipe's data set."""
    keys, features, targets = [], [], []
    for row in dataset(recipe.name).rows():
        keys.append(row[0].key)
        features.append(numbers(row[0].value, recipe))
        targets.append(recipe.classes.index(recipe.labels[truth(row[-1].value, recipe)]))
    return Table(tuple(keys), {recipe.features.inputs[0].name: padded(features)}, np.array(targets, np.int64))


def truth(value: Value, recipe: Recipe) -> str:
    """Return what is stored as the target of a row."""
    if not isinstance(value, Mapping):
        raise TypeError(f"the target of {recipe.name} should lie in a hash")
    return value[TARGETS[recipe.name]]


def numbers(value: Value, recipe: Recipe) -> Tensor:
    """Return the features of one row: of a hash its fields but the target, of bytes their numbers."""
    if isinstance(value, bytes):
        return np.frombuffer(value, np.uint8).reshape(8, 8)
    if isinstance(value, tuple):
        return np.stack([np.frombuffer(step, "<f4") for step in value])
    if not isinstance(value, Mapping):
        raise TypeError(f"recipe {recipe.name} has no rows of documents")
    return np.array([float(text) for name, text in value.items() if name != TARGETS[recipe.name]], np.float32)


def padded(rows: list[Tensor]) -> Values:
    """Return rows as one array, sequences padded at the right."""
    lengths = np.array([len(row) for row in rows], np.int64)
    if len(set(lengths.tolist())) == 1:
        return Values(np.stack(rows))
    x = np.zeros((len(rows), int(lengths.max()), *rows[0].shape[1:]), np.float32)
    for number, row in enumerate(rows):
        x[number, : len(row)] = row
    return Values(x, lengths)
