"""An input that lies in one array as the view gives its rows; numbers as they are, or cast without loss."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.binding import row_shape
from models.decoding import cast, lost
from models.errors import FeatureError, NotANumber, shown
from models.features import FeatureView, InputView
from models.sources import InlineSource, ListSource, VectorSource
from models.tensors import Tensor
from trainer.datasets.series import LENGTHS
from trainer.errors import BadData
from trainer.reading.faults import Faults
from trainer.table import Values

ROWS_AT_ONCE = 4096


class BadLength(FeatureError):
    """A number of steps that the array does not have."""

    code = "wrong_length"

    def __init__(self, name: str, length: int, most: int) -> None:
        super().__init__(f"{name} is {length}; a row has 1 to {most} steps", length=length)


@dataclass(frozen=True, slots=True)
class WholeInput:
    """One input and the array that holds it, with the true lengths of its rows where steps are free."""

    view: InputView
    array: Tensor
    lengths: NDArray[np.int64] | None

    def values(self, rows: int, faults: Faults) -> Values:
        """Return the first rows; numbers that are none are their rows' faults."""
        array, dtype = self.array[:rows], self.view.dtype or "float32"
        result = cast(array, dtype)
        for start in range(0, rows, ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            bad = lost(array[part], result[part]).reshape(len(result[part]), -1)
            for row in np.flatnonzero(bad.any(axis=1)).tolist():
                at = int(bad[row].argmax())
                value = array[start + row].reshape(-1)[at].item()
                place = f"element {at} of the array {shown(self.view.name)!r}"
                faults.add(start + row, NotANumber(place, value, dtype))
        return Values(np.ascontiguousarray(result), self._lengths(rows, faults))

    def _lengths(self, rows: int, faults: Faults) -> NDArray[np.int64] | None:
        if self.lengths is None:
            return None
        lengths = self.lengths[:rows].astype(np.int64)
        most = self.array.shape[1]
        for row in np.flatnonzero((lengths < 1) | (lengths > most)).tolist():
            faults.add(row, BadLength(str(self.view.lengths), int(lengths[row]), most))
        return lengths


def whole_inputs(view: FeatureView, arrays: Mapping[str, Tensor], name: str) -> dict[str, WholeInput]:
    """Return the inputs that have an array of their own name.

    Raises: BadData, its shape is not that of the view's rows, or its lengths are missing.
    """
    found = {}
    for one in view.inputs:
        array = arrays.get(one.name)
        if array is not None and array.dtype.kind in "biuf" and not is_field(one, array):
            if not fits(one, array.shape[1:]):
                raise BadData(
                    f"{name}: the array {one.name!r} has rows of shape {list(array.shape[1:])}, "
                    f"the view's are {list(row_shape(one))}",
                    array=one.name,
                )
            found[one.name] = WholeInput(one, array, lengths_of(one, arrays, name))
    return found


def is_field(one: InputView, array: Tensor) -> bool:
    """Whether an array of an input's name is only one field, or vector, of several that it is made of."""
    every = [
        field
        for source in one.sources
        if not isinstance(source, VectorSource | ListSource)
        for field in source.fields
    ]
    inline = any(isinstance(source, InlineSource) for source in one.sources)
    return any(field.name == one.name for field in every) and (array.ndim == 1 or inline)


def fits(one: InputView, shape: tuple[int, ...]) -> bool:
    """Whether an array's rows are the view's; free steps are any number."""
    wanted = row_shape(one)
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(isinstance(want, str) or dim == want for dim, want in pairs)


def lengths_of(one: InputView, arrays: Mapping[str, Tensor], name: str) -> NDArray[np.int64] | None:
    """Return the lengths of an input's rows, None where steps are fixed.

    Raises: BadData, not there or no whole numbers.
    """
    if one.lengths in (None, LENGTHS):
        return None
    lengths = arrays.get(one.lengths)
    if lengths is None or lengths.ndim != 1 or lengths.dtype.kind not in "iu":
        raise BadData(
            f"{name} has no array {one.lengths!r} of whole numbers, the steps of each row of {one.name!r}",
            array=one.lengths,
        )
    return lengths
