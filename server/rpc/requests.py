"""A ModelInferRequest -> a request of the protocol: names, shapes and sizes are checked before values are read."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from models.errors import BadName, BadRequest, listed, shown
from models.tensors import Tensor, numpy_dtype
from models.traffic import VERSION_DIGITS
from server.open_inference.datatypes import BYTES, dtype_of
from server.open_inference.infer import (
    Infer,
    OutputWanted,
    Parameter,
    Reference,
    TensorGiven,
    classes_of,
    priority_of,
    timeout_of,
)
from server.open_inference.tensors import of_bytes, shape_of, text_of

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}
SHARED_MEMORY = "shared_memory_region"
MICROSECONDS = 1e6


def infer_of(message: Any, seconds_left: float | None = None) -> Infer:
    """Return what a ModelInferRequest asks for.

    Units:  seconds_left, until the caller's deadline; None without one.
    Raises: BadRequest, naming the tensor or the parameter, its value and the cure; BadName.
    """
    parameters = parameters_of(message.parameters)
    return Infer(
        model=message.model_name,
        reference=reference_of(message.model_version),
        inputs=inputs_of(message),
        outputs=[output_of(one) for one in message.outputs],
        id=message.id,
        timeout_us=sooner(timeout_of(parameters), seconds_left),
        priority=priority_of(parameters),
        parameters=parameters,
    )


def reference_of(version: str) -> Reference:
    """Return the version that is meant: a number, an alias, or none for what production means.

    Raises: BadName, a number that no version has.
    """
    if len(version) > VERSION_DIGITS and version.isascii() and version.isdigit():
        raise BadName("version", version, f"a number of at most {VERSION_DIGITS} digits, or an alias")
    return version or None


def sooner(timeout_us: int, seconds_left: float | None) -> int:
    """Return the time that is left in microseconds, by the parameter and by the deadline of the call; 0 without."""
    if seconds_left is None:
        return timeout_us
    left = max(1, int(seconds_left * MICROSECONDS))
    return min(timeout_us, left) if timeout_us else left


def parameters_of(given: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return parameters by name; one without a value says nothing."""
    found: dict[str, Parameter] = {}
    for name, one in given.items():
        kind = one.WhichOneof("parameter_choice")
        if kind is not None:
            found[name] = getattr(one, kind)
    return found


def output_of(message: Any) -> OutputWanted:
    """Return one output that is asked for.

    Raises: BadRequest.
    """
    if not message.parameters:
        return OutputWanted(message.name)
    parameters = parameters_of(message.parameters)
    check_no_region("output", message.name, parameters)
    return OutputWanted(message.name, classes_of(message.name, parameters))


def check_no_region(kind: str, name: str, parameters: Mapping[str, Any]) -> None:
    """Refuse a tensor in shared memory.

    Raises: BadRequest.
    """
    if SHARED_MEMORY in parameters:
        raise BadRequest(
            f"{kind} {shown(name)!r} is in the shared memory {shown(parameters[SHARED_MEMORY])!r}, which this "
            "server does not read or write; send and take tensors in messages",
            tensor=shown(name),
        )


def inputs_of(message: Any) -> list[TensorGiven]:
    """Return the inputs, all of them raw or none.

    Raises: BadRequest.
    """
    inputs, raw = message.inputs, message.raw_input_contents
    for one in inputs:
        if one.parameters:
            check_no_region("input", one.name, parameters_of(one.parameters))
    if not raw:
        return [typed(one) for one in inputs]
    if len(raw) != len(inputs):
        raise BadRequest(
            f"raw_input_contents has {len(raw)} entries for {len(inputs)} inputs; send one for each input, in "
            "their order",
            entries=len(raw),
            inputs=len(inputs),
        )
    return [of_raw(one, data) for one, data in zip(inputs, raw, strict=True)]


def of_raw(one: Any, data: bytes) -> TensorGiven:
    """Return an input of its bytes.

    Raises: BadRequest.
    """
    name, datatype = one.name, one.datatype
    dtype = dtype_of(name, datatype)
    if one.HasField("contents"):
        raise BadRequest(
            f"input {shown(name)!r} has contents beside raw_input_contents; send one of them",
            tensor=shown(name),
        )
    return TensorGiven(name, datatype, of_bytes(name, dtype, shape_of(name, [*one.shape]), data))


def typed(one: Any) -> TensorGiven:
    """Return an input of its typed contents.

    Raises: BadRequest.
    """
    name, datatype, shape = one.name, one.datatype, one.shape
    dtype = dtype_of(name, datatype)
    wanted = CONTENTS.get(datatype)
    if wanted is None:
        raise BadRequest(
            f"input {shown(name)!r} is {datatype}, which has no typed contents; send raw_input_contents",
            tensor=shown(name),
        )
    dims = shape_of(name, [*shape])
    others = [field.name for field, _ in one.contents.ListFields() if field.name != wanted]
    if others:
        raise BadRequest(
            f"input {shown(name)!r} is {datatype} and has {listed(others)}; its values belong in {wanted}",
            tensor=shown(name),
        )
    values = getattr(one.contents, wanted)
    if len(values) != prod(dims):
        raise BadRequest(
            f"input {shown(name)!r} has {len(values)} values in {wanted}, shape {list(dims)} takes {prod(dims)}",
            tensor=shown(name),
        )
    return TensorGiven(name, datatype, tensor_of(name, dtype, values).reshape(dims))


def tensor_of(name: str, dtype: str, values: Any) -> Tensor:
    """Return typed contents as a flat tensor.

    Raises: BadRequest, a text that is no UTF-8, an integer beyond its type.
    """
    if dtype == "string":
        texts = np.empty(len(values), object)
        for row, data in enumerate(values):
            texts[row] = text_of(name, row, data)
        return texts
    kind = numpy_dtype(dtype)
    if kind.kind not in "iu" or kind.itemsize > 2:
        return np.fromiter(values, kind, len(values))
    wide: Tensor = np.fromiter(values, np.int64, len(values))
    narrow = wide.astype(kind)
    lost = narrow != wide
    if lost.any():
        raise BadRequest(
            f"input {shown(name)!r} holds {wide[int(np.argmax(lost))]}, which is no {dtype}",
            tensor=shown(name),
        )
    return narrow
