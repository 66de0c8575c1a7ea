"""Stored tensors -> the inputs of a graph; what does not fit is told in ONNX Runtime's words, as RedisAI hands them on.

Source: ONNX Runtime 1.14, inference_session.cc; such an error has no code word before it.
"""

from collections.abc import Sequence
from math import prod

from models.manifest import Manifest
from models.tensor_strings import StoredTensor, array_of
from models.tensors import Dtype, Tensor, TensorSpec
from server.inference.samples import Rows
from server.resp.refusals import Refused, refused

DTYPES: dict[Dtype, str] = {
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "bool": "BOOL",
    "string": "STRING",
}
"""RedisAI's words for the element types of graphs; it has none for the others."""
IN_ONNX = {"FLOAT": "float", "DOUBLE": "double", "float32": "float", "float64": "double"}


def feeds_of(manifest: Manifest, rows: Rows, inputs: Sequence[StoredTensor]) -> dict[str, Tensor]:
    """Return tensors, in the order of a graph's inputs, by their names.

    Raises: Refused, the first that does not fit; an output that cannot be stored.
    """
    check_outputs(manifest)
    # Rows that do not see one another are filled up to a fixed number, or run in several parts.
    any_rows = rows == "apart" and manifest.batching == "fixed"
    pairs = zip(manifest.inputs, inputs, strict=True)
    return {spec.name: fitted(spec, tensor, any_rows) for spec, tensor in pairs}


def check_outputs(manifest: Manifest) -> None:
    """Refuse a graph with outputs that no stored tensor can be.

    Raises: Refused.
    """
    for spec in manifest.outputs:
        if spec.dtype not in DTYPES:
            raise refused(
                f"output {spec.name} of the model is {spec.dtype.upper()}, which is no type of a tensor here; "
                f"end the graph in a Cast to one of {', '.join(DTYPES.values())}"
            )


def fitted(spec: TensorSpec, tensor: StoredTensor, any_rows: bool) -> Tensor:
    """Return a tensor as an input of a graph; `any_rows` leaves the first axis open.

    Raises: Refused, another type or shape.
    """
    if DTYPES.get(spec.dtype) != tensor.dtype:
        raise Refused(
            f"Unexpected input data type. Actual: (tensor({in_onnx(tensor.dtype)})) , "
            f"expected: (tensor({in_onnx(spec.dtype)}))"
        )
    if (
        not spec.shape and prod(tensor.shape) == 1
    ):  # one number is a scalar to ONNX Runtime, however many axes
        return array_of(tensor).reshape(())
    check_shape(spec, tensor.shape, any_rows)
    return array_of(tensor)


def in_onnx(dtype: str) -> str:
    """Return an element type as ONNX Runtime writes it."""
    return IN_ONNX.get(dtype, dtype.lower())


def check_shape(spec: TensorSpec, shape: Sequence[int], any_rows: bool) -> None:
    """Refuse another shape than an input has; `any_rows` leaves the first axis open.

    Raises: Refused.
    """
    wanted = spec.shape
    if len(shape) != len(wanted):
        raise Refused(
            f"Invalid rank for input: {spec.name} Got: {len(shape)} Expected: {len(wanted)} "
            "Please fix either the inputs or the model."
        )
    wrong = [
        f" index: {axis} Got: {dim} Expected: {want}"
        for axis, (dim, want) in enumerate(zip(shape, wanted, strict=True))
        if dim != want and not isinstance(want, str) and (axis or not any_rows)
    ]
    if wrong:
        told = " ".join(wrong)
        raise Refused(
            f"Got invalid dimensions for input: {spec.name} for the following indices {told}  "
            "Please fix either the inputs or the model."
        )
