"""Small ONNX files and their bundles, made by hand so that every answer can be worked out on paper."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.bundle import Bundle
from models.composing import Wording, compose_bundle
from models.features import FeatureView

CUSTOMER = {"key": "customer:{id}", "as": "hash", "fields": ["age", "spend"]}
CHURN_VIEW = {"inputs": [{"name": "x", "sources": [CUSTOMER]}]}
PRICE_VIEW = {
    "inputs": [
        {
            "name": "x",
            "sources": [
                {"key": "flat:{id}", "as": "vector", "shape": [2]},
                {"inline": True, "fields": ["month"]},
            ],
        }
    ]
}
CHURN_WEIGHTS = np.array([[0.05, -0.05], [-0.02, 0.02]], np.float32)
PRICE_WEIGHTS = np.array([[100.0], [10.0], [1.0]], np.float32)


def linear(weights: NDArray[np.float32], *, softmax: bool = False) -> bytes:
    """Return y = x @ weights as an ONNX file, with a softmax over y where asked."""
    rows, columns = weights.shape
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z" if softmax else "y"])]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["z"], ["y"], axis=-1))
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", rows])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", columns])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def churn(
    name: str = "churn", description: str = "Will a customer leave?", card: dict[str, Any] | None = None
) -> Bundle:
    """Return two labels read from a hash, with a model card."""
    wording = Wording(
        features=FeatureView.read(CHURN_VIEW),
        labels=("stays", "leaves"),
        description=description,
    )
    bundle = compose_bundle(linear(CHURN_WEIGHTS, softmax=True), name, wording)
    facts = {"metrics": {"accuracy": 0.91, "roc_auc": 0.95}, "card": CARD if card is None else card}
    return Bundle(bundle.manifest.model_copy(update=facts), bundle.onnx)


def price(name: str = "price") -> Bundle:
    """Return a value read from a vector and the request."""
    wording = Wording(
        features=FeatureView.read(PRICE_VIEW), task="regression", description="Price of a flat."
    )
    return compose_bundle(linear(PRICE_WEIGHTS), name, wording)


def embed() -> Bundle:
    """Return plain tensors, without a feature view."""
    return compose_bundle(linear(CHURN_WEIGHTS), "embed", Wording())


CARD: dict[str, Any] = {
    "intervals": {"accuracy": [0.86, 0.95], "log_loss": [0.21, 0.34]},
    "verdict": "good",
    "findings": ["accuracy 0.930 on the rows it learned from, 0.910 on those held out"],
    "confusion": [[80, 7], [9, 82]],
    "history": {
        "train_loss": [0.69, 0.52, 0.41, 0.33, 0.29, 0.26],
        "validation_loss": [0.68, 0.54, 0.45, 0.4, 0.39, 0.4],
    },
    "rows": {"train": 890, "held_out": 178},
}
