"""The networks of the benchmark as ONNX bytes: an MLP 32-64-64-1 in float32, and the mean of an image's channels."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

WIDTH = 32
SIZES = (WIDTH, 64, 64, 1)
SURE = 10.0  # a bias that outweighs the rest: the sigmoid answers 0 or 1, whatever the features are


def mlp(bias: float = 0.0, seed: int = 0, sizes: Sequence[int] = SIZES) -> bytes:
    """Return the network with random weights; `bias` is that of the last layer, before its sigmoid."""
    generator = np.random.default_rng(seed)
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    value = "x"
    for layer, (rows, columns) in enumerate(pairwise(sizes)):
        last = layer == len(sizes) - 2
        weight = generator.normal(0, rows**-0.5, (rows, columns)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{layer}"))
        weights.append(numpy_helper.from_array(np.full(columns, bias * last, np.float32), f"b{layer}"))
        nodes.append(helper.make_node("Gemm", [value, f"w{layer}", f"b{layer}"], [f"h{layer}"]))
        value = "value" if last else f"a{layer}"
        nodes.append(helper.make_node("Sigmoid" if last else "Relu", [f"h{layer}"], [value]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])]
    outputs = [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch", 1])]
    graph = helper.make_graph(nodes, "mlp", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def certain(version: int) -> bytes:
    """Return a network of the same size that answers under one half for odd versions, over it for even ones."""
    return mlp(-SURE if version % 2 else SURE)


def pooled(channels: int) -> bytes:
    """Return a network that answers the mean of each channel, and so reads much and says little.

    Shape:  (B, channels, H, W) float32 -> (B, channels, 1, 1).
    """
    node = helper.make_node("GlobalAveragePool", ["x"], ["value"])
    taken = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", channels, "height", "width"])
    given = helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch", channels, 1, 1])
    graph = helper.make_graph([node], "pooled", [taken], [given])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())
