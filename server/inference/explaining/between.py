"""Rows between the one that is explained and its reference rows: some features of it, the others of them."""

from collections.abc import Sequence

import numpy as np

from models.named_elements import Indices, NamedFeature
from models.tensors import Tensor
from server.inference.explaining.references import Feeds
from server.inference.explaining.shapley import Masks


class Between:
    """One row, its reference rows and its features; those that differ from a reference row are the players.

    Shape: row[input] is (1, ...), references[input] is (references, ...).
    """

    def __init__(self, row: Feeds, references: Feeds, features: Sequence[NamedFeature]) -> None:
        self.row, self.references = row, references
        self.players = [feature for feature in features if self._differs(feature)]
        self._owners = {name: self._owner(name) for name in {one.input for one in self.players}}
        self.row_bytes = sum(tensor.nbytes for tensor in row.values())

    def _differs(self, feature: NamedFeature) -> bool:
        own, others = self.row[feature.input], self.references[feature.input]
        places = feature.places
        return bool((others.reshape(len(others), -1)[:, places] != own.reshape(-1)[places]).any())

    def _owner(self, name: str) -> Indices:
        """Return the player of each element; what is alike everywhere may go with any of them."""
        owner = np.zeros(self.row[name].size, np.int64)
        for number, player in enumerate(self.players):
            if player.input == name:
                owner[player.places] = number
        return owner

    def feeds(self, present: Masks, reference: Indices) -> Feeds:
        """Return one row a coalition: the present players' elements, the others' of its reference row."""
        return {name: self._mixed(name, present, reference) for name in self.row}

    def _mixed(self, name: str, present: Masks, reference: Indices) -> Tensor:
        own, count = self.row[name], len(present)
        if name not in self._owners:
            return np.repeat(own, count, axis=0)
        others = self.references[name].reshape(len(self.references[name]), -1)[reference]
        mixed = np.where(present[:, self._owners[name]], own.reshape(1, -1), others)
        return mixed.reshape(count, *own.shape[1:])


def value_of(feature: NamedFeature, tensor: Tensor) -> object:
    """Return what a feature is in a row (1, ...): a number, the text of its category; None for several elements."""
    if not feature.single:
        return None
    value = tensor.reshape(-1)[feature.places[0]]
    if feature.categories and value in range(len(feature.categories)):
        return feature.categories[int(value)]
    return value.item() if isinstance(value, np.generic) else value
