"""What rows in columns are read from, whatever holds them: names, types, and batches of some of the columns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import pyarrow as pa

from models.errors import shown
from models.tensors import Tensor
from trainer.errors import BadData

BATCH_ROWS = 16_384


class ColumnSource(Protocol):
    """Columns of one file or function; read as often as asked, the same rows each time."""

    @property
    def name(self) -> str:
        """What has the columns, as errors call it."""

    @property
    def kinds(self) -> Mapping[str, pa.DataType]:
        """The columns, in their order."""

    @property
    def whole(self) -> Mapping[str, Tensor]:
        """Arrays of any number of dimensions, one row each of the first: only where arrays are held."""

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Give the rows of some columns, in order, a part at a time.

        Raises: BadData.
        """


def kinds_of(schema: pa.Schema, name: str) -> dict[str, pa.DataType]:
    """Return the columns of a schema; dictionaries are what they stand for.

    Raises: BadData, none, or two of one name.
    """
    kinds: dict[str, pa.DataType] = {}
    for field in schema:
        if field.name in kinds:
            raise BadData(
                f"{name} has two columns {shown(field.name)!r}; rename one", column=shown(field.name)
            )
        kind = field.type
        kinds[field.name] = kind.value_type if pa.types.is_dictionary(kind) else kind
    if not kinds:
        raise BadData(f"{name} has no columns")
    return kinds
