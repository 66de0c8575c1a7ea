"""What several numbers of an answer are: named once, in order, and as many as the graph gives."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.answers import AnswerSpec
from models.manifest import Manifest
from models.tensors import TensorSpec


def manifest(
    answer: AnswerSpec | None, shape: tuple[Any, ...] = ("rows", 2), task: str = "regression"
) -> Manifest:
    x = TensorSpec(name="x", dtype="float32", shape=("rows", 3))
    y = TensorSpec(name="y", dtype="float32", shape=shape)
    facts: dict[str, Any] = {"task": task, "output": "y"}
    return Manifest(name="price", inputs=(x,), outputs=(y,), answer=answer, **facts)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"values": ("a", "a")}, "a value is named twice"),
        ({"quantiles": (0.9, 0.5)}, "quantiles should ascend and have 0.5 among them"),
        ({"quantiles": (0.1, 0.9)}, "quantiles should ascend and have 0.5 among them"),
        ({"quantiles": (0.5, 1.0)}, "less than 1"),
        ({"threshold": float("nan")}, "finite"),
        ({"names": ("a",)}, "Extra inputs"),
    ],
)
def test_an_answer_that_says_nothing_is_refused(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AnswerSpec(**facts)


@pytest.mark.parametrize(
    ("answer", "shape"),
    [
        (AnswerSpec(values=("a", "b")), ("rows", 2)),
        (AnswerSpec(quantiles=(0.1, 0.5)), ("rows", 2)),
        (AnswerSpec(values=("a", "b"), quantiles=(0.1, 0.5, 0.9)), ("rows", 2, 3)),
        (AnswerSpec(threshold=2.5), ("rows", 7)),
    ],
)
def test_a_manifest_keeps_what_its_numbers_are(answer: AnswerSpec, shape: tuple[Any, ...]) -> None:
    stored = manifest(answer, shape).model_copy(update={"version": 1})

    assert Manifest.from_json(stored.to_json(), "price", 1) == stored


def test_a_manifest_without_it_is_written_as_before_there_was_one() -> None:
    assert b"answer" not in manifest(None).to_json()


def test_names_that_are_not_as_many_as_the_numbers_are_refused() -> None:
    with pytest.raises(ValidationError, match="output 'y' gives 2 values a row, the answer names 3"):
        manifest(AnswerSpec(values=("a", "b", "c")))


@pytest.mark.parametrize("task", ["forecasting", "anomaly"])
def test_labels_are_for_labelled_tasks(task: str) -> None:
    with pytest.raises(ValidationError, match=f"a {task} answers numbers"):
        Manifest.model_validate({**manifest(None, task=task).model_dump(), "labels": ("a", "b")})
