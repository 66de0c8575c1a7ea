"""What the numbers of an answer are, and which one stands for it."""

import pytest

from models.answer_parts import part_of, usual_element
from models.answers import AnswerSpec

QUANTILES = AnswerSpec(quantiles=(0.1, 0.5, 0.9))
NAMED = AnswerSpec(values=("cost", "hours"))
BOTH = AnswerSpec(values=("cost", "hours"), quantiles=(0.5, 0.9))


@pytest.mark.parametrize(
    ("task", "spec", "shape", "usual", "parts"),
    [
        ("regression", None, (1,), 0, [""]),
        ("regression", None, (2,), None, ["", ""]),
        ("regression", NAMED, (2,), None, ["cost", "hours"]),
        ("regression", AnswerSpec(values=("cost",)), (1,), 0, [""]),
        ("regression", QUANTILES, (3,), 1, ["quantile 0.1", "quantile 0.5", "quantile 0.9"]),
        (
            "regression",
            BOTH,
            (2, 2),
            None,
            ["cost, quantile 0.5", "cost, quantile 0.9", "hours, quantile 0.5", "hours, quantile 0.9"],
        ),
        ("regression", QUANTILES, (4,), None, ["", "", "", ""]),
        ("forecasting", None, (2,), 0, ["step 1 of 2", "step 2 of 2"]),
        (
            "forecasting",
            None,
            (2, 2),
            0,
            [f"step {step} of 2, number {one} of 2" for step in (1, 2) for one in (1, 2)],
        ),
        ("anomaly", AnswerSpec(threshold=1.0), (1,), 0, [""]),
        ("tensor", None, (2,), None, ["", ""]),
    ],
)
def test_a_number_has_words_and_one_of_them_stands_for_the_answer(
    task: str, spec: AnswerSpec | None, shape: tuple[int, ...], usual: int | None, parts: list[str]
) -> None:
    assert usual_element(task, spec, shape) == usual
    assert [part_of(task, spec, shape, at) for at in range(len(parts))] == parts
