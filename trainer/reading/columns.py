"""A feature view compiled for columns: which ones it reads, and tensors of a batch of rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import FeatureError, listed, shown
from models.features import FeatureView, InputView
from models.recipe_data import Columnar
from models.rows import shaped
from models.sources import (
    ArrayField,
    FeatureField,
    ListSource,
    SequenceSource,
    Source,
    StreamSource,
    VectorSource,
)
from models.tensors import Tensor
from trainer.errors import BadData
from trainer.reading.cells import Batch, FieldColumn, is_number, is_text
from trainer.reading.sequences import (
    ArrayColumn,
    ListPart,
    Ragged,
    SpreadColumns,
    Stored,
    VectorPart,
    holds_arrays,
)

Part = FieldColumn | VectorPart | ListPart
Kinds = Mapping[str, pa.DataType]


class StepsDiffer(FeatureError):
    """Sequences that are read side by side, of different lengths."""

    code = "wrong_length"

    def __init__(self, name: str, lengths: Sequence[int]) -> None:
        super().__init__(f"the lists of input {name!r} have {listed(lengths)} steps; they need as many each")


class ViewColumns:
    """The columns that a view's inputs are read from."""

    def __init__(self, view: FeatureView, data: Columnar, kinds: Kinds, name: str) -> None:
        """Find the columns; `kinds` are those there are, in their order, `name` is what has them.

        Raises: BadData, naming a column that is not there or holds nothing of the kind.
        """
        self._data, self._kinds, self._where = data, kinds, name
        self.names: list[str] = []
        self._inputs = [(one, list(self._parts(one))) for one in view.inputs]

    def feeds(self, batch: Batch) -> dict[str, Tensor]:
        """Return the tensors of some rows, with the lengths of sequences; those of rows at fault mean nothing."""
        result: dict[str, Tensor] = {}
        for view, parts in self._inputs:
            read: list[Tensor | Ragged] = [part.read(batch) for part in parts]
            sequences = [one for one in read if isinstance(one, Ragged)]
            if sequences:
                x, lengths = joined(view.name, sequences, batch)
                if view.lengths is not None:
                    result[view.lengths] = lengths
            else:
                x = side_by_side([one for one in read if not isinstance(one, Ragged)])
            result[view.name] = shaped(x, view)
        return result

    def filled(self, good: NDArray[np.bool_]) -> dict[str, int]:
        """Return how many good rows of the last batch had no value of a field, by its name."""
        fields = [part for _, parts in self._inputs for part in parts if isinstance(part, FieldColumn)]
        counts = {one.name: int(np.count_nonzero(one.gaps & good)) for one in fields}
        return {name: count for name, count in counts.items() if count}

    def _parts(self, view: InputView) -> Iterator[Part]:
        dtype = view.dtype or "float32"
        for source in view.sources:
            if isinstance(source, VectorSource):
                yield VectorPart(source, self._stored(source, view, source.dtype), dtype)
            elif isinstance(source, ListSource):
                yield ListPart(source, self._stored(source, view, source.dtype), dtype)
            elif isinstance(source, StreamSource):
                yield ListPart(source, self._stored(source, view, dtype), dtype)
            else:
                for field in source.fields:
                    yield self._field(field, dtype)

    def _field(self, field: FeatureField, dtype: str) -> Part:
        kind = self._kind(field.name, f"which the view reads{self._hint(field.name)}")
        self.names.append(field.name)
        if isinstance(field, ArrayField) and field.shape:
            return VectorPart(field, ArrayColumn(field.name, dtype, dtype), dtype)
        if not is_text(kind) and not is_number(kind):
            raise BadData(
                f"{self._where}: column {shown(field.name)!r} is {kind}; a field is a number or a text, "
                "so give the network a number of it",
                column=shown(field.name),
            )
        return FieldColumn(field, dtype)

    def _stored(self, source: VectorSource | SequenceSource, view: InputView, stored: str) -> Stored:
        asked = self._data.columns.get(source.key, (view.name,))
        names = [name for pattern in asked for name in self._matching(pattern, source)]
        self.names.extend(names)
        if len(names) == 1 and holds_arrays(self._kinds[names[0]]):
            return ArrayColumn(names[0], stored, view.dtype or "float32")
        for name in names:
            if not is_number(self._kinds[name]) and not is_text(self._kinds[name]):
                raise BadData(
                    f"{self._where}: column {shown(name)!r} is {self._kinds[name]}, not a number of "
                    f"{source.key!r} nor a list of them",
                    column=shown(name),
                )
        return SpreadColumns(names, view.dtype or "float32")

    def _matching(self, pattern: str, source: Source) -> list[str]:
        if "*" in pattern:
            found = [name for name in self._kinds if fnmatchcase(name, pattern)]
            if not found:
                raise BadData(
                    f"{self._where} has no column like {shown(pattern)!r} (data.columns); "
                    f"it has {listed(self._kinds)}",
                    column=shown(pattern),
                )
            return found
        key = getattr(source, "key", "")
        self._kind(pattern, f"which {key!r} is read from; name it: data.columns: {{{key!r}: COLUMN}}")
        return [pattern]

    def _kind(self, name: str, why: str) -> Any:
        if name not in self._kinds:
            raise BadData(f"{self._where} has no column {shown(name)!r}, {why}", column=shown(name))
        return self._kinds[name]

    def _hint(self, name: str) -> str:
        return meant(name, self._kinds)


def meant(name: str, known: Iterable[str]) -> str:
    """Return the column or field that may have been meant, or those there are."""
    known = list(known)
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; it has {listed(known)}"


def side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """Join the parts of rows along the last axis; a field is one number of it."""
    if all(part.ndim == 1 for part in parts):
        return np.stack(parts, axis=-1)
    return np.concatenate([part[:, None] if part.ndim == 1 else part for part in parts], axis=-1)


def joined(name: str, parts: Sequence[Ragged], batch: Batch) -> tuple[Tensor, Tensor]:
    """Join sequences along the features, step by step; rows whose lists differ in length are at fault."""
    first = parts[0]
    if len(parts) == 1:
        return first.x, first.lengths
    table = np.stack([part.lengths for part in parts], axis=1)
    for row in np.flatnonzero((table != table[:, :1]).any(axis=1)).tolist():
        batch.fault(row, StepsDiffer(name, table[row].tolist()))
    longest = max(part.x.shape[1] for part in parts)
    return np.concatenate([longer(part.x, longest) for part in parts], axis=-1), first.lengths


def longer(x: Tensor, steps: int) -> Tensor:
    """Return sequences with zeros behind up to so many steps."""
    width = [(0, 0), (0, steps - x.shape[1])] + [(0, 0)] * (x.ndim - 2)
    return np.pad(x, width)
