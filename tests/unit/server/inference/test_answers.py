"""Outputs become answers by the model's task; an output that is no answer is its row's error."""

from typing import Any

import numpy as np
import pytest

from models.answers import AnswerSpec
from models.manifest import Manifest
from models.tensors import TensorSpec, numpy_dtype
from server.inference.answers import bodies, entire
from server.inference.errors import RunFailed

LABELS = ("low", "mid", "high")


def manifest(task: str, labels: tuple[str, ...] = LABELS) -> Manifest:
    spec = TensorSpec(name="x", dtype="float32", shape=("rows", "width"))
    labels = labels if task in ("classification", "multilabel") else ()
    facts: dict[str, Any] = {"task": task, "labels": labels, "output": None if task == "tensor" else "p"}
    output = spec.model_copy(update={"name": "p"})
    return Manifest(name="m", version=2, inputs=(spec,), outputs=(output,), **facts)


def rows(*values: Any, dtype: Any = np.float32) -> dict[str, np.ndarray]:
    return {"p": np.array(values, dtype)}


def reasons(answers: list[Any]) -> list[str | None]:
    return [str(one) if isinstance(one, RunFailed) else None for one in answers]


def test_classes_have_a_label_and_every_probability() -> None:
    answers = bodies(manifest("classification"), rows([0.25, 0.5, 0.25], [0, 0, 1]))

    assert answers == [
        {"label": "mid", "probabilities": {"low": 0.25, "mid": 0.5, "high": 0.25}},
        {"label": "high", "probabilities": {"low": 0, "mid": 0, "high": 1}},
    ]


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_one_sigmoid_is_the_second_of_two_labels(shape: tuple[int, ...]) -> None:
    output = {"p": np.array([0.75, 0.25], np.float32).reshape(shape)}

    answers = bodies(manifest("classification", ("no", "yes")), output)

    assert answers == [
        {"label": "yes", "probabilities": {"no": 0.25, "yes": 0.75}},
        {"label": "no", "probabilities": {"no": 0.75, "yes": 0.25}},
    ]


def test_the_second_of_two_labels_is_said_from_the_threshold_on() -> None:
    decided = manifest("classification", ("no", "yes")).model_copy(update={"threshold": 0.25})

    answers = bodies(decided, rows([0.875, 0.125], [0.75, 0.25], [0.25, 0.75]))

    assert [answer["label"] for answer in answers if isinstance(answer, dict)] == ["no", "yes", "yes"]


def test_each_of_several_labels_is_said_from_the_threshold_on() -> None:
    decided = manifest("multilabel").model_copy(update={"threshold": 0.75})

    (answer,) = bodies(decided, rows([0.5, 0.75, 0.875]))

    assert isinstance(answer, dict)
    assert answer["labels"] == ["mid", "high"]


def test_a_graph_that_gives_the_number_of_the_class_is_worded_by_it() -> None:
    answers = bodies(manifest("classification"), rows(2, 0, dtype=np.int64))

    assert answers == [{"label": "high"}, {"label": "low"}]


def test_a_graph_that_gives_the_text_of_the_class_is_believed() -> None:
    assert bodies(manifest("classification"), rows("mid", dtype=object)) == [{"label": "mid"}]


@pytest.mark.parametrize("number", [-1, 3])
def test_a_class_without_a_label_is_its_rows_error(number: int) -> None:
    answers = bodies(manifest("classification"), rows(1, number, dtype=np.int64))

    assert answers[0] == {"label": "mid"}
    assert f"gave class {number}; its labels are numbered 0 to 2" in str(answers[1])


def test_each_label_stands_alone_in_a_multilabel_answer() -> None:
    answers = bodies(manifest("multilabel"), rows([0.5, 0.25, 0.75], [0, 0, 0]))

    assert answers[0] == {"labels": ["low", "high"], "probabilities": {"low": 0.5, "mid": 0.25, "high": 0.75}}
    assert answers[1] == {"labels": [], "probabilities": {"low": 0, "mid": 0, "high": 0}}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (rows(1.5, 2), [{"value": 1.5}, {"value": 2.0}]),
        (rows([1.5], [2]), [{"value": 1.5}, {"value": 2.0}]),
        (rows([1, 2], [3, 4]), [{"value": [1, 2]}, {"value": [3, 4]}]),
        (rows(7, 8, dtype=np.int64), [{"value": 7}, {"value": 8}]),
    ],
)
def test_a_value_is_a_number_or_several(output: dict[str, np.ndarray], expected: list[Any]) -> None:
    assert bodies(manifest("regression", ()), output) == expected


def said(task: str, **answer: Any) -> Manifest:
    return manifest(task, ()).model_copy(update={"answer": AnswerSpec(**answer)})


def test_several_values_have_their_names() -> None:
    answers = bodies(said("regression", values=("a", "b")), rows([1, 2], [3, np.nan]))

    assert answers[0] == {"values": {"a": 1, "b": 2}}
    assert reasons(answers)[1] is not None


def test_a_value_with_quantiles_is_their_median() -> None:
    answers = bodies(said("regression", quantiles=(0.25, 0.5, 0.75)), rows([1, 2, 4]))

    assert answers == [{"value": 2, "quantiles": {"0.25": 1, "0.5": 2, "0.75": 4}}]


def test_several_values_have_quantiles_each() -> None:
    output = rows([[1, 2], [3, 4]])

    answers = bodies(said("regression", values=("a", "b"), quantiles=(0.25, 0.5)), output)

    assert answers == [
        {"values": {"a": 2, "b": 4}, "quantiles": {"a": {"0.25": 1, "0.5": 2}, "b": {"0.25": 3, "0.5": 4}}}
    ]


def test_values_of_another_number_than_names_are_refused() -> None:
    with pytest.raises(RunFailed, match="3 values a row where 2 belong"):
        bodies(said("regression", values=("a", "b")), rows([1, 2, 3]))


def test_steps_to_come_are_numbers_or_channels() -> None:
    assert bodies(manifest("forecasting", ()), rows([1, 2])) == [{"forecast": [1, 2]}]
    assert bodies(manifest("forecasting", ()), rows([[1, 2], [3, 4]])) == [{"forecast": [[1, 2], [3, 4]]}]


def test_a_score_over_the_threshold_is_an_anomaly() -> None:
    answers = bodies(said("anomaly", threshold=0.5), rows([0.5], [0.75]))

    assert answers == [{"anomaly_score": 0.5, "anomaly": False}, {"anomaly_score": 0.75, "anomaly": True}]
    assert bodies(manifest("anomaly", ()), rows([0.75])) == [{"anomaly_score": 0.75}]


@pytest.mark.parametrize("task", ["forecasting", "anomaly"])
def test_numbers_that_are_none_are_their_rows_error(task: str) -> None:
    answers = bodies(manifest(task, ()), rows([0.5], [np.nan]))

    assert reasons(answers)[0] is None
    assert "output 'p' gave nan, which is no answer" in str(answers[1])


@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_number_that_is_none_is_its_rows_error(task: str, odd: float, dtype: str) -> None:
    answers = bodies(manifest(task), rows([0.2, 0.3, 0.5], [0.2, odd, 0.5], dtype=numpy_dtype(dtype)))

    assert reasons(answers)[0] is None
    assert f"output 'p' gave {odd}, which is no answer" in str(answers[1])


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_an_output_of_another_width_than_the_labels_is_refused(task: str) -> None:
    with pytest.raises(RunFailed, match="2 values a row where 3 belong"):
        bodies(manifest(task), rows([0.5, 0.5]))


def test_raw_and_no_task_give_the_outputs_row_by_row() -> None:
    outputs = {"p": np.array([[1, 2, 3], [4, 5, 6]], np.float32), "n": np.array([7, 8])}
    expected = [{"outputs": {"p": [1, 2, 3], "n": 7}}, {"outputs": {"p": [4, 5, 6], "n": 8}}]

    assert bodies(manifest("classification"), outputs, raw=True) == expected
    assert bodies(manifest("tensor", ()), outputs) == expected


def test_outputs_without_rows_are_one_answer() -> None:
    assert entire({"y": np.float32(3), "n": np.array([1, 2])}) == [{"outputs": {"y": 3.0, "n": [1, 2]}}]  # type: ignore[dict-item]  # a scalar has tolist too
