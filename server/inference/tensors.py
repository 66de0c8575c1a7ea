"""`inputs` of a request -> tensors, checked against the graph's signature before anything runs."""

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np

from models.errors import shown
from models.manifest import Manifest
from models.tensors import Tensor, TensorSpec, numpy_dtype
from server.inference.errors import BadInput


def tensors_of(manifest: Manifest, inputs: Mapping[str, Any]) -> tuple[dict[str, Tensor], int]:
    """Return the feeds of a request and their number of rows (1 when rows mean nothing here).

    Raises: BadInput, naming the input, its value and what the graph takes.
    """
    specs = {spec.name: spec for spec in manifest.inputs}
    for name in inputs:
        if name not in specs:
            near = difflib.get_close_matches(name, specs, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadInput(f"the model has no input {shown(name)!r}, it has {', '.join(specs)}{hint}")
    absent = [name for name in specs if name not in inputs]
    if absent:
        raise BadInput(f"input {', '.join(map(repr, absent))} is missing; the model takes {', '.join(specs)}")
    feeds = {name: tensor_of(spec, inputs[name]) for name, spec in specs.items()}
    return feeds, rows_of(manifest, feeds)


def rows_of(manifest: Manifest, feeds: Mapping[str, Tensor]) -> int:
    """Return how many rows the feeds have, the same in each.

    Raises: BadInput, when they differ or there is none.
    """
    if manifest.batching == "none":
        return 1
    counts = {name: len(tensor) for name, tensor in feeds.items()}
    if len(set(counts.values())) > 1:
        raise BadInput(f"the inputs differ in their number of rows: {counts}")
    rows = next(iter(counts.values()))
    if rows == 0:
        raise BadInput("the inputs have no rows; send at least one")
    return rows


def tensor_of(spec: TensorSpec, value: object) -> Tensor:
    """Return one input as a tensor of the graph's type and shape.

    Raises: BadInput, another shape, a value that is not of the type, a ragged list.
    """
    if isinstance(value, np.ndarray) and value.dtype == numpy_dtype(spec.dtype):
        return fitted(spec, value)
    try:
        parsed = np.array(value)
    except (ValueError, OverflowError) as error:
        raise BadInput(
            f"input {spec.name!r} is ragged: rows differ in length; rows must agree, or be sent one by one"
        ) from error
    if spec.dtype == "string":
        return fitted(spec, of_text(spec, parsed))
    if parsed.dtype.kind not in "biuf" and parsed.size:
        odd = next((one for one in parsed.reshape(-1).tolist() if not is_number(one)), None)
        raise BadInput(f"input {spec.name!r} holds {shown(odd)!r} where {spec.dtype} belongs")
    return of_numbers(spec, fitted(spec, parsed))


def is_number(value: object) -> bool:
    """Whether a value of a mixed list reads as a number; numpy makes all of them text."""
    try:
        float(str(value))
    except ValueError:
        return False
    return isinstance(value, str | int | float)


def of_text(spec: TensorSpec, parsed: Tensor) -> Tensor:
    """Return texts as the object array that ONNX Runtime takes."""
    if parsed.dtype.kind != "U":
        raise BadInput(f"input {spec.name!r} takes text")
    return parsed.astype(object)


def of_numbers(spec: TensorSpec, parsed: Tensor) -> Tensor:
    """Cast numbers to the graph's type, none rounded to an integer, cut off or lost to infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        cast = parsed.astype(numpy_dtype(spec.dtype))
    bad = ~np.isfinite(cast) if cast.dtype.kind == "f" else cast != parsed
    if bad.any():
        value = parsed.reshape(-1)[int(np.argmax(bad.reshape(-1)))]
        raise BadInput(f"input {spec.name!r} holds {shown(value)!r}, which is not a finite {spec.dtype}")
    return cast


def fitted(spec: TensorSpec, tensor: Tensor) -> Tensor:
    """Return the tensor when it has the graph's shape; the batch axis takes any number of rows."""
    wanted = spec.shape
    same = tensor.ndim == len(wanted) and all(
        axis == 0 or dim == want or isinstance(want, str)
        for axis, (dim, want) in enumerate(zip(tensor.shape, wanted, strict=False))
    )
    if same:
        return tensor
    shape = ["rows", *wanted[1:]] if wanted else []
    listed = ", ".join(map(str, shape))
    raise BadInput(f"input {spec.name!r} has shape {list(tensor.shape)}, the model takes [{listed}]")
