"""Which windows of a series are newer than those that a model has learned from, though all have one key.

Of a series that is in several parts the newest windows are held out. Where those begin is known by
the steps to come of the oldest of them: they are found again when the series has grown since.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from models.recipe import Recipe
from models.recipe_data import FollowingTarget
from models.tensors import Tensor
from trainer.split import Split
from trainer.table import Indices, Table


@dataclass(frozen=True, slots=True)
class Windows:
    """All windows of the series of a table, those of one series newest first, `every` steps apart.

    Shape: steps to come (N, steps, channels); `held_out` are the numbers of the windows held out.
    """

    keys: NDArray[np.str_]
    following: Tensor
    every: int
    held_out: Indices

    @classmethod
    def of(cls, recipe: Recipe, table: Table, parts: Split) -> "Windows | None":
        """Return the windows of a table that is not parted yet, None where its rows are none."""
        target = recipe.data.target
        if not isinstance(target, FollowingTarget):
            return None
        return cls(np.array(table.keys), table.targets.copy(), target.every, parts.held_out)

    def begins(self) -> dict[str, str]:
        """Return, of each series that is not held out as a whole, what tells its oldest window that is."""
        oldest = {str(self.keys[row]): row for row in self.held_out}
        others = set(np.delete(self.keys, self.held_out).tolist())
        return {key: told(self.following[row]) for key, row in oldest.items() if key in others}

    def newer(self, begins: Mapping[str, str]) -> NDArray[np.bool_]:
        """Return of each window held out whether its series is one of these and it begins no earlier than said.

        Where a series does not have such steps, none does: what was learned from may be all of it.
        """
        found = np.zeros(len(self.keys), bool)
        for key in set(self.keys[self.held_out].tolist()) & set(begins):
            rows = np.flatnonzero(self.keys == key)
            first = self._steps_since(rows, begins[key])
            found[rows] = self.following.shape[1] + np.arange(len(rows)) * self.every <= first
        newer: NDArray[np.bool_] = found[self.held_out]
        return newer

    def _steps_since(self, rows: Indices, begin: str) -> int:
        """Return how many steps a series has from its newest place with such steps on, 0 without one."""
        steps = self.following.shape[1]
        if self.every > steps:
            alike = (at for at, row in enumerate(rows) if told(self.following[row]) == begin)
            return next((steps + at * self.every for at in alike), 0)
        since = [self.following[row, -self.every :] for row in rows[-2::-1]]
        line = np.concatenate([self.following[rows[-1]], *since])
        places = range(len(line) - steps, -1, -1)
        return next((len(line) - at for at in places if told(line[at : at + steps]) == begin), 0)


def told(steps: Tensor) -> str:
    """Return what tells steps to come from others, without telling them."""
    return sha256(np.ascontiguousarray(steps, np.float32).tobytes()).hexdigest()
