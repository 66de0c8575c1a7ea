"""Which number of an answer is explained."""

import numpy as np
import pytest
from onnx import TensorProto

from models.errors import BadRequest
from models.manifest import Manifest
from server.inference.answers import bodies
from server.inference.errors import NotExplainable, RunFailed
from server.inference.explaining.asking import Wish
from server.inference.explaining.targets import Target, target_of
from tests.graphs import HALF, bundle, dense, model, node, passed, value

THREE = bundle(dense(np.eye(3, dtype=np.float32), "Softmax"), labels=("a", "b", "c")).manifest
SEVERAL = bundle(dense(np.eye(3, dtype=np.float32)), labels=("a", "b", "c"), task="multilabel").manifest


def two_outputs() -> Manifest:
    nodes = [node("Identity", "x", "y"), node("Neg", "x", "z")]
    shapes = [value(name, ["rows", 1]) for name in "yz"]
    return bundle(model(nodes, [value("x", ["rows", 1])], shapes)).manifest


def test_the_most_probable_label_is_explained() -> None:
    assert target_of(THREE, Wish(), {"y": [0.2, 0.5, 0.3]}) == Target("y", 1, "b")
    assert target_of(SEVERAL, Wish(), {"y": [0.9, 0.8, 0.1]}) == Target("y", 0, "a")


@pytest.mark.parametrize("width", [1, 2], ids=["one number", "two numbers"])
@pytest.mark.parametrize("chance", [0.29, 0.3, 0.31, 0.9])
def test_the_label_that_is_predicted_under_a_threshold_is_explained(width: int, chance: float) -> None:
    graph = dense(np.eye(width, dtype=np.float32), "Sigmoid")
    manifest = bundle(graph, labels=("stays", "leaves")).manifest.model_copy(update={"threshold": 0.3})
    output = np.array([[1 - chance, chance][-width:]], np.float32)

    target = target_of(manifest, Wish(), {"y": output[0].tolist()})

    assert [target.label] == [
        one["label"] for one in bodies(manifest, {"y": output}) if isinstance(one, dict)
    ]
    assert target.label == ("leaves" if chance >= 0.3 else "stays")


def test_an_element_is_explained_without_a_label() -> None:
    assert target_of(THREE, Wish(element=2), {"y": [0.2, 0.5, 0.3]}) == Target("y", 2)


def test_a_label_that_is_nearly_there_is_pointed_out() -> None:
    named = THREE.model_copy(update={"labels": ("benign", "malignant", "unknown")})

    with pytest.raises(BadRequest, match="did you mean 'malignant'"):
        target_of(named, Wish(label="malignent"), {"y": [0.2, 0.5, 0.3]})


def test_an_output_that_is_none_of_ours_is_not_chosen_in_silence() -> None:
    manifest = two_outputs()

    with pytest.raises(BadRequest, match="say which output is explained with `output`: y, z"):
        target_of(manifest, Wish(), {"y": [1.0], "z": [-1.0]})

    assert target_of(manifest, Wish(output="z"), {"y": [1.0], "z": [-1.0]}) == Target("z", 0)


@pytest.mark.parametrize("wish", [Wish(), Wish(element=0), Wish(output="y", element=3)])
def test_an_output_without_values_has_nothing_to_explain(wish: Wish) -> None:
    manifest = bundle(passed(1, ["rows", "n"])).manifest

    with pytest.raises(NotExplainable, match="output 'y' has no values for this row"):
        target_of(manifest, wish, {"y": []})


def test_an_output_of_another_width_than_its_labels_is_a_failed_run() -> None:
    with pytest.raises(RunFailed, match="2 values a row where 3 belong"):
        target_of(THREE, Wish(), {"y": [0.2, 0.5]})


def test_what_is_no_finite_number_is_no_answer() -> None:
    with pytest.raises(RunFailed, match="gave inf, which is no answer"):
        target_of(THREE, Wish(), {"y": [0.2, float("inf"), 0.1]})


@pytest.mark.parametrize("kind", [HALF, TensorProto.BFLOAT16, TensorProto.DOUBLE])
def test_floats_of_any_size_are_amounts(kind: int) -> None:
    manifest = bundle(passed(kind, ["rows", 2])).manifest

    assert target_of(manifest, Wish(element=1), {"y": [0.5, 0.25]}) == Target("y", 1)


def test_a_class_without_probabilities_has_no_amount() -> None:
    chosen = bundle(passed(7, ["rows", 1]), labels=("a", "b", "c"), output="y").manifest

    with pytest.raises(NotExplainable, match="output 'y' is int64"):
        target_of(chosen, Wish(), {"y": [1]})


def test_the_first_of_two_labels_is_what_one_sigmoid_leaves() -> None:
    target = Target("y", 0, "no", complement=True)

    assert target.worths([{"y": [0.25]}, {"y": [1.0]}]).tolist() == [0.75, 0.0]
