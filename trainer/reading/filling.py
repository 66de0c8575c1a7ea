"""Arrays for a known number of rows, filled part by part: the rows are in memory once."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.binding import row_shape
from models.features import FeatureView, InputView
from models.tensors import Tensor, elements, numpy_dtype
from trainer.errors import TooMuchData
from trainer.table import Values

TABLE_LIMIT_BYTES = 4 << 30


class Filling:
    """The inputs of a view for at most `rows` rows; sequences of free length wait until all are there."""

    def __init__(self, view: FeatureView, rows: int, max_rows: int | None) -> None:
        """Make room.

        Raises: TooMuchData.
        """
        self._view, self._rows, self._max_rows = view, rows, max_rows
        self.count = 0
        self._free: dict[str, list[tuple[Tensor, NDArray[np.int64]]]] = {}
        self._fixed: dict[str, Tensor] = {}
        self._longest: dict[str, int] = {}
        fixed = [one for one in view.inputs if not one.free_length]
        self._fixed_bytes = sum(row_bytes(one) for one in fixed)
        self._check_size()
        for one in view.inputs:
            if one.free_length:
                self._free[one.name] = []
            else:
                self._fixed[one.name] = np.empty((rows, *fixed_shape(one)), dtype_of(one))

    def append(
        self, feeds: Mapping[str, Tensor], good: NDArray[np.bool_] | Sequence[int] | None = None
    ) -> None:
        """Take some rows, of which `good` are kept: all when None.

        Raises: TooMuchData.
        """
        rows = 0
        for one in self._view.inputs:
            x = feeds[one.name] if good is None else feeds[one.name][good]
            rows = len(x)
            if not one.free_length:
                self._fixed[one.name][self.count : self.count + rows] = x
            elif rows:
                lengths = feeds[str(one.lengths)]
                self._keep(one, x, lengths if good is None else lengths[good])
        self.count += rows

    def _keep(self, one: InputView, x: Tensor, lengths: NDArray[np.int64]) -> None:
        self._free[one.name].append((x, lengths))
        if x[0].nbytes > self._longest.get(one.name, 0):
            self._longest[one.name] = x[0].nbytes
            self._check_size()

    def _check_size(self) -> None:
        """Refuse more rows than fit into memory once they are all padded to the longest."""
        row = self._fixed_bytes + sum(self._longest.values())
        if self._rows * row > TABLE_LIMIT_BYTES:
            raise TooMuchData(self._rows, row, TABLE_LIMIT_BYTES, self._max_rows)

    def inputs(self) -> dict[str, Values]:
        """Return what was taken, by input; afterwards there is nothing left here."""
        result = {}
        for one in self._view.inputs:
            if one.free_length:
                result[one.name] = padded(self._free.pop(one.name), self.count)
            else:
                result[one.name] = Values(self._fixed.pop(one.name)[: self.count])
        return result


def padded(parts: list[tuple[Tensor, NDArray[np.int64]]], count: int) -> Values:
    """Join sequences, with zeros after those shorter than the longest of all."""
    longest = max(x.shape[1] for x, _ in parts)
    lengths = np.concatenate([lengths for _, lengths in parts])
    result: NDArray[Any] = np.zeros((count, longest, *parts[0][0].shape[2:]), parts[0][0].dtype)
    start = 0
    parts.reverse()
    while parts:  # each goes as soon as it is copied
        x, _ = parts.pop()
        result[start : start + len(x), : x.shape[1]] = x
        start += len(x)
    return Values(result, lengths)


def fixed_shape(one: InputView) -> tuple[int, ...]:
    """Return the shape of one row of an input without free steps."""
    return tuple(int(dim) for dim in row_shape(one))


def dtype_of(one: InputView) -> "np.dtype[Any]":
    """Return the type of an input's numbers."""
    return numpy_dtype(one.dtype or "float32")


def row_bytes(one: InputView) -> int:
    """Return the size of one row of an input without free steps."""
    return elements(fixed_shape(one)) * dtype_of(one).itemsize
