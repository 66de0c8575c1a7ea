"""Two models on the same rows: better beyond chance, worse, or not to be told apart."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from trainer.judging.comparison import Contender, compare
from trainer.judging.questions import Question

TWO = Question("classification", ("no", "yes"))


def contender(sharpness: float, count: int = 400, seed: int = 1) -> Contender:
    """A model that knows the truth the better the sharper it is."""
    random = np.random.default_rng(seed)
    second = 1 / (1 + np.exp(-sharpness * (2 * truth(count) - 1) - random.normal(size=count)))
    return Contender(np.stack([1 - second, second], axis=1))


def truth(count: int = 400) -> Any:
    return np.arange(count) % 2


def test_a_model_that_is_better_beyond_chance_is_better() -> None:
    found = compare(TWO, truth(), (contender(0.5), contender(2, seed=2)))

    assert found is not None
    assert found.better
    assert found.challenger < found.champion
    assert found.only_challenger > found.only_champion
    assert found.mcnemar < 0.001
    assert "the challenger is better: log loss" in found.words


def test_a_model_that_is_worse_says_so() -> None:
    found = compare(TWO, truth(), (contender(2), contender(0.5, seed=2)))

    assert found is not None
    assert not found.better
    assert found.words.startswith("the champion is better: log loss")


def test_two_models_alike_are_not_told_apart() -> None:
    found = compare(TWO, truth(), (contender(1, seed=5), contender(1, seed=6)))

    assert found is not None
    assert not found.better
    assert "the difference may be chance" in found.words


def test_the_same_model_differs_in_nothing() -> None:
    found = compare(TWO, truth(), (contender(1), contender(1)))

    assert found is not None
    assert (found.saved.low, found.saved.high, found.mcnemar) == (0, 0, 1)
    assert not found.better


def test_a_challenger_that_only_wins_by_chance_rarely_wins() -> None:
    wins = 0
    for seed in range(60):
        found = compare(TWO, truth(100), (contender(1, 100, seed), contender(1, 100, seed + 1000)))
        wins += found is not None and found.better

    assert wins <= 5


def test_a_challenger_that_gives_up_one_label_for_the_other_rarely_wins() -> None:
    """As good over all rows there could be: whether it seems better hangs on how many have which label."""
    wins = 0
    for seed in range(150):
        random = np.random.default_rng(seed)
        labels = (random.random(300) < 0.5).astype(int)
        raw = random.normal(size=300) + 2 * labels - 1
        second = [1 / (1 + np.exp(-raw - leaning)) for leaning in (0.8, -0.8)]
        champion, challenger = (Contender(np.stack([1 - one, one], axis=1)) for one in second)
        found = compare(TWO, labels, (champion, challenger))
        wins += found is not None and found.better

    assert wins <= 11


def test_few_rows_decide_nothing() -> None:
    found = compare(TWO, truth(20), (contender(0, 20), contender(5, 20)))

    assert found is not None
    assert not found.better
    assert "fewer than 30 decide nothing" in found.words


def test_honest_doubt_does_not_outweigh_rows_that_are_labelled_wrongly() -> None:
    said = truth(400)
    champion = np.where(said, 0.999999999, 1e-9)  # sure of everything, and horribly wrong in two rows
    champion[:2] = 1 - champion[:2]
    challenger = np.where(said, 0.95, 0.05)
    challenger[2:22] = np.where(said[2:22], 0.49, 0.51)
    pair = tuple(Contender(np.stack([1 - one, one], axis=1)) for one in (champion, challenger))

    found = compare(TWO, said, (pair[0], pair[1]))

    assert found is not None
    assert (found.only_champion, found.only_challenger) == (20, 2)
    assert not found.better


def test_a_better_loss_with_fewer_right_labels_is_told_as_it_is() -> None:
    said = truth(400)
    champion = np.where(said, 0.51, 0.49)
    challenger = np.where(said, 0.99, 0.01)
    challenger[:20] = np.where(said[:20], 0.49, 0.51)
    pair = tuple(Contender(np.stack([1 - one, one], axis=1)) for one in (champion, challenger))

    found = compare(TWO, said, (pair[0], pair[1]))

    assert found is not None
    assert not found.better
    assert "but it labels fewer rows rightly" in found.words


def test_where_mistakes_cost_each_is_compared_under_its_own_threshold() -> None:
    one = contender(1)

    found = compare(TWO, truth(), (one, Contender(one.answers, threshold=0.05)), cost=(1, 20))

    assert found is not None
    assert found.measure == "cost a row"
    assert found.challenger < found.champion
    assert found.saved.low > 0


def three(count: int, good: float) -> Any:
    return np.random.default_rng(0).normal(size=(count, 3)) * good


KINDS: dict[str, tuple[Question, Callable[[int, float], Any], Callable[[int], Any]]] = {
    "squared error": (Question("regression"), lambda n, bad: three(n, bad)[:, :1], np.zeros),
    "pinball loss": (Question("quantiles", quantiles=(0.1, 0.5, 0.9)), three, np.zeros),
    "pinball loss of two values": (
        Question("quantiles", quantiles=(0.1, 0.5, 0.9)),
        lambda n, bad: np.stack([three(n, bad), three(n, bad)], 1),
        lambda n: np.zeros((n, 2)),
    ),
    "log loss": (
        Question("multilabel", ("a", "b", "c")),
        lambda n, bad: 1 / (1 + np.exp(2 - np.abs(three(n, bad)))),
        lambda n: np.zeros((n, 3), np.int64),
    ),
}


@pytest.mark.parametrize("measure", KINDS)
def test_other_questions_are_compared_by_their_own_loss(measure: str) -> None:
    question, answers, targets = KINDS[measure]

    found = compare(question, targets(200), (Contender(answers(200, 2.0)), Contender(answers(200, 0.1))))

    assert found is not None
    assert measure.startswith(found.measure)
    assert found.better
    assert found.mcnemar == 1


def test_anomaly_scores_are_not_compared() -> None:
    nothing = Contender(np.zeros(5))

    assert compare(Question("anomaly"), np.zeros(5), (nothing, nothing)) is None
