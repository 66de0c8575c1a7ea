"""A file that follows a version goes on in its words, as far as its signature fits."""

from typing import Any

import numpy as np
import pytest

from models.answers import AnswerSpec
from models.composing import Wording, compose_bundle
from models.features import FeatureView
from models.graph import inspect_graph
from models.manifest import Manifest
from models.succession import inherited
from tests.graphs import dense, f32, model, node, scaled, value

VIEW = FeatureView.parse('{inputs: [{name: x, sources: [{key: "k:{id}", as: hash, fields: [a, b]}]}]}')
TWO = np.ones((2, 2), np.float32)
THREE = np.ones((2, 3), np.float32)


def before(onnx: bytes, **said: Any) -> Manifest:
    return compose_bundle(onnx, "m", Wording(features=VIEW, **said)).manifest


def after(previous: Manifest, onnx: bytes) -> Manifest:
    """The version of a file that follows another."""
    return compose_bundle(onnx, "m", inherited(previous, inspect_graph(onnx))).manifest


def test_a_file_of_the_same_signature_keeps_everything_that_was_said() -> None:
    previous = before(
        dense(TWO, "Softmax"), labels=("stays", "leaves"), description="Who leaves.", threshold=0.3
    )

    now = after(previous, dense(2 * TWO, "Softmax"))

    assert now == previous.model_copy(update={"digest": now.digest})


def test_names_of_values_are_kept() -> None:
    previous = before(dense(TWO), task="regression", output="y", answer=AnswerSpec(values=("low", "high")))

    assert after(previous, dense(2 * TWO)).answer == previous.answer


def test_an_output_of_another_width_is_answered_as_tensors() -> None:
    previous = before(dense(TWO, "Softmax"), labels=("stays", "leaves"))

    now = after(previous, dense(THREE, "Softmax"))

    assert (now.task, now.labels, now.output) == ("tensor", (), None)
    assert now.features == previous.features


def test_an_output_of_another_name_is_answered_as_tensors() -> None:
    previous = before(dense(TWO[:, :1]), task="regression")
    renamed = model([node("Identity", "x", "z")], [value("x", ["rows", 2])], [value("z", ["rows", 1])])

    assert after(previous, renamed).task == "tensor"


def test_inputs_that_the_view_does_not_fit_are_given_as_tensors() -> None:
    previous = before(dense(TWO, "Softmax"), labels=("stays", "leaves"))
    wider = dense(np.ones((3, 2), np.float32), "Softmax")

    now = after(previous, wider)

    assert now.features is None
    assert (now.task, now.labels) == ("classification", ("stays", "leaves"))


@pytest.mark.parametrize("rows", ["rows", "batch"])
def test_the_name_of_a_free_dimension_does_not_matter(rows: str) -> None:
    previous = before(scaled(), description="Twice.")

    now = after(previous, scaled(3.0, rows=rows))

    assert (now.task, now.description, now.features) == ("tensor", "Twice.", previous.features)


def test_a_version_without_a_view_gives_none() -> None:
    previous = compose_bundle(dense(f32([[1], [2]])), "m", Wording(task="regression")).manifest

    now = after(previous, dense(f32([[3], [4]])))

    assert (now.features, now.task, now.output) == (None, "regression", "y")
