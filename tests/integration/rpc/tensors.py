"""A tensor of every datatype, with the ends of its range in it, and the element type that ONNX has for it."""

from typing import Any

import numpy as np
from ml_dtypes import bfloat16
from onnx import TensorProto

TENSORS: dict[str, Any] = {
    "BOOL": np.array([[True, False], [False, True]]),
    "INT8": np.array([[-128, 127], [0, 1]], np.int8),
    "INT16": np.array([[-32768, 32767], [0, 1]], np.int16),
    "INT32": np.array([[-(2**31), 2**31 - 1], [0, 1]], np.int32),
    "INT64": np.array([[-(2**63), 2**63 - 1], [0, 1]], np.int64),
    "UINT8": np.array([[0, 255], [1, 2]], np.uint8),
    "UINT16": np.array([[0, 65535], [1, 2]], np.uint16),
    "UINT32": np.array([[0, 2**32 - 1], [1, 2]], np.uint32),
    "UINT64": np.array([[0, 2**64 - 1], [1, 2]], np.uint64),
    "FP16": np.array([[0.5, -65504], [0, 1]], np.float16),
    "BF16": np.array([[0.1, -3e38], [0, np.inf]], bfloat16),
    "FP32": np.array([[0.1, -3e38], [0, 1]], np.float32),
    "FP64": np.array([[0.1, -1e308], [0, 1]], np.float64),
    "BYTES": np.array([["", "Zoë 客"], ["a", "b" * 300]], object),
}
ONNX = {
    "BOOL": TensorProto.BOOL,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
    **{
        f"{sign}INT{bits}": getattr(TensorProto, f"{sign}INT{bits}")
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
}


def same(datatype: str) -> str:
    """Return the name of the model that gives back what it gets."""
    return f"same_{datatype.lower()}"
