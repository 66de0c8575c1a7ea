"""Scores, the baseline and the verdict."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, r2_score, roc_auc_score

from tests.unit.trainer.tables import LINE, clouds, line, recipe, slopes
from trainer.baseline import baseline, flat_features
from trainer.diagnose import Parts, diagnose
from trainer.evaluate import Scores, evaluate
from trainer.fit import Epoch, History
from trainer.tasks import Classification, Regression, task_of

TASK = Classification(("a", "b", "c"))


def test_scores_of_a_classifier_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(3)
    probabilities = random.dirichlet([1, 1, 1], 50).astype(np.float32)
    targets = random.integers(0, 3, 50)

    scores = evaluate(TASK, probabilities, targets)

    assert scores.values["accuracy"] == np.mean(probabilities.argmax(1) == targets)
    assert scores.values["log_loss"] == pytest.approx(log_loss(targets, probabilities), rel=1e-5)
    assert scores.values["roc_auc"] == pytest.approx(roc_auc_score(targets, probabilities, multi_class="ovr"))
    assert np.array(scores.confusion).sum() == 50
    assert np.trace(np.array(scores.confusion)) == round(scores.values["accuracy"] * 50)


def test_who_was_taken_for_whom_has_the_truth_in_rows() -> None:
    probabilities = np.array([[0, 1, 0], [0, 1, 0], [1, 0, 0]], np.float32)

    scores = evaluate(TASK, probabilities, np.array([0, 1, 0]))

    assert scores.confusion == ((1, 1, 0), (0, 1, 0), (0, 0, 0))


def test_a_class_without_rows_has_no_curve_and_breaks_nothing() -> None:
    scores = evaluate(TASK, np.eye(3, dtype=np.float32)[[0, 1]], np.array([0, 1]))

    assert "roc_auc" not in scores.values
    assert scores.values["accuracy"] == 1


def test_a_certain_mistake_has_a_finite_loss() -> None:
    scores = evaluate(TASK, np.eye(3, dtype=np.float32)[[0]], np.array([1]))

    assert 30 < scores.values["log_loss"] < 40


def test_two_labels_have_one_curve() -> None:
    task = Classification(("no", "yes"))
    answers = np.array([[0.9, 0.1], [0.4, 0.6], [0.6, 0.4], [0.2, 0.8]], np.float32)
    targets = np.array([0, 0, 1, 1])

    scores = evaluate(task, answers, targets)

    assert scores.values["roc_auc"] == roc_auc_score(targets, answers[:, 1])


def test_scores_of_a_regression_are_in_its_own_unit() -> None:
    targets = np.array([1.0, 2.0, 5.0])
    answers = np.array([[2.0], [2.0], [3.0]], np.float32)

    scores = evaluate(Regression(), answers, targets)

    assert scores.values["mae"] == 1
    assert scores.values["rmse"] == pytest.approx(np.sqrt(5 / 3))
    assert scores.values["r2"] == pytest.approx(r2_score(targets, answers))


def test_targets_that_are_all_alike_have_no_r2_to_speak_of() -> None:
    assert evaluate(Regression(), np.ones((3, 1), np.float32), np.ones(3)).values["r2"] == 0


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
    values = table.inputs["x"]
    assert values.lengths is not None
    first = values.x[0, : values.lengths[0]]

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
