"""A bundle is composed from any ONNX file, and refused while its publisher can still mend it."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, load_model_from_string, numpy_helper

from models.composing import Wording, compose_bundle
from models.errors import BadFeatureView, BadModelFile, BadName, ModelTooLarge
from tests.unit.models.graphs import onnx_bytes, value
from tests.unit.models.views import view

ONNX = onnx_bytes(outputs=[value("y", ("batch", 2))])


def test_a_file_alone_answers_with_tensors() -> None:
    bundle = compose_bundle(ONNX, "churn")

    assert bundle.onnx == ONNX
    manifest = bundle.manifest
    assert (manifest.name, manifest.task, manifest.output, manifest.labels) == ("churn", "tensor", None, ())
    assert (manifest.version, manifest.opset, manifest.ir_version) == (0, {"": 20}, 10)


def test_labels_make_a_classifier_of_the_only_output_that_fits() -> None:
    manifest = compose_bundle(ONNX, "churn", Wording(labels=["stays", "leaves"])).manifest

    assert (manifest.task, manifest.output, manifest.labels) == ("classification", "y", ("stays", "leaves"))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE])
def test_an_output_of_any_floats_fits_its_labels(kind: int) -> None:
    data = onnx_bytes(outputs=[value("y", ("batch", 3), kind)])

    assert compose_bundle(data, "churn", Wording(labels=["a", "b", "c"])).manifest.output == "y"
    one = onnx_bytes(outputs=[value("y", ("batch", 1), kind)])
    with pytest.raises(BadModelFile, match="gives 1 values a row, but there are 3 labels"):
        compose_bundle(one, "churn", Wording(labels=["a", "b", "c"], output="y"))


@pytest.mark.parametrize("shape", [("batch",), ("batch", 1), ("batch", 2), ("batch", "classes")])
def test_an_output_of_one_value_or_one_a_label_fits(shape: tuple[Any, ...]) -> None:
    data = onnx_bytes(
        outputs=[value("y", shape), value("n", ("batch",), TensorProto.INT64), value("h", ("batch", 4, 2))]
    )

    assert compose_bundle(data, "churn", Wording(labels=["a", "b"])).manifest.output == "y"


def classifier(names: list[str], *, as_tensor: bool = False) -> bytes:
    """As skl2onnx makes one: the class as a text, and a column of probabilities a class."""
    if as_tensor:  # of models that ai.onnx.ml has no operator for, such as a perceptron's
        nodes = [
            helper.make_node("Identity", ["x"], ["y"]),
            helper.make_node("ArgMax", ["x"], ["best"], axis=1, keepdims=0),
            helper.make_node("ArrayFeatureExtractor", ["names", "best"], ["label"], domain="ai.onnx.ml"),
        ]
    else:
        weights, offsets = [1.0] * (3 * len(names)), [0.0] * len(names)
        nodes = [
            helper.make_node(
                "LinearClassifier",
                ["x"],
                ["label", "y"],
                domain="ai.onnx.ml",
                classlabels_strings=names,
                coefficients=weights,
                intercepts=offsets,
            )
        ]
    return onnx_bytes(
        nodes=nodes,
        initializer=[numpy_helper.from_array(np.array(names, object), "names")] * as_tensor,
        outputs=[value("label", ("batch",), TensorProto.STRING), value("y", ("batch", len(names)))],
        opsets=[("", 20), ("ai.onnx.ml", 3)],
    )


@pytest.mark.parametrize("as_tensor", [False, True])
def test_labels_in_another_order_than_the_classifier_has_them_are_refused(as_tensor: bool) -> None:
    data = classifier(["leaves", "mid", "stays"], as_tensor=as_tensor)

    with pytest.raises(BadModelFile, match="the graph itself calls them leaves, mid, stays; give them in"):
        compose_bundle(data, "churn", Wording(labels=["stays", "leaves", "mid"]))

    for labels, output in (
        (("leaves", "mid", "stays"), "y"),
        (("goes", "waits", "remains"), "y"),  # other words for the same classes
        (("stays", "leaves", "mid"), "label"),  # the class itself as its text
    ):
        said = Wording(labels=labels, output=output)
        assert compose_bundle(data, "churn", said).manifest.labels == labels


def test_labels_that_one_of_several_classifiers_has_in_their_order_are_taken() -> None:
    twice = classifier(["leaves", "stays"]), classifier(["stays", "leaves"])
    first, second = (load_model_from_string(data) for data in twice)
    second.graph.node[0].output[:] = ["", "z"]
    first.graph.node.extend(second.graph.node)
    first.graph.output.append(value("z", ("batch", 2)))

    for labels in (("leaves", "stays"), ("stays", "leaves")):
        said = Wording(labels=labels, output="z")
        assert compose_bundle(first.SerializeToString(), "churn", said).manifest.labels == labels


def test_a_view_is_fitted_to_the_graph() -> None:
    features = view({"key": "c:{id}", "as": "hash", "fields": ["a", "b", "c"]})

    bound = compose_bundle(ONNX, "churn", Wording(features=features)).manifest.features

    assert bound is not None
    assert bound.inputs[0].dtype == "float32"


def test_what_the_publisher_says_is_kept() -> None:
    manifest = compose_bundle(
        ONNX, "churn", Wording(task="regression", output="y", description="why")
    ).manifest

    assert (manifest.task, manifest.output, manifest.description) == ("regression", "y", "why")


@pytest.mark.parametrize(
    ("wording", "fault"),
    [
        (Wording(task="classification"), "task classification needs labels"),
        (Wording(task="multilabel"), "task multilabel needs labels"),
        (Wording(labels=["a", "a"]), "a label is listed twice: a, a"),
        (Wording(labels=["a", "b"], output="z"), "the graph has no output 'z', it has y"),
        (Wording(output="z"), "the graph has no output 'z', it has y"),
        (
            Wording(labels=["a", "b", "c"]),
            "no output of the graph fits 3 labels (a, b, c): y is float32 ['batch', 2]",
        ),
        (Wording(labels=["a", "b"], task="regression"), "labels are for classification and multilabel"),
        (
            Wording(labels=["a", "b", "c"], output="y"),
            "output 'y' gives 2 values a row, but there are 3 labels",
        ),
        (Wording(labels=["\ud800", "b"]), "labels.0: should be text"),
        (Wording(description="\ud800"), "description: should be text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "wording",
)
def test_what_does_not_fit_the_file_is_named(wording: Wording, fault: str) -> None:
    with pytest.raises(BadModelFile) as caught:
        compose_bundle(ONNX, "churn", wording)

    assert fault in str(caught.value)


def test_several_outputs_that_fit_are_listed() -> None:
    data = onnx_bytes(outputs=[value("y", ("batch", 2)), value("z", ("batch", 1))])

    with pytest.raises(BadModelFile, match="several fit: y, z"):
        compose_bundle(data, "churn", Wording(labels=["a", "b"]))


def test_a_name_that_is_none_is_refused_before_the_file_is_read() -> None:
    with pytest.raises(BadName):
        compose_bundle(b"no model", "a b")


def test_a_file_over_the_limit_is_refused() -> None:
    with pytest.raises(ModelTooLarge):
        compose_bundle(ONNX, "churn", limit_bytes=10)


def test_a_view_that_does_not_fit_is_refused() -> None:
    with pytest.raises(BadFeatureView, match="rows of shape"):
        compose_bundle(
            ONNX, "churn", Wording(features=view({"key": "c:{id}", "as": "hash", "fields": ["a"]}))
        )
