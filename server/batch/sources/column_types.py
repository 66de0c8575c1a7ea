"""Types of Parquet's columns, by what a model can read of them. It needs pyarrow, an extra."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
BYTES = (pa.types.is_binary, pa.types.is_large_binary)
NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


def is_text(kind: Any) -> bool:
    """Whether a column holds text, each once and numbered or not."""
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return any(test(inner) for test in TEXTS)


def is_bytes(kind: Any) -> bool:
    """Whether a column holds bytes."""
    return any(test(kind) for test in BYTES)


def is_number(kind: Any) -> bool:
    """Whether a column holds numbers."""
    return any(test(kind) for test in NUMBERS)


def nests(kind: Any) -> bool:
    """Whether a column holds lists."""
    return any(test(kind) for test in LISTS)


def innermost(kind: Any) -> Any:
    """Return what the lists of a column hold, or the lists in them."""
    return innermost(kind.value_type) if nests(kind) else kind


def all_finite(column: Any) -> bool:
    """Whether a column has neither NaN nor infinity anywhere in it."""
    while nests(column.type):
        column = column.flatten()
    return not pa.types.is_floating(column.type) or pc.all(pc.is_finite(column)).as_py() is not False
