"""Models for clients of the Open Inference Protocol: one for every datatype, which answers what it is given."""

from typing import Any

import numpy as np
from ml_dtypes import finfo
from onnx import TensorProto
from redis.asyncio import Redis

from models.keys import Keys
from models.store import ModelStore
from models.tensors import is_float, numpy_dtype
from server.open_inference.datatypes import DTYPES
from tests.graphs import bundle, model, node, passed, value
from tests.integration.rest import stock
from tests.integration.rest.graphs import churn

KINDS = {
    "BOOL": TensorProto.BOOL,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def same(datatype: str) -> str:
    """Return the name of the model that answers a tensor of a datatype as it came."""
    return f"same_{datatype.lower()}"


def extremes(datatype: str) -> Any:
    """Return (3, 2) values of a datatype, the least and the greatest among them."""
    if datatype == "BYTES":
        return np.array([["", "a"], ["Zoë 客", "\x00\n"], ["x" * 1000, '"\\']], object)
    kind = numpy_dtype(DTYPES[datatype])
    if datatype == "BOOL":
        return np.array([[True, False], [False, True], [True, True]])
    if is_float(kind):
        info = finfo(kind)
        return np.array([[0, -1.5], [info.max, info.min], [info.tiny, 0.1]], kind)
    bounds = np.iinfo(kind)
    return np.array([[0, 1], [bounds.max, bounds.min], [7, 42]], kind)


def two_inputs() -> bytes:
    """total = a + b, and text = t."""
    nodes = [node("Add", "a b", "total"), node("Identity", "t", "text")]
    inputs = [value("a", ["rows", 2]), value("b", ["rows", 2]), value("t", ["rows", 1], TensorProto.STRING)]
    outputs = [value("total", ["rows", 2]), value("text", ["rows", 1], TensorProto.STRING)]
    return model(nodes, inputs, outputs)


async def fill(url: str) -> None:
    """Store the models, and those of stock.py with their keys; `churn` has a second version, `canary`."""
    async with Redis.from_url(url) as redis:
        store = ModelStore(redis, Keys())
        await stock.fill(redis, store)
        await store.publish(churn(), alias="canary")
        await store.publish(bundle(two_inputs(), "two"))
        for datatype, kind in KINDS.items():
            await store.publish(bundle(passed(kind, ["rows", 2]), same(datatype)))
