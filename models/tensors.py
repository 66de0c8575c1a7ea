"""Element types and shapes of tensors, in the words manifests and feature views use."""

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

NumericDtype = Literal[
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
]
Dtype = Literal[NumericDtype, "bfloat16", "string"]
FLOATS = ("float16", "bfloat16", "float32", "float64")
Tensor = NDArray[Any]
ELEMENT_LIMIT = 1 << 26  # elements in one row of one input: 256 MiB of float32
UNNAMED = "?"

# A length limit also refuses what has no UTF-8 form, which could not be stored.
Name = Annotated[str, Field(min_length=1, max_length=512)]
Size = Annotated[int, Field(ge=1, le=ELEMENT_LIMIT)]
Dim = Annotated[int, Field(ge=0, le=2**40)] | Annotated[str, Field(min_length=1, max_length=256)]


class TensorSpec(BaseModel):
    """One input or output of a graph: name, element type and shape, the batch axis first.

    A dimension is a number where the graph fixes it and a name where it does not; '?' is a free
    dimension that the graph does not name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    dtype: Dtype
    shape: tuple[Dim, ...]


@cache
def numpy_dtype(dtype: str) -> "np.dtype[Any]":
    """Return the little-endian numpy type of a dtype name; strings are objects."""
    if dtype == "string":
        return np.dtype(object)
    if dtype == "bfloat16":
        from ml_dtypes import bfloat16  # noqa: PLC0415  # for the few models that have it

        found: np.dtype[Any] = np.dtype(bfloat16)
        return found
    return np.dtype(dtype).newbyteorder("<")


def is_float(dtype: "np.dtype[Any]") -> bool:
    """Whether a numpy type holds floats; bfloat16 is none of numpy's own."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def elements(shape: Sequence[int]) -> int:
    """Return how many elements a shape has."""
    return prod(shape)
