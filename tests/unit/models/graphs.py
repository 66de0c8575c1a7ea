"""Small ONNX files, made by hand for tests."""

from collections.abc import Sequence
from typing import Any

from onnx import ModelProto, TensorProto, ValueInfoProto, helper

FLOAT = TensorProto.FLOAT


def value(name: str, shape: Sequence[Any] | None = ("batch", 3), dtype: int = FLOAT) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, shape)


def model(**facts: Any) -> ModelProto:
    """A graph that returns its input, with whatever a test wants different."""
    graph = helper.make_graph(
        facts.pop("nodes", [helper.make_node("Identity", ["x"], ["y"])]),
        "graph",
        facts.pop("inputs", [value("x")]),
        facts.pop("outputs", [value("y")]),
        facts.pop("initializer", []),
        sparse_initializer=facts.pop("sparse_initializer", []),
    )
    opsets = [helper.make_opsetid(*one) for one in facts.pop("opsets", [("", 20)])]
    return helper.make_model(graph, opset_imports=opsets, **{"ir_version": 10, **facts})


def onnx_bytes(**facts: Any) -> bytes:
    return model(**facts).SerializeToString()
