"""Answers of inference: JSON, or JSON followed by the outputs that are wanted as bytes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from models.tensors import Tensor
from server.open_inference.infer import Inferred, TensorTold
from server.open_inference.tensors import to_bytes

TEXTS = "OSU"
Piece = "bytes | np.ndarray[Any, Any]"


@dataclass(frozen=True, slots=True)
class Written:
    """The body of an answer.

    Units: json_bytes, how many bytes of it are JSON; None is all of them.
    """

    body: bytes
    json_bytes: int | None


def written(inferred: Inferred, binary: bool) -> Written:
    """Return an answer; outputs of which nothing else is said come as bytes where `binary`.

    JSON has no NaN and no infinity: there they are null. Bytes hold them as they are.
    """
    blobs: list[Any] = []
    facts: dict[str, Any] = {"model_name": inferred.model, "model_version": str(inferred.version)}
    if inferred.id:
        facts["id"] = inferred.id
    if inferred.parameters:
        facts["parameters"] = inferred.parameters
    facts["outputs"] = [output(one, binary, blobs) for one in inferred.outputs]
    json = orjson.dumps(facts, option=orjson.OPT_SERIALIZE_NUMPY)
    return Written(b"".join([json, *blobs]), len(json)) if blobs else Written(json, None)


def output(one: TensorTold, binary: bool, blobs: list[Any]) -> Mapping[str, Any]:
    """Return what the JSON says of an output; its bytes are added to `blobs`."""
    facts: dict[str, Any] = {"name": one.name, "datatype": one.datatype, "shape": one.tensor.shape}
    if one.binary or (binary and one.binary is None):
        blob = raw(one.tensor)
        facts["parameters"] = {"binary_data_size": len(blob)}
        blobs.append(blob)
    else:
        facts["data"] = values(one.tensor)
    return facts


def raw(tensor: Tensor) -> Any:
    """Return the bytes of a tensor; numbers share its memory."""
    if tensor.dtype.kind in TEXTS:
        return to_bytes(tensor)
    return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)


def values(tensor: Tensor) -> Any:
    """Return the values of a tensor, flat, row by row."""
    flat = np.ascontiguousarray(tensor).reshape(-1)
    if tensor.dtype.kind in TEXTS:
        return flat.tolist()
    return flat.astype(np.float32) if tensor.dtype.name == "bfloat16" else flat  # which orjson does not know
