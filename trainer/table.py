"""Table: rows in memory, ready to be trained on; knows no Redis and no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.tensors import Tensor
from trainer.sampling import evenly

Indices = NDArray[np.int64]
ARRANGED_SHARE = 16  # of the columns of an input are copied while rows change places


@dataclass(frozen=True, slots=True)
class Values:
    """What the rows have for one input.

    Shape: x (N, ...) as the feature view gives rows, sequences padded at the right; lengths (N,)
    the true steps of each, None where all are whole.
    """

    x: Tensor
    lengths: NDArray[np.int64] | None = None

    def take(self, rows: Indices) -> "Values":
        """Return some of the rows, in the order given."""
        return Values(self.x[rows], None if self.lengths is None else self.lengths[rows])

    def slice(self, start: int, stop: int) -> "Values":
        """Return some rows that follow one another, in the same memory."""
        return Values(self.x[start:stop], None if self.lengths is None else self.lengths[start:stop])

    def arrange(self, order: Indices) -> None:
        """Put the rows in another order, in place, a share of the columns at a time."""
        flat = np.reshape(self.x, (len(self.x), -1), copy=False)
        width = max(1, flat.shape[1] // ARRANGED_SHARE)
        for start in range(0, flat.shape[1], width):
            flat[:, start : start + width] = flat[order, start : start + width]
        if self.lengths is not None:
            self.lengths[:] = self.lengths[order]

    def trimmed(self) -> "Values":
        """Return the same rows without the steps that are padding in all of them."""
        return self if self.lengths is None else Values(self.x[:, : int(self.lengths.max())], self.lengths)

    def joined_with(self, other: "Values") -> "Values":
        """Return the rows of both; they come from one table, so they are padded alike."""
        both = self.lengths is not None and other.lengths is not None
        return Values(
            np.concatenate([self.x, other.x]), np.concatenate([self.lengths, other.lengths]) if both else None
        )


@dataclass(slots=True)
class Table:
    """Rows and what the network shall say of them.

    Shape: inputs by the name of the view's input, in its order; targets (N,) class numbers or
    values. `skipped` counts the rows that could not be used, by the code of the error, `filled` those
    of the whole table where something stood in for a feature; `beside` holds (N,) texts of fields
    that the network does not see, None where a row has none; `marks` (N,) is the group, time or part
    of each row where the recipe parts rows by one.
    """

    keys: tuple[str, ...]
    inputs: Mapping[str, Values]
    targets: NDArray[Any]
    skipped: Mapping[str, int] = field(default_factory=dict)
    filled: Mapping[str, int] = field(default_factory=dict)
    beside: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    marks: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: Indices) -> "Table":
        """Return some of the rows, in the order given."""
        return replace(
            self,
            keys=tuple(self.keys[row] for row in rows),
            inputs={name: values.take(rows) for name, values in self.inputs.items()},
            targets=self.targets[rows],
            beside={name: values[rows] for name, values in self.beside.items()},
            marks=None if self.marks is None else self.marks[rows],
        )

    def digest(self) -> str:
        """Return what tells these rows from others: their numbers, lengths and targets, in their order."""
        found = sha256(np.ascontiguousarray(self.targets).data)
        for name, values in self.inputs.items():
            found.update(f"{name} {values.x.dtype} {values.x.shape}".encode())
            found.update(np.ascontiguousarray(values.x).data)
            if values.lengths is not None:
                found.update(np.ascontiguousarray(values.lengths).data)
        return found.hexdigest()

    def copy(self) -> "Table":
        """Return the same rows in memory of their own."""
        return self.take(np.arange(len(self)))

    def slice(self, start: int, stop: int) -> "Table":
        """Return some rows that follow one another; their arrays are the same memory."""
        return replace(
            self,
            keys=self.keys[start:stop],
            inputs={name: values.slice(start, stop) for name, values in self.inputs.items()},
            targets=self.targets[start:stop],
            beside={name: values[start:stop] for name, values in self.beside.items()},
            marks=None if self.marks is None else self.marks[start:stop],
        )

    def arrange(self, order: Indices) -> None:
        """Put the rows in another order, in place: a copy would be twice the memory."""
        for values in self.inputs.values():
            values.arrange(order)
        self.keys = tuple(self.keys[row] for row in order)
        self.targets = self.targets[order]
        self.beside = {name: values[order] for name, values in self.beside.items()}
        self.marks = None if self.marks is None else self.marks[order]

    def samples(self, sizes: Sequence[int]) -> list[Indices]:
        """Return rows for a few small batches that differ in length as much as the table allows.

        The shortest and the longest row come alone, then batches spread over all lengths; with
        several sequences, of each.
        """
        every = [one.lengths for one in self.inputs.values() if one.lengths is not None]
        batches = []
        for lengths in every or [np.zeros(len(self), np.int64)]:
            order = np.argsort(lengths, kind="stable")
            spread = [evenly(len(self), size) for size in sizes]
            batches += [order[:1], order[-1:], *(order[part] for part in spread)]
        return batches

    def joined_with(self, other: "Table") -> "Table":
        """Return the rows of both; they come from one table, so they have the same inputs."""
        marked = self.marks is not None and other.marks is not None
        return replace(
            self,
            keys=self.keys + other.keys,
            inputs={name: values.joined_with(other.inputs[name]) for name, values in self.inputs.items()},
            targets=np.concatenate([self.targets, other.targets]),
            beside={name: np.concatenate([self.beside[name], other.beside[name]]) for name in self.beside},
            marks=np.concatenate([self.marks, other.marks]) if marked else None,
        )
