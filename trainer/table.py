"""Table: rows in memory, ready to be trained on; knows no Redis and no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.tensors import Tensor

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows and what the network shall say of them.

    Shape: x (N, ...) as the feature view gives rows, sequences padded at the right; lengths (N,)
    the true steps of each, None where all are whole; targets (N,) class numbers or values.
    `skipped` counts the rows that could not be used, by the code of the error, `filled` those of the
    whole table where something stood in for a feature; `beside` holds (N,) texts of fields that the
    network does not see, None where a row has none.
    """

    keys: tuple[str, ...]
    x: Tensor
    lengths: NDArray[np.int64] | None
    targets: NDArray[Any]
    skipped: Mapping[str, int] = field(default_factory=dict)
    filled: Mapping[str, int] = field(default_factory=dict)
    beside: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: Indices) -> "Table":
        """Return some of the rows, in the order given."""
        lengths = None if self.lengths is None else self.lengths[rows]
        keys = tuple(self.keys[row] for row in rows)
        beside = {name: values[rows] for name, values in self.beside.items()}
        return replace(
            self, keys=keys, x=self.x[rows], lengths=lengths, targets=self.targets[rows], beside=beside
        )

    def samples(self, sizes: Sequence[int]) -> list[Indices]:
        """Return rows for a few small batches that differ in length as much as the table allows.

        The shortest and the longest row come alone, then batches spread over all lengths.
        """
        lengths = np.zeros(len(self)) if self.lengths is None else self.lengths
        order = np.argsort(lengths, kind="stable")
        spread = [np.linspace(0, len(self) - 1, min(size, len(self)), dtype=np.int64) for size in sizes]
        return [order[:1], order[-1:], *(order[part] for part in spread)]

    def joined_with(self, other: "Table") -> "Table":
        """Return the rows of both; they come from one table, so they are padded alike."""
        both = self.lengths is not None and other.lengths is not None
        return replace(
            self,
            keys=self.keys + other.keys,
            x=np.concatenate([self.x, other.x]),
            lengths=np.concatenate([self.lengths, other.lengths]) if both else None,
            targets=np.concatenate([self.targets, other.targets]),
            beside={name: np.concatenate([self.beside[name], other.beside[name]]) for name in self.beside},
        )
