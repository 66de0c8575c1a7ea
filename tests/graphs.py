"""Small ONNX files for the suite, and bundles of them: what a graph does is in its name."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from models.bundle import Bundle
from models.composing import Wording, compose_bundle
from models.features import FeatureView

FLOAT, HALF, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64
BOOL, TEXT = TensorProto.BOOL, TensorProto.STRING
Shape = Sequence[int | str]
Arrays = dict[str, NDArray[Any]]


def value(name: str, shape: Shape | None, kind: int = FLOAT) -> ValueInfoProto:
    """Return one input or output; a text among the dimensions is a free one."""
    info: ValueInfoProto = helper.make_tensor_value_info(name, kind, shape)
    return info


def node(operator: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    """Return one node; its inputs and outputs are names in one text."""
    made: NodeProto = helper.make_node(operator, inputs.split(), outputs.split(), **attributes)
    return made


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Arrays | None = None,
) -> bytes:
    """Return the bytes of a graph; a number in `weights` is a scalar."""
    stored = [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), stored)
    data: bytes = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    return data


def f32(*values: Any) -> NDArray[np.float32]:
    return np.array(values if len(values) > 1 else values[0], np.float32)


def scaled(factor: float = 2.0, rows: int | str = "rows", width: int | str = 2) -> bytes:
    """y = factor * x."""
    nodes = [node("Mul", "x f", "y")]
    return model(nodes, [value("x", [rows, width])], [value("y", [rows, width])], {"f": f32(factor)})


def constant(answer: float, width: int = 2) -> bytes:
    """y = answer, whatever x is: it tells the version."""
    nodes = [
        node("ReduceSum", "x axes", "s", keepdims=1),
        node("Mul", "s zero", "z"),
        node("Add", "z a", "y"),
    ]
    weights = {"axes": np.array([1]), "zero": f32(0.0), "a": f32(answer)}
    return model(nodes, [value("x", ["rows", width])], [value("y", ["rows", 1])], weights)


def heavy(answer: float, size: int = 1024) -> bytes:
    """y = answer, with size * size weights of four bytes in the way."""
    nodes = [
        node("MatMul", "x first", "a"),
        node("MatMul", "a many", "b"),
        node("MatMul", "b last", "c"),
        node("Add", "c answer", "y"),
    ]
    shapes = {"first": (2, size), "many": (size, size), "last": (size, 1)}
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    weights["answer"] = f32(answer)
    return model(nodes, [value("x", ["rows", 2])], [value("y", ["rows", 1])], weights)


def dense(weights: NDArray[np.float32], activation: str | None = None) -> bytes:
    """y = activation(x @ weights)."""
    nodes = [node("MatMul", "x w", "y" if activation is None else "z")]
    if activation is not None:
        attributes = {"axis": -1} if activation == "Softmax" else {}
        nodes.append(node(activation, "z", "y", **attributes))
    shapes = [value("x", ["rows", weights.shape[0]])], [value("y", ["rows", weights.shape[1]])]
    return model(nodes, *shapes, {"w": weights})


def looked_up(table: NDArray[np.float32]) -> bytes:
    """y = table[i]: an index outside of the table fails, and with it the whole run."""
    nodes = [node("Gather", "table i", "y")]
    return model(
        nodes, [value("i", ["rows"], INT64)], [value("y", ["rows", table.shape[1]])], {"table": table}
    )


def passed(kind: int, shape: Shape) -> bytes:
    """y = x of any type and shape."""
    return model([node("Identity", "x", "y")], [value("x", shape, kind)], [value("y", shape, kind)])


def summed_over_steps() -> bytes:
    """y = the sum of a sequence (rows, steps, 2) over its steps."""
    nodes = [node("ReduceSum", "x axes", "y", keepdims=0)]
    weights = {"axes": np.array([1])}
    return model(nodes, [value("x", ["rows", "steps", 2])], [value("y", ["rows", 2])], weights)


def last_step() -> bytes:
    """y = the step at lengths - 1 of a sequence (rows, steps, 2): padding must not be seen."""
    nodes = [
        node("Sub", "lengths one", "at"),
        node("Unsqueeze", "at axes", "index"),
        node("GatherND", "x index", "y", batch_dims=1),
    ]
    inputs = [value("x", ["rows", "steps", 2]), value("lengths", ["rows"], INT64)]
    return model(nodes, inputs, [value("y", ["rows", 2])], {"one": np.array(1), "axes": np.array([1])})


def mean_step() -> bytes:
    """y = the mean of a sequence (rows, steps, 2); takes the lengths and forgets them, so that padding is seen."""
    nodes = [node("ReduceMean", "x", "y", axes=[1], keepdims=0), node("Identity", "lengths", "n")]
    inputs = [value("x", ["rows", "steps", 2]), value("lengths", ["rows"], INT64)]
    return model(nodes, inputs, [value("y", ["rows", 2]), value("n", ["rows"], INT64)])


def every_step() -> bytes:
    """y = 2 x, step by step; takes the lengths and does not need them."""
    nodes = [node("Mul", "x two", "y"), node("Identity", "lengths", "n")]
    inputs = [value("x", ["rows", "steps", 2]), value("lengths", ["rows"], INT64)]
    outputs = [value("y", ["rows", "steps", 2]), value("n", ["rows"], INT64)]
    return model(nodes, inputs, outputs, {"two": f32(2.0)})


def running_total() -> bytes:
    """y = the sum of x and all rows before it: rows see one another."""
    nodes = [node("CumSum", "x axis", "y")]
    return model(nodes, [value("x", ["rows", 2])], [value("y", ["rows", 2])], {"axis": np.array(0)})


def positions() -> bytes:
    """y = where x is not zero: as many rows as there are."""
    nodes = [node("NonZero", "x", "at"), node("Transpose", "at", "y")]
    return model(nodes, [value("x", ["rows", 2])], [value("y", ["found", 2], INT64)])


def total() -> bytes:
    """y = the sum of everything, a scalar."""
    nodes = [node("ReduceSum", "x", "y", keepdims=0)]
    return model(nodes, [value("x", ["rows", 2])], [value("y", [])])


def looping(trips: int | None = None) -> bytes:
    """y = x after a loop of `trips` turns that change nothing; of n turns, an input, when not given."""
    loop = node("Loop", "n  x".replace("  ", " _ "), "y", body=turn())
    loop.input[1] = ""  # no condition
    x, y = value("x", ["rows", 1]), value("y", ["rows", 1])
    if trips is not None:
        return model([loop], [x], [y], {"n": np.array(trips)})
    first = [node("ReduceMax", "turns", "n", keepdims=0)]
    return model([*first, loop], [x, value("turns", ["rows"], INT64)], [y])


def turn() -> GraphProto:
    """The body of a loop: v = v."""
    nodes = [node("Identity", "more", "again"), node("Add", "v zero", "w")]
    inputs = [value("i", [], INT64), value("more", [], BOOL), value("v", None)]
    outputs = [value("again", [], BOOL), value("w", None)]
    body: GraphProto = helper.make_graph(
        nodes, "turn", inputs, outputs, [numpy_helper.from_array(f32(0.0), "zero")]
    )
    return body


def greedy() -> bytes:
    """y = x, after 64 GiB were allocated and touched."""
    nodes = [
        node("Shape", "x", "s", start=0, end=1),
        node("Mul", "s many", "n"),
        node("ConstantOfShape", "n", "big", value=helper.make_tensor("v", FLOAT, [1], [1.0])),
        node("ReduceMax", "big", "top", keepdims=0),
        node("Mul", "x top", "y"),
    ]
    return model(nodes, [value("x", ["rows", 2])], [value("y", ["rows", 2])], {"many": np.array([1 << 34])})


def crashing() -> bytes:
    """y = the least int32 divided by -1: the processor traps, and the process is gone."""
    nodes = [
        node("Mul", "x zero", "z"),
        node("Sub", "z one", "minus"),
        node("Div", "least minus", "y"),
    ]
    numbers = {"zero": 0, "one": 1, "least": np.iinfo(np.int32).min}
    weights = {name: np.array(number, np.int32) for name, number in numbers.items()}
    x, y = (value(name, ["rows", 1], TensorProto.INT32) for name in "xy")
    return model(nodes, [x], [y], weights)


def bundle(onnx: bytes, name: str = "m", view: Any = None, **said: Any) -> Bundle:
    """Return the bundle of a graph; `view` is the data of a feature view."""
    features = FeatureView.read(view) if view is not None else None
    return compose_bundle(onnx, name, Wording(features=features, **said))


def numbered(one: Bundle, version: int = 1) -> Bundle:
    """Return a bundle as the store would hand it over."""
    return one.sealed(version)
