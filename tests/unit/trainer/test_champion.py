"""What a champion's numbers are: other ones than a challenger's are not compared with them."""

from typing import Any

import numpy as np
import pytest

from models.answers import AnswerSpec
from models.manifest import Manifest
from models.tensors import TensorSpec
from trainer.contest.champion import check_numbers, of_shape
from trainer.errors import Incomparable


def answering(channels: tuple[int, ...] = (), **spec: Any) -> Manifest:
    said = AnswerSpec(**spec)
    row = TensorSpec(name="x", dtype="float32", shape=("batch", 3))
    answer = TensorSpec(name="y", dtype="float32", shape=("batch", said.width or 6))
    recipe = {"data": {"target": {"as": "following", "steps": 3, "channels": list(channels)}}}
    return Manifest(
        name="made",
        task="regression",
        output="y",
        inputs=(row,),
        outputs=(answer,),
        answer=said if spec else None,
        recipe=recipe if channels else None,
    )


@pytest.mark.parametrize(
    ("champion", "challenger", "told"),
    [
        (
            answering(values=("a", "b")),
            answering(values=("b", "a")),
            "answers a, b as its values, this one b, a",
        ),
        (
            answering(quantiles=(0.05, 0.5, 0.95)),
            answering(quantiles=(0.1, 0.5, 0.9)),
            "answers 0.05, 0.5, 0.95 as its quantiles, this one 0.1, 0.5, 0.9",
        ),
        (answering(), answering(quantiles=(0.1, 0.5)), "answers none as its quantiles, this one 0.1, 0.5"),
        (answering((0,)), answering((2,)), "answers 0 as its numbers of an entry, this one 2"),
    ],
)
def test_numbers_that_are_other_things_are_not_compared(
    champion: Manifest, challenger: Manifest, told: str
) -> None:
    with pytest.raises(Incomparable, match=told):
        check_numbers(champion, challenger)


def test_numbers_that_are_the_same_things_are_compared() -> None:
    check_numbers(answering(values=("price",)), answering())
    check_numbers(answering((0, 1)), answering((0, 1)))


def test_answers_of_another_shape_are_not_compared() -> None:
    assert of_shape(np.zeros((5, 1)), np.zeros(5)).shape == (5, 1)
    with pytest.raises(Incomparable, match="the champion answers 6 numbers a row, this one 4 x 2"):
        of_shape(np.zeros((5, 6)), np.zeros((5, 4, 2)))
