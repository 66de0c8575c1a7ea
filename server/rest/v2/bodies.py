"""Bodies of inference requests: JSON, JSON followed by tensors as bytes, or the bytes of the only input.

Source: the Open Inference Protocol's binary tensor data extension.
"""

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from models.errors import BadRequest, listed, shown
from models.manifest import Manifest
from models.tensors import TensorSpec, numpy_dtype
from server.open_inference.datatypes import BYTES, DATATYPES, dtype_of
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
from server.open_inference.tensors import Buffer, of_bytes, of_list, shape_of, text_of
from server.rest.asks import kind
from server.rest.refusals import MalformedJson
from server.rest.v2.json_bodies import decoded

HEADER = "inference-header-content-length"
SIZE = "binary_data_size"
BINARY = "binary_data"
EVERY_BINARY = "binary_data_output"
LENGTH = re.compile(r"[0-9]{1,15}")
FIELDS = ("inputs", "outputs")
Parameters = Mapping[str, Any]


def header_of(given: Sequence[str]) -> str | None:
    """Return the header that says how many bytes of a body are JSON; None where there is none.

    Raises: BadRequest, it is given twice and differs.
    """
    several = list(dict.fromkeys(given))
    if len(several) > 1:
        raise BadRequest(
            f"header Inference-Header-Content-Length is given as {listed(map(shown, several))}; send it once"
        )
    return several[0] if several else None


def header_length(given: str | None, body_bytes: int) -> int | None:
    """Return how many bytes of a body are JSON, by the header that says so; None is all of them.

    Raises: BadRequest, a header that is no length, or is longer than the body.
    """
    if given is None:
        return None
    if not LENGTH.fullmatch(given):
        raise BadRequest(
            f"header Inference-Header-Content-Length is {shown(given)!r}; it is the length of the JSON in bytes"
        )
    length = int(given)
    if length > body_bytes:
        raise BadRequest(
            f"header Inference-Header-Content-Length is {length}, the body has {body_bytes} bytes"
        )
    return length


def infer_of(model: str, reference: Reference, body: memoryview, header: int | None) -> Infer:
    """Return what a body asks; tensors that came as bytes share its memory.

    Units:  header, bytes of JSON at the body's beginning; None is all of them.
    Raises: MalformedJson, BadRequest.
    """
    data = json_of(bytes(body if header is None else body[:header]), header)
    if not isinstance(data, dict):
        raise BadRequest(f'the body is {kind(data)}; send an object such as {{"inputs": [...]}}')
    parameters = parameters_of("the request", data)
    binary = Blobs(memoryview(b"") if header is None else body[header:])
    inputs = [input_of(place, one, binary) for place, one in enumerate(objects(data, "inputs"))]
    if not inputs:
        raise BadRequest('the body has no inputs; send {"inputs": [{"name", "shape", "datatype", "data"}]}')
    binary.check_end()
    outputs = [wanted(place, one) for place, one in enumerate(objects(data, "outputs"))]
    truth(parameters, EVERY_BINARY)
    timeout_us, priority = timeout_of(parameters), priority_of(parameters)
    return Infer(model, reference, inputs, outputs, id_of(data), timeout_us, priority, parameters)


def json_of(text: bytes, header: int | None) -> Any:
    """Return the data of a body's JSON.

    Raises: MalformedJson; it says so where bytes seem to follow, and no header tells where.
    """
    try:
        return decoded(text, FIELDS)
    except MalformedJson as error:
        if header is None and SIZE.encode() in text:
            raise MalformedJson(
                f"{error}; where bytes follow the JSON, send its length as header Inference-Header-Content-Length "
                "(perhaps something between drops it)"
            ) from error
        raise


class Blobs:
    """What follows the JSON of a body, taken piece by piece."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def take(self, name: str, size: int) -> memoryview:
        """Return the next bytes.

        Raises: BadRequest, fewer are left.
        """
        left = len(self._data) - self._at
        if size > left:
            raise BadRequest(
                f"input {shown(name)!r} is said to have {size} bytes ({SIZE}), {left} follow the JSON; "
                "check header Inference-Header-Content-Length",
                tensor=shown(name),
            )
        self._at += size
        return self._data[self._at - size : self._at]

    def check_end(self) -> None:
        """Refuse bytes that belong to no input.

        Raises: BadRequest.
        """
        left = len(self._data) - self._at
        if left:
            raise BadRequest(
                f"{left} bytes follow the inputs; say whose they are with the parameter {SIZE} of an input"
            )


def objects(data: Mapping[str, Any], field: str) -> list[Any]:
    """Return a list of objects; none where the field is absent.

    Raises: BadRequest.
    """
    found = data.get(field)
    if found is None:
        return []
    if not isinstance(found, list):
        raise BadRequest(f"{field} is {kind(found)}; send a list of objects", field=field)
    for place, one in enumerate(found):
        if not isinstance(one, dict):
            raise BadRequest(f"{field}[{place}] is {kind(one)}; send an object", field=field)
    return found


def name_of(field: str, place: int, data: Mapping[str, Any]) -> str:
    """Return the name of a tensor.

    Raises: BadRequest.
    """
    name = data.get("name")
    if not isinstance(name, str) or not name:
        raise BadRequest(f"{field}[{place}] has no name; send the tensor's name as a text", field=field)
    return name


def input_of(place: int, data: Mapping[str, Any], binary: Blobs) -> TensorGiven:
    """Return one input.

    Raises: BadRequest, naming it, its value and the cure.
    """
    name = name_of("inputs", place, data)
    datatype = data.get("datatype")
    dtype = dtype_of(name, datatype)
    shape = shape_of(name, data.get("shape"))
    parameters = parameters_of(f"input {shown(name)!r}", data)
    if any(one.startswith("shared_memory") for one in parameters):
        raise BadRequest(
            f"input {shown(name)!r} lies in shared memory, which is not supported; send it in the body",
            tensor=shown(name),
        )
    if SIZE not in parameters:
        tensor = of_list(name, dtype, shape, data.get("data"))
    elif data.get("data") is not None:
        raise BadRequest(f"input {shown(name)!r} has data and {SIZE}; send one of them", tensor=shown(name))
    else:
        tensor = of_bytes(name, dtype, shape, binary.take(name, size_of(name, parameters[SIZE])))
    return TensorGiven(name, str(datatype), tensor)


def size_of(name: str, size: Any) -> int:
    """Return how many bytes an input is said to have.

    Raises: BadRequest.
    """
    if type(size) is not int or size < 0:
        raise BadRequest(
            f"input {shown(name)!r} has {SIZE} {shown(size)!r}; it is a whole number from 0",
            tensor=shown(name),
        )
    return size


def wanted(place: int, data: Mapping[str, Any]) -> OutputWanted:
    """Return one output that is asked for.

    Raises: BadRequest.
    """
    name = name_of("outputs", place, data)
    parameters = parameters_of(f"output {shown(name)!r}", data)
    if any(one.startswith("shared_memory") for one in parameters):
        raise BadRequest(
            f"output {shown(name)!r} is wanted in shared memory, which is not supported; take it from the answer",
            tensor=shown(name),
        )
    return OutputWanted(name, classes_of(name, parameters), truth(parameters, BINARY))


def truth(parameters: Parameters, name: str) -> bool | None:
    """Return a truth value among parameters, None where it is not given.

    Raises: BadRequest.
    """
    value = parameters.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise BadRequest(f"parameter {name!r} is {shown(value)!r}; send true or false", field=name)


def parameters_of(owner: str, data: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return the parameters of a request, an input or an output.

    Raises: BadRequest, one that is no text, number or truth value.
    """
    found = data.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadRequest(f"the parameters of {owner} are {kind(found)}; send an object", field="parameters")
    for name, value in found.items():
        if value is not None and not isinstance(value, str | int | float):
            raise BadRequest(
                f"parameter {shown(name)!r} of {owner} is {kind(value)}; send a text, a number or a truth value",
                field=shown(name),
            )
    return {name: value for name, value in found.items() if value is not None}


def id_of(data: Mapping[str, Any]) -> str:
    """Return the id of a request; none is empty.

    Raises: BadRequest.
    """
    found = data.get("id")
    if found is not None and not isinstance(found, str):
        raise BadRequest(f"id is {kind(found)}; send a text", field="id")
    return found or ""


def raw_infer(model: str, reference: Reference, body: Buffer, manifest: Manifest) -> Infer:
    """Return what a body asks that is nothing but the bytes of the only input.

    Raises: BadRequest, the model has several inputs, or bytes that its shape does not fit.
    """
    if len(manifest.inputs) != 1:
        names = listed(spec.name for spec in manifest.inputs)
        raise BadRequest(
            f"a body of bytes alone is for a model with one input, this one takes {names}; send JSON before them"
        )
    spec = manifest.inputs[0]
    if spec.dtype == "string":
        text = text_of(spec.name, 0, bytes(body))
        tensor = of_list(spec.name, spec.dtype, tuple(1 for _ in spec.shape), nested(text, len(spec.shape)))
        given = TensorGiven(spec.name, BYTES, tensor)
    else:
        tensor = of_bytes(spec.name, spec.dtype, raw_shape(spec, len(body)), body)
        given = TensorGiven(spec.name, DATATYPES[spec.dtype], tensor)
    return Infer(model, reference, [given], parameters={EVERY_BINARY: True})


def nested(value: Any, axes: int) -> Any:
    """Return a value inside as many lists."""
    for _ in range(axes):
        value = [value]
    return value if axes else [value]


def raw_shape(spec: TensorSpec, size: int) -> tuple[int, ...]:
    """Return the shape that so many bytes have: one row, or as many as they fill where no other axis is free.

    Raises: BadRequest, more than one other axis is free, or they fill none of its size.
    """
    free = [axis for axis, dim in enumerate(spec.shape) if isinstance(dim, str)]
    if len(free) > 1 and free[0] == 0:
        free = free[1:]  # one row
    if len(free) > 1:
        raise BadRequest(
            f"input {spec.name!r} has more than one free axis, so bytes alone do not tell its shape; "
            "send JSON before them",
            tensor=spec.name,
        )
    shape = [dim if isinstance(dim, int) else 1 for dim in spec.shape]
    filled = prod(shape) * numpy_dtype(spec.dtype).itemsize
    if free and filled:
        shape[free[0]] = size // filled
    return tuple(shape)
