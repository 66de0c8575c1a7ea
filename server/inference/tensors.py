"""`inputs` of a request -> tensors, checked against the graph's signature before anything runs."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np

from models.errors import listed, shown
from models.manifest import Manifest
from models.tensors import Tensor, TensorSpec, is_float, numpy_dtype
from models.values import EXACT_INTEGER, INTEGERS
from server.inference.errors import BadInput
from server.inference.samples import Rows

NUMBERS = "biuf"  # numpy: truth values, integers, floats
PACKED_AT_ONCE = 1 << 16  # numbers: numpy reads them in about 3 ms
SENT_NUMBERS = frozenset((bool, int, float))


def tensors_of(manifest: Manifest, inputs: Mapping[str, Any], rows: Rows) -> tuple[dict[str, Tensor], int]:
    """Return the feeds of a request and their number of rows (1 when rows mean nothing here).

    Raises: BadInput, naming the input, its value and what the graph takes.
    """
    specs = {spec.name: spec for spec in manifest.inputs}
    for name in inputs:
        if name not in specs:
            near = difflib.get_close_matches(name[:128], specs, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadInput(f"the model has no input {shown(name)!r}, it has {listed(specs)}{hint}")
    absent = [name for name in specs if name not in inputs]
    if absent:
        raise BadInput(f"input {listed(absent)} is missing; the model takes {listed(specs)}")
    feeds = {name: tensor_of(spec, inputs[name]) for name, spec in specs.items()}
    if rows != "whole":
        return feeds, rows_of(feeds)
    for name, tensor in feeds.items():
        check_whole(specs[name], tensor)
    return feeds, 1


def check_whole(spec: TensorSpec, tensor: Tensor) -> None:
    """Refuse another size of a first axis that the graph fixes and that is no number of rows.

    Raises: BadInput.
    """
    wanted = spec.shape
    if wanted and isinstance(wanted[0], int) and len(tensor) != wanted[0]:
        raise BadInput(
            f"input {spec.name!r} has shape {list(tensor.shape)}, the model takes [{', '.join(map(str, wanted))}]"
        )


def rows_of(feeds: Mapping[str, Tensor]) -> int:
    """Return how many rows the feeds have, the same in each.

    Raises: BadInput, when they differ or there is none.
    """
    counts = {name: len(tensor) for name, tensor in feeds.items()}
    if len(set(counts.values())) > 1:
        told = listed(f"{name} {count}" for name, count in counts.items())
        raise BadInput(f"the inputs differ in their number of rows: {told}")
    rows = next(iter(counts.values()))
    if rows == 0:
        raise BadInput("the inputs have no rows; send at least one")
    return rows


def tensor_of(spec: TensorSpec, value: object) -> Tensor:
    """Return one input as a tensor of the graph's type and shape.

    Raises: BadInput, another shape, a value that is not of the type, a ragged list.
    """
    if isinstance(value, np.ndarray) and spec.dtype != "string" and value.dtype == numpy_dtype(spec.dtype):
        return fitted(spec, value)
    if isinstance(value, list) and spec.dtype != "string" and not kinds_in(value) <= SENT_NUMBERS:
        check_values(spec, value)
    try:
        parsed = np.asarray(value, object if spec.dtype == "string" else None)
    except (ValueError, OverflowError) as error:
        raise BadInput(
            f"input {spec.name!r} is ragged: rows differ in length; rows must agree, or be sent one by one"
        ) from error
    if parsed.dtype.kind not in NUMBERS:
        check_values(spec, value)
    if spec.dtype in INTEGERS and parsed.dtype.kind == "f":
        parsed = unrounded(value, parsed)
    return fitted(spec, parsed) if spec.dtype == "string" else of_numbers(spec, fitted(spec, parsed))


def unrounded(value: object, parsed: Tensor) -> Tensor:
    """Return integers as they were sent: numpy rounds them to floats beside a float, or beside one beyond int64."""
    if not np.isfinite(parsed).all() or (abs(parsed) < EXACT_INTEGER).all():
        return parsed
    sent = np.array(value, object)
    return sent if (sent != parsed).any() else parsed


def check_values(spec: TensorSpec, value: object) -> None:
    """Refuse a value of another kind: numpy would make text of the numbers beside a text.

    Raises: BadInput, naming the first one.
    """
    wanted: tuple[type, ...] = (str,) if spec.dtype == "string" else (bool, int, float)
    for one in leaves(value):
        if not isinstance(one, wanted):
            raise BadInput(f"input {spec.name!r} holds {shown(one)!r} where {spec.dtype} belongs")


def kinds_in(value: list[Any]) -> set[type]:
    """Return the types of what nested lists hold; more lists where some are nested deeper than the first.

    To be asked before numpy is: beside a text it makes every number one, each as long as the longest.
    """
    axes, first = 1, value
    while first and isinstance(first[0], list):
        axes, first = axes + 1, first[0]
    try:
        return set(map(type, values_in(value, axes)))
    except TypeError:  # a value where others have a list
        return {list}


def packed(value: object) -> object:
    """Return nested lists of numbers as an array that says the same to `tensors_of`; anything else as it is.

    That is work to be done beside the event loop. A part of the first axis comes after the other: numpy lets nobody
    else in while it reads a list.
    """
    if not isinstance(value, list) or not value:
        return value
    if len(value) == 1:
        one = packed(value[0])
        return one[None] if isinstance(one, np.ndarray) else value
    rows = max(1, PACKED_AT_ONCE // max(1, size_of(value[0])))
    parts = []
    for at in range(0, len(value), rows):
        part = exact(value[at : at + rows])
        if part is None:
            return value
        parts.append(part)
    if len({part.dtype for part in parts}) > 1 and not all(map(small, parts)):
        return value
    return np.concatenate(parts) if len({part.shape[1:] for part in parts}) == 1 else value


def size_of(value: object) -> int:
    """Return how many numbers nested lists of equal lengths hold."""
    size = 1
    while isinstance(value, list) and value:
        size, value = size * len(value), value[0]
    return size


def exact(value: list[Any]) -> Tensor | None:
    """Return nested lists as numpy reads them, None where that is not what they say, or they hold no numbers."""
    kinds = kinds_in(value)
    if kinds - {int, float}:
        return None
    try:
        found = np.array(value)
    except (ValueError, OverflowError):  # ragged
        return None
    if len(kinds) == 1:
        return found if found.dtype == (np.int64 if kinds == {int} else np.float64) else None
    return found if found.dtype == np.float64 and small(found) else None


def small(numbers: Tensor) -> bool:
    """Whether integers among these numbers are the same as floats."""
    return bool((abs(numbers) < EXACT_INTEGER).all())


def values_in(data: Iterable[Any], axes: int) -> Iterable[Any]:
    """Return the values of lists that are nested as deep as there are axes."""
    for _ in range(axes - 1):
        data = chain.from_iterable(data)
    return data


def leaves(value: object) -> Iterator[object]:
    """Walk what a nested list or an array holds, however deep it nests."""
    entered: list[Iterator[object]] = [iter((value,))]
    while entered:
        for one in entered[-1]:
            within = one.tolist() if isinstance(one, np.ndarray) else one
            if isinstance(within, (list, tuple)):
                entered.append(iter(within))
                break
            yield within
        else:
            entered.pop()


def of_numbers(spec: TensorSpec, parsed: Tensor) -> Tensor:
    """Cast numbers to the graph's type, none rounded to an integer, cut off or lost to infinity.

    Raises: BadInput, naming the first one that would be.
    """
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            cast = parsed.astype(numpy_dtype(spec.dtype))
    except OverflowError as error:  # an integer beyond 64 bits
        largest = max(parsed.reshape(-1).tolist(), key=abs)
        raise BadInput(f"input {spec.name!r} holds {shown(largest)}, which is no {spec.dtype}") from error
    bad = ~np.isfinite(cast) if is_float(cast.dtype) else cast != parsed
    if bad.any():
        value = parsed.reshape(-1).tolist()[int(np.argmax(bad.reshape(-1)))]
        raise BadInput(f"input {spec.name!r} holds {shown(value)!r}, which is not a finite {spec.dtype}")
    return cast


def fitted(spec: TensorSpec, tensor: Tensor) -> Tensor:
    """Return the tensor when it has the graph's shape; the batch axis takes any number of rows.

    Raises: BadInput.
    """
    wanted = spec.shape
    same = tensor.ndim == len(wanted) and all(
        axis == 0 or dim == want or isinstance(want, str)
        for axis, (dim, want) in enumerate(zip(tensor.shape, wanted, strict=False))
    )
    if same:
        return tensor
    shape = ["rows", *wanted[1:]] if wanted else []
    taken = ", ".join(map(str, shape))
    raise BadInput(f"input {spec.name!r} has shape {list(tensor.shape)}, the model takes [{taken}]")
