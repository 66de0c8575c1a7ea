"""Arrays by name, from an .npz file or a function, as columns and as whole inputs."""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa

from models.errors import listed, shown
from models.recipe import Recipe
from models.recipe_data import ColumnTarget, FunctionRows
from models.tensors import Tensor, elements
from trainer.errors import BadData
from trainer.reading.files import PATH_CHARACTERS, found
from trainer.reading.source import BATCH_ROWS, kinds_of


class Arrays:
    """Arrays of as many rows each; an array of several dimensions is a column of lists as well."""

    def __init__(self, name: str, arrays: Mapping[str, Tensor]) -> None:
        """Check the arrays.

        Raises: BadData, none, of different numbers of rows, or of Python objects.
        """
        self.name = name
        self.whole = {key: checked(name, key, array) for key, array in arrays.items()}
        rows = {key: len(array) for key, array in self.whole.items()}
        if len(set(rows.values())) > 1:
            told = listed(f"{key} has {count}" for key, count in rows.items())
            raise BadData(f"{name}: the arrays have different numbers of rows: {told}")

    @cached_property
    def kinds(self) -> dict[str, pa.DataType]:
        """The arrays as columns."""
        return kinds_of(
            pa.schema([(key, as_column(array[:1]).type) for key, array in self.whole.items()]), self.name
        )

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Give the rows of some arrays, in order, a part at a time."""
        rows = min(map(len, self.whole.values()))
        for start in range(0, rows, BATCH_ROWS):
            parts = [as_column(self.whole[name][start : start + BATCH_ROWS]) for name in names]
            yield pa.RecordBatch.from_arrays(parts, names=list(names))


def checked(name: str, key: str, array: Any) -> Tensor:
    """Return an array that columns can be made of.

    Raises: BadData.
    """
    result = np.asarray(array)
    if result.ndim == 0 or result.dtype.kind not in "biufUS":
        what = "one value" if result.ndim == 0 else f"of {result.dtype}"
        raise BadData(
            f"{name}: the array {shown(key)!r} is {what}; make it an array of numbers or texts, one row "
            "each of its first axis",
            array=shown(key),
        )
    return result


def as_column(array: Tensor) -> pa.Array:
    """Return an array as a column, of lists where it has several dimensions."""
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "backslashreplace")
    flat = np.ascontiguousarray(array).reshape(-1)
    native = flat.astype(flat.dtype.newbyteorder("="), copy=False)
    column = pa.array(native.tolist(), pa.string()) if array.dtype.kind == "U" else pa.array(native)
    if array.ndim == 1:
        return column
    return pa.FixedSizeListArray.from_arrays(column, elements(array.shape[1:]))


def open_npz(path: Path) -> Arrays:
    """Read the arrays of an .npz file.

    Raises: BadData.
    """
    name = shown(str(found(path)), PATH_CHARACTERS)
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise BadData(
                f"{name} is one array; write an .npz: np.savez(path, x=features, y=target)", path=name
            )
        with loaded:
            return Arrays(path.name, {key: loaded[key] for key in loaded.files})
    except (ValueError, EOFError, BadZipFile, KeyError) as error:
        objects = "Object arrays" in str(error)
        why = (
            "it holds Python objects, which are not read" if objects else "it is no .npz file, or is cut off"
        )
        raise BadData(f"{name} cannot be read: {why}", path=name) from error
    except OSError as error:
        raise BadData(f"{name} cannot be read: {error.strerror or shown(error)}", path=name) from error


def call(data: FunctionRows, recipe: Recipe, folder: Path | None) -> Arrays:
    """Run the function of a recipe and return its arrays.

    Raises: BadData, the recipe is in no local folder, no such function, it raises or returns no arrays.
    """
    if folder is None:
        raise BadData(
            f"data.function {data.function!r} is code that would be run: only for a recipe in a local file, "
            "whose folder is known"
        )
    function = imported(data.function, folder)
    try:
        returned = function()
    except Exception as error:  # somebody else's code may raise anything
        raise BadData(f"{data.function} raised {type(error).__name__}: {shown(error, 240)}") from error
    return Arrays(data.function, named(returned, data, recipe))


def named(returned: Any, data: FunctionRows, recipe: Recipe) -> dict[str, Tensor]:
    """Return what a function returned as arrays by name, of its own: training puts rows in another order.

    Raises: BadData.
    """
    target = data.target.column if isinstance(data.target, ColumnTarget) else None
    pair = isinstance(returned, tuple) and len(returned) == 2 and len(recipe.features.inputs) == 1
    if pair and target is not None:
        returned = dict(zip((recipe.features.inputs[0].name, target), returned, strict=True))
    if not isinstance(returned, Mapping):
        raise BadData(
            f"{data.function} returned {type(returned).__name__}; return a mapping of names to arrays"
            + (", or (x, y)" if len(recipe.features.inputs) == 1 else "")
        )
    return {str(key): owned(data.function, str(key), array) for key, array in returned.items()}


def owned(name: str, key: str, array: Any) -> Tensor:
    """Return a copy of what a function gave as an array.

    Raises: BadData, it is ragged.
    """
    try:
        return np.array(array)
    except ValueError as error:
        raise BadData(
            f"{name}: the array {shown(key)!r} is ragged; give every row as many numbers, and a list source "
            "its lengths",
            array=shown(key),
        ) from error


def imported(text: str, folder: Path) -> Any:
    """Return a function by its module and name; modules are looked for in the folder first.

    Raises: BadData.
    """
    module_name, _, name = text.partition(":")
    try:
        with searched_first(folder):
            module = importlib.import_module(module_name)
    except Exception as error:  # a module runs as it is imported, and may raise anything
        raise BadData(
            f"data.function {text!r}: the module {module_name} cannot be imported "
            f"({type(error).__name__}: {shown(error, 240)}); it is looked for in "
            f"{shown(str(folder), PATH_CHARACTERS)} first"
        ) from error
    function = getattr(module, name, None)
    if not callable(function):
        close = get_close_matches(name, dir(module), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise BadData(f"data.function {text!r}: the module {module_name} has no function {name!r}{hint}")
    return function


@contextmanager
def searched_first(folder: Path) -> Iterator[None]:
    """Look for modules in a folder before anywhere else."""
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))
