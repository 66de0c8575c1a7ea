"""Datatypes of the Open Inference Protocol: their names there, in our words, and in Triton's configuration."""

from models.errors import BadRequest, shown

DTYPES = {
    "BOOL": "bool",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "FP16": "float16",
    "BF16": "bfloat16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "string",
}
DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}
BYTES = "BYTES"


def dtype_of(name: str, datatype: object) -> str:
    """Return the element type, in our words, of the datatype that a tensor is said to have.

    Raises: BadRequest.
    """
    dtype = DTYPES.get(datatype) if isinstance(datatype, str) else None
    if dtype is None:
        raise BadRequest(
            f"tensor {shown(name)!r} has the datatype {shown(datatype)!r}; there are {', '.join(DTYPES)}",
            tensor=shown(name),
        )
    return dtype


def type_of(dtype: str) -> str:
    """Return the name that a Triton configuration has for an element type."""
    return "TYPE_STRING" if dtype == "string" else f"TYPE_{DATATYPES[dtype]}"
