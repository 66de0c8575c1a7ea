"""An inference request and its answer, as both wires say them; what they mean for a model is in `asking`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.errors import BadRequest, shown
from models.tensors import Tensor
from server.open_inference.datatypes import DTYPES

Reference = str | int | None
Parameter = str | int | float | bool
RESERVED = ("sequence_", "triton_")  # names that the protocol keeps for itself
MOST_CLASSES = 1 << 16


@dataclass(slots=True)
class TensorGiven:
    """One input of a request.

    Shape: tensor (shape), of the datatype; texts are objects.
    """

    name: str
    datatype: str
    tensor: Tensor

    @property
    def dtype(self) -> str:
        """The element type in our words."""
        return DTYPES[self.datatype]


@dataclass(slots=True)
class OutputWanted:
    """One output that a request names; `classes` asks for that many of the likeliest in its place."""

    name: str
    classes: int = 0
    binary: bool | None = None


@dataclass(slots=True)
class Infer:
    """One request: tensors in, the outputs that are wanted, all of them where none is named.

    Units: timeout_us, microseconds; 0 takes the server's own limit.
    """

    model: str
    reference: Reference
    inputs: Sequence[TensorGiven]
    outputs: Sequence[OutputWanted] = ()
    id: str = ""
    timeout_us: int = 0
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


@dataclass(slots=True)
class TensorTold:
    """One output of an answer; `binary` as it was asked for."""

    name: str
    datatype: str
    tensor: Tensor
    binary: bool | None = None


@dataclass(slots=True)
class Inferred:
    """The answer to one request."""

    model: str
    version: int
    id: str
    outputs: Sequence[TensorTold]
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


def timeout_of(parameters: Mapping[str, Any]) -> int:
    """Return the time that a request allows itself, in microseconds; 0 where it names none.

    Raises: BadRequest; `priority` is read as well, every request has the same.
    """
    for name in ("timeout", "priority"):
        value = parameters.get(name, 0)
        if type(value) is not int or value < 0:
            raise BadRequest(
                f"parameter {name!r} is {shown(value)!r}; it is a whole number from 0"
                + (", in microseconds" if name == "timeout" else ""),
                field=name,
            )
    return int(parameters.get("timeout", 0))


def classes_of(output: str, parameters: Mapping[str, Any]) -> int:
    """Return how many classes an output is wanted as, 0 for the tensor itself.

    Raises: BadRequest.
    """
    count = parameters.get("classification", 0)
    if type(count) is not int or not 0 <= count <= MOST_CLASSES:
        raise BadRequest(
            f"output {shown(output)!r} is wanted as {shown(count)!r} classes; classification is a whole number "
            f"from 0 to {MOST_CLASSES}",
            field="classification",
        )
    return count
