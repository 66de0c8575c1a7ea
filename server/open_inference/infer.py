"""An inference request and its answer, as both wires say them; what they mean for a model is in `asking`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.errors import BadRequest, shown
from models.tensors import Tensor
from server.inference.priorities import LEVELS
from server.open_inference.datatypes import DTYPES

Reference = str | int | None
Parameter = str | int | float | bool
RESERVED = ("sequence_", "triton_")  # names that the protocol keeps for itself
MOST_CLASSES = 1 << 16
TEXT_BYTES = 64  # of a text in a tensor, about


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

    Units: timeout_us, microseconds; 0 takes the server's own limit. priority, 1 is the most urgent;
           0 takes the server's default.
    """

    model: str
    reference: Reference
    inputs: Sequence[TensorGiven]
    outputs: Sequence[OutputWanted] = ()
    id: str = ""
    timeout_us: int = 0
    priority: int = 0
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

    @property
    def nbytes(self) -> int:
        """About how many bytes the tensors have in memory."""
        return sum(
            one.tensor.size * TEXT_BYTES if one.tensor.dtype.hasobject else one.tensor.nbytes
            for one in self.outputs
        )


def timeout_of(parameters: Mapping[str, Any]) -> int:
    """Return the time that a request allows itself, in microseconds; 0 where it names none.

    Raises: BadRequest.
    """
    value = parameters.get("timeout", 0)
    if type(value) is not int or value < 0:
        raise BadRequest(
            f"parameter 'timeout' is {shown(value)!r}; it is a whole number from 0, in microseconds",
            field="timeout",
        )
    return value


def priority_of(parameters: Mapping[str, Any]) -> int:
    """Return the level that a request names, 1 the most urgent; 0 where it takes the server's default.

    Raises: BadRequest.
    """
    value = parameters.get("priority", 0)
    if type(value) is not int or not 0 <= value <= LEVELS:
        raise BadRequest(
            f"parameter 'priority' is {shown(value)!r}; it is a whole number from 1, the most urgent, to {LEVELS}, "
            "or 0 for the server's default",
            field="priority",
        )
    return value


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
