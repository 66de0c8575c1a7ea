"""The baseline and the verdict."""

import numpy as np
import pytest

from tests.unit.trainer.tables import LINE, clouds, line, recipe, slopes
from trainer.baseline import baseline, flat_features
from trainer.diagnose import Parts, diagnose
from trainer.fit import Epoch, History
from trainer.judging.questions import Scores
from trainer.tasks import Classification, Regression, task_of

TASK = Classification(("a", "b", "c"))


def test_a_linear_model_parts_two_clouds() -> None:
    plain = baseline(Classification(("left", "right")), clouds(80), clouds(40))

    assert plain.scores.values["accuracy"] > 0.95
    assert plain.name == "scikit-learn logistic regression on the features, standardised"


def test_a_linear_model_finds_a_line() -> None:
    table = line()

    plain = baseline(task_of(recipe(LINE), table), table, table)

    assert plain.scores.values["r2"] > 0.99
    assert "ridge" in plain.name


def test_sequences_are_summed_up_for_the_baseline_without_their_padding() -> None:
    table = slopes(4)
    assert table.lengths is not None
    first = table.x[0, : table.lengths[0]]

    features = flat_features(table)

    assert features.shape == (4, 8)
    assert features[0] == pytest.approx(
        np.concatenate([first.mean(0), first.std(0), first.min(0), first.max(0)])
    )


def parts(train: float, held_out: float, plain: float, train_rows: int = 1000, rows: int = 500) -> Parts:
    first, second, third = (Scores({"accuracy": value, "r2": value}) for value in (train, held_out, plain))
    return Parts(first, second, third, train_rows, rows)


def history(*losses: float, best: int = 1) -> History:
    return History([Epoch(loss, loss, 0.5, 0.1) for loss in losses], best)


@pytest.mark.parametrize(
    ("of", "verdict", "said"),
    [
        (parts(0.97, 0.96, 0.95), "good", "0.960 on those held out"),
        (parts(1.0, 0.8, 0.8), "overfitting", "take more dropout or weight_decay"),
        (parts(0.6, 0.6, 0.9), "underfitting", "take more epochs, a larger lr or network"),
        (parts(0.97, 0.96, 0.95, rows=20), "too little data", "only 20 rows were held out"),
        (parts(0.97, 0.96, 0.95, train_rows=30), "too little data", "only 30 rows to learn from"),
    ],
)
def test_a_verdict_says_what_is_wrong_and_what_to_do(of: Parts, verdict: str, said: str) -> None:
    diagnosis = diagnose(TASK, of, history(0.5, 0.4))

    assert diagnosis.verdict == verdict
    assert any(said in finding for finding in diagnosis.findings)
    assert diagnosis.gap == pytest.approx(of.train.values["accuracy"] - of.held_out.values["accuracy"])


def test_a_gap_that_chance_explains_is_no_overfitting() -> None:
    assert diagnose(TASK, parts(0.90, 0.80, 0.80, rows=50), history(0.5)).verdict == "good"


def test_training_that_ended_while_it_still_paid_is_told() -> None:
    falling = [1.0 * 0.9**epoch for epoch in range(20)]

    diagnosis = diagnose(Regression(), parts(0.97, 0.96, 0.95), history(*falling, best=20))

    assert any("take more epochs" in finding for finding in diagnosis.findings)
    assert diagnosis.metric == "r2"
