"""Rows as a draft sees them, wherever they lie: facts of their fields, shapes of their arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from models.errors import listed, shown
from trainer.drafting.facts import Facts, describable
from trainer.errors import BadData
from trainer.reading.arrays import open_npz
from trainer.reading.columns import meant
from trainer.reading.files import CsvFile, ParquetFile, first_bytes, reading
from trainer.reading.sequences import holds_arrays, is_list, lengths_of
from trainer.reading.source import BATCH_ROWS, ColumnSource

CSV_ENDS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
PARQUET_ENDS = (".parquet", ".pq")
A_TIME = "it is a time; make numbers of it, or part the rows by it: split: {time: ...}"


@dataclass(frozen=True, slots=True)
class Vector:
    """An array a row: `shape`, of any number of steps where `steps` says how many at most.

    `bad` rows have none, or something that is no finite number. `fields` are those of a stream's entries.
    """

    name: str
    key: str
    kind: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    steps: int = 0
    free: bool = False
    bad: int = 0
    fields: tuple[Facts, ...] = ()


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found.

    `source` is the data section but for its target, as words; `key` the template of the rows.
    """

    name: str
    source: dict[str, object]
    key: str
    target: Facts
    truth: dict[str, object]
    fields: list[Facts]
    vectors: list[Vector] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    every: bool = True
    paths: Mapping[str, str] | None = None
    """Of rows that are documents, the path of each field; None of rows in hashes and files."""

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.target.rows


def look_at_file(path: Path, target: str, name: str) -> Looked:
    """Look at every row of a file.

    Raises: BadData.
    """
    source, words = opened(path)
    if target not in source.kinds:
        raise BadData(f"{path.name} has no column {shown(target)!r}{meant(target, source.kinds)}")
    plain = [one for one, kind in source.kinds.items() if describable(kind)]
    if target not in plain:
        raise BadData(
            f"{path.name}: column {target!r} is {source.kinds[target]}; a target is a number or a text"
        )
    facts = {one: Facts(one) for one in plain}
    for batch in source.batches(plain):
        for one in plain:
            column = batch.column(one)
            facts[one].add(column.dictionary_decode() if pa.types.is_dictionary(column.type) else column)
    if not facts[target].rows:
        raise BadData(f"{path.name} has no rows")
    others = [facts[one] for one in plain if one != target]
    key = key_of(name, others)
    vectors, left_out = arrays_of(source, key)
    missing = sorted(set().union(*(one.words for one in facts.values())))
    if missing:
        words["missing"] = missing
    return Looked(name, words, key, facts[target], {"column": target}, others, vectors, left_out)


def opened(path: Path) -> tuple[ColumnSource, dict[str, object]]:
    """Open a file by the end of its name, and say what the data section calls it.

    Raises: BadData.
    """
    lower = path.name.lower()
    if lower.endswith(CSV_ENDS):
        separator = "\t" if ".tsv" in lower else separator_of(path)
        words: dict[str, object] = {"source": "csv", "path": path.name}
        return CsvFile(path, separator), words | ({"separator": separator} if separator != "," else {})
    if lower.endswith(PARQUET_ENDS):
        return ParquetFile(path), {"source": "parquet", "path": path.name}
    if lower.endswith(".npz"):
        return open_npz(path), {"source": "numpy", "path": path.name}
    known = listed([*CSV_ENDS, *PARQUET_ENDS, ".npz"])
    if path.is_dir():
        raise BadData(f"{path} is a directory; name one file in it, of a kind that is read: {known}")
    raise BadData(f"{path.name} is of no kind that is read by its name; there are {known}")


def separator_of(path: Path) -> str:
    """Return what parts the columns of a CSV file: the one that its first line has most of."""
    if not path.is_file():
        return ","
    with reading(path, "CSV"):
        first = first_bytes(path).decode("utf-8", "replace").partition("\n")[0]
    return max(",;\t|", key=first.count)


def key_of(name: str, fields: Sequence[Facts]) -> str:
    """Return the template of the rows' keys: the column that names them, or their number."""
    named = [
        one.name for one in fields
        if one.names_rows and one.name.isidentifier() and one.distinct == one.rows and storable(one)
    ]  # fmt: skip
    taken = {one.name for one in fields}
    placeholder = (
        named[0] if named else next(word for word in ("id", "row", "row_number") if word not in taken)
    )
    return f"{name}:{{{placeholder}}}"


def storable(facts: Facts) -> bool:
    """Whether every value can stand in a key."""
    return all(":" not in text and text for text in facts.values or ())


def arrays_of(source: ColumnSource, key: str) -> tuple[list[Vector], list[tuple[str, str]]]:
    """Return the arrays of a file, and what can be no feature with the reason."""
    vectors, left_out = [], []
    lengths = {f"{name}_length" for name in source.whole}
    for name, kind in source.kinds.items():
        if describable(kind):
            continue
        template = f"{key}:{name}" if ":" not in name else ""
        if name in source.whole and name not in lengths:
            vectors.append(of_array(name, template, source.whole[name], f"{name}_length" in source.whole))
        elif holds_arrays(kind) and not pa.types.is_binary(kind):
            found = of_lists(name, template, source)
            if found is None:
                left_out.append((name, f"it is {kind}, and its inner lists are not all of one length"))
            else:
                vectors.append(found)
        else:
            dated = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
            left_out.append((name, A_TIME if dated else f"it is {kind}"))
    return vectors, left_out


def of_array(
    name: str, key: str, array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", free: bool
) -> Vector:
    """Return what an array of several dimensions is: steps, an image or a vector."""
    shape = tuple(array.shape[1:])
    dtype = str(array.dtype) if array.dtype.kind in "iu" else "float32"
    bad = not_finite(array)
    if free or (len(shape) == 2 and shape[0] != shape[1]):
        return Vector(name, key, "list", shape[1:] or (1,), dtype, shape[0], free, bad)
    return Vector(name, key, "vector", shape, dtype, bad=bad)


def not_finite(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> int:
    """Return how many rows of an array hold something that is no finite number; some are looked at at a time."""
    if array.dtype.kind != "f":
        return 0
    parts = (array[start : start + BATCH_ROWS] for start in range(0, len(array), BATCH_ROWS))
    return sum(int((~np.isfinite(part).reshape(len(part), -1).all(axis=1)).sum()) for part in parts)


def of_lists(name: str, key: str, source: ColumnSource) -> Vector | None:
    """Return what a column of lists is: vectors of one length, or steps of as many numbers each; None of neither."""
    nested = is_list(source.kinds[name].value_type)
    low, high, bad = np.inf, 1, 0
    widths: set[int] = set() if nested else {1}
    for batch in source.batches([name]):
        column = batch.column(name).filter(pa.array(lengths_of(batch.column(name)) > 0))
        bad += batch.num_rows - len(column)
        lengths = lengths_of(column)
        if len(lengths):
            low, high = min(low, int(lengths.min())), max(high, int(lengths.max()))
        if nested:
            widths |= set(lengths_of(column.flatten()).tolist())
    if len(widths) != 1 or (nested and is_list(source.kinds[name].value_type.value_type)):
        return None
    width = widths.pop()
    if low == high and (not nested or width == high):
        return Vector(name, key, "vector", (high, width) if nested else (high,), bad=bad)
    return Vector(name, key, "list", (width,), "float32", high, free=low != high, bad=bad)
