"""Scores of every kind of answer are those of scikit-learn, and their intervals hold what they promise."""

import numpy as np
import pytest
from sklearn import metrics
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trainer.judging.confidence import STATISTICS, confidence, mean_of
from trainer.judging.intervals import RESAMPLES_LEAST, ROWS_MOST, Area, intervals
from trainer.judging.questions import Answered, Question
from trainer.judging.reliability import bins, calibration_error
from trainer.judging.scoring import score

THREE = Question("classification", ("a", "b", "c"))
TWO = Question("classification", ("no", "yes"))


def drawn(labels: int = 3, rows: int = 60, seed: int = 3) -> Answered:
    random = np.random.default_rng(seed)
    return Answered(random.dirichlet([1] * labels, rows), random.integers(0, labels, rows))


def fitted(name: str = "wine") -> tuple[Question, Answered]:
    data = (load_wine if name == "wine" else load_breast_cancer)(return_X_y=False)
    half = np.arange(len(data.data)) % 2 == 0
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(data.data[half], data.target[half])
    question = Question("classification", tuple(map(str, data.target_names)))
    return question, Answered(model.predict_proba(data.data[~half]), data.target[~half])


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_a_classifier_are_those_of_scikit_learn(weighted: bool) -> None:
    given = drawn()
    weights = np.random.default_rng(0).uniform(0.5, 2, 60) if weighted else None
    given = Answered(given.answers, given.targets, weights)
    said, truth = given.answers.argmax(1), given.truth

    found = score(THREE, given).values

    assert found == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, said, sample_weight=weights),
            "balanced_accuracy": metrics.balanced_accuracy_score(truth, said, sample_weight=weights),
            "f1": metrics.f1_score(truth, said, average="macro", sample_weight=weights),
            "log_loss": metrics.log_loss(truth, given.answers, sample_weight=weights),
            "brier": metrics.brier_score_loss(truth, given.answers, sample_weight=weights),
            "ece": found["ece"],
            "roc_auc": np.mean(
                [
                    metrics.roc_auc_score(truth == at, given.answers[:, at], sample_weight=weights)
                    for at in range(3)
                ]
            ),
            "pr_auc": np.mean(
                [
                    metrics.average_precision_score(truth == at, given.answers[:, at], sample_weight=weights)
                    for at in range(3)
                ]
            ),
        }
    )


def test_each_label_has_scores_of_its_own() -> None:
    given = drawn()

    classes = score(THREE, given).classes

    for at, label in enumerate(THREE.labels):
        one = metrics.precision_recall_fscore_support(
            given.truth == at, given.answers.argmax(1) == at, average="binary"
        )
        assert [classes[label][name] for name in ("precision", "recall", "f1")] == pytest.approx(
            list(one[:3])
        )
        assert classes[label]["rows"] == (given.truth == at).sum()


def test_who_was_taken_for_whom_has_the_truth_in_rows() -> None:
    probabilities = np.array([[0, 1, 0], [0, 1, 0], [1, 0, 0]], np.float32)

    scores = score(THREE, Answered(probabilities, np.array([0, 1, 0])))

    assert scores.confusion == ((1, 1, 0), (0, 1, 0), (0, 0, 0))


def test_a_class_without_rows_has_no_curve_and_breaks_nothing() -> None:
    given = Answered(np.eye(3, dtype=np.float32)[[0, 1]], np.array([0, 1]))

    scores = score(THREE, given)

    assert "roc_auc" not in scores.values
    assert scores.values["accuracy"] == scores.values["balanced_accuracy"] == 1
    assert "roc_auc" not in confidence(THREE, given)


def test_a_certain_mistake_has_a_finite_loss() -> None:
    scores = score(THREE, Answered(np.eye(3, dtype=np.float32)[[0]], np.array([1])))

    assert 30 < scores.values["log_loss"] < 40


def test_the_label_that_is_looked_for_decides_the_curve_of_precision() -> None:
    given = drawn(2)

    first = score(Question("classification", ("yes", "no"), positive=0), given).values
    second = score(TWO, given).values

    assert first["pr_auc"] == metrics.average_precision_score(given.truth == 0, given.answers[:, 0])
    assert second["pr_auc"] == metrics.average_precision_score(given.truth, given.answers[:, 1])
    assert first["roc_auc"] == pytest.approx(second["roc_auc"])


def test_a_threshold_changes_what_is_said_and_nothing_else() -> None:
    given = Answered(np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]]), np.array([0, 1, 1]))

    plain, low = score(TWO, given), score(Question("classification", TWO.labels, threshold=0.25), given)

    assert (plain.values["accuracy"], low.values["accuracy"]) == (2 / 3, 1)
    assert plain.values["log_loss"] == low.values["log_loss"]
    assert low.confusion == ((1, 0), (0, 2))


def test_several_labels_at_once_are_scored_as_scikit_learn_does() -> None:
    random = np.random.default_rng(1)
    said, truth = random.uniform(size=(40, 3)), random.integers(0, 2, (40, 3))

    scores = score(Question("multilabel", ("a", "b", "c")), Answered(said, truth))

    assert scores.values["accuracy"] == metrics.accuracy_score(truth, said >= 0.5)
    assert scores.values["hamming"] == pytest.approx(metrics.hamming_loss(truth, said >= 0.5))
    assert scores.values["f1_micro"] == pytest.approx(metrics.f1_score(truth, said >= 0.5, average="micro"))
    assert scores.values["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, said))
    assert scores.values["log_loss"] == pytest.approx(
        np.mean([metrics.log_loss(truth[:, at], said[:, at]) for at in range(3)])
    )
    assert scores.classes["b"]["rows"] == truth[:, 1].sum()


def test_a_label_that_no_row_has_gives_no_curve() -> None:
    said, truth = np.array([[0.2], [0.4]]), np.zeros((2, 1), np.int64)

    assert "roc_auc" not in score(Question("multilabel", ("a",)), Answered(said, truth)).values


def test_scores_of_a_regression_are_in_its_own_unit() -> None:
    targets, answers = np.array([1.0, 2.0, 5.0]), np.array([[2.0], [2.0], [3.0]], np.float32)

    scores = score(Question("regression"), Answered(answers, targets)).values

    assert scores["mae"] == 1
    assert scores["rmse"] == pytest.approx(np.sqrt(5 / 3))
    assert scores["r2"] == pytest.approx(metrics.r2_score(targets, answers))


def test_targets_that_are_all_alike_have_no_r2_to_speak_of() -> None:
    given = Answered(np.ones((3, 1), np.float32), np.ones(3))

    assert score(Question("regression"), given).values["r2"] == 0
    assert "r2" not in confidence(Question("regression"), given)


def test_quantiles_are_judged_by_pinball_loss_and_coverage() -> None:
    random = np.random.default_rng(2)
    truth = random.normal(size=2000)
    question = Question("quantiles", quantiles=(0.1, 0.5, 0.9))

    scores = score(question, Answered(np.tile([-1.2816, 0, 1.2816], (2000, 1)), truth)).values

    assert scores["pinball_0.9"] == pytest.approx(
        metrics.mean_pinball_loss(truth, np.full(2000, 1.2816), alpha=0.9)
    )
    assert scores["coverage"] == pytest.approx(0.8, abs=0.03)
    assert scores["coverage_wanted"] == pytest.approx(0.8)
    assert scores["mae"] == pytest.approx(np.abs(truth).mean())


def test_one_quantile_covers_nothing() -> None:
    question = Question("quantiles", quantiles=(0.5,))

    assert "coverage" not in score(question, Answered(np.zeros((3, 1)), np.arange(3.0))).values


def test_a_forecast_is_measured_against_the_last_known_value() -> None:
    truth, naive = np.array([[2.0, 3.0], [4.0, 5.0]]), np.array([[1.0], [3.0]])

    scores = score(Question("forecast"), Answered(truth + 0.5, truth, naive=naive)).values

    assert scores["naive_mae"] == 1.5
    assert scores["mase"] == pytest.approx(1 / 3)
    assert "mase" not in score(Question("forecast"), Answered(truth, truth, naive=truth)).values
    assert "naive_mae" not in score(Question("forecast"), Answered(truth, truth)).values


def test_anomalies_are_counted_and_where_they_are_known_ranked() -> None:
    given, truth = np.array([0.1, 0.2, 0.9, 0.8]), np.array([0, 0, 1, 1])
    question = Question("anomaly", threshold=0.5)

    assert score(question, Answered(given, None)).values == {"mean_score": 0.5, "flagged": 0.5}
    assert score(question, Answered(given, truth)).values["roc_auc"] == 1
    assert "flagged" not in score(Question("anomaly"), Answered(given, None)).values
    assert set(confidence(Question("anomaly"), Answered(given, None))) == {"mean_score"}
    with pytest.raises(ValueError, match="without the truth"):
        _ = Answered(given, None).truth


def test_calibration_counts_how_far_said_is_from_true() -> None:
    confidence, right = np.array([0.95, 0.95, 0.55, 1.0]), np.array([True, False, True, True])

    found = bins(confidence, right)

    assert calibration_error(confidence, right) == pytest.approx((abs(1.9 + 1.0 - 2) + 0.45) / 4)
    assert [(one.rows, one.came_true) for one in found] == [(1, 1.0), (3, 2 / 3)]
    assert found[1].low == 0.9


CASES = {
    "classification": (THREE, drawn()),
    "binary": (TWO, drawn(2)),
    "regression": (
        Question("regression"),
        Answered(np.arange(20.0) + np.random.default_rng(0).normal(size=20), 1e6 + np.arange(20.0)),
    ),
    "quantiles": (
        Question("quantiles", quantiles=(0.2, 0.5, 0.8)),
        Answered(np.random.default_rng(1).normal(size=(30, 3)), np.random.default_rng(2).normal(size=30)),
    ),
    "multilabel": (
        Question("multilabel", ("a", "b")),
        Answered(
            np.random.default_rng(4).uniform(size=(30, 2)), np.random.default_rng(5).integers(0, 2, (30, 2))
        ),
    ),
    "anomaly": (
        Question("anomaly", threshold=0.5),
        # Ties on purpose: rows that score alike are one step of a curve.
        Answered(
            np.random.default_rng(6).integers(0, 6, 40) / 6, np.random.default_rng(7).integers(0, 2, 40)
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_resample_that_is_every_row_once_has_the_score_itself(case: str, weighted: bool) -> None:
    question, given = CASES[case]
    weights = (
        np.random.default_rng(9).integers(1, 4, len(given)).astype(float) if weighted else np.ones(len(given))
    )
    given = Answered(given.answers, given.targets, weights)
    scores = score(question, given).values

    found = {
        name: one.over(weights[None])[0] for name, one in STATISTICS[question.kind](question, given).items()
    }

    assert len(found) >= 3
    assert found == pytest.approx({name: scores[name] for name in found})


def test_an_interval_is_the_one_that_statistics_gives() -> None:
    right = np.arange(400) < 320

    found = intervals({"accuracy": mean_of(right)}, np.zeros(400))["accuracy"]

    assert found.deviation == pytest.approx(np.sqrt(0.8 * 0.2 / 400), rel=0.1)
    assert (found.low, found.high) == pytest.approx((0.76, 0.84), abs=0.01)


def test_the_true_score_lies_in_nineteen_intervals_of_twenty() -> None:
    inside = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        found = confidence(Question("regression"), Answered(random.normal(size=80), np.zeros(80)), seed)[
            "mae"
        ]
        inside += found.low <= np.sqrt(2 / np.pi) <= found.high

    assert inside >= 180


def test_the_same_seed_gives_the_same_interval_and_labels_keep_their_share() -> None:
    question, given = fitted()

    assert confidence(question, given, 5) == confidence(question, given, 5)
    assert confidence(question, given, 5) != confidence(question, given, 6)
    assert confidence(question, given)["roc_auc"].high <= 1


def test_an_interval_of_a_real_classifier_holds_its_score() -> None:
    question, given = fitted("breast_cancer")

    scores, found = score(question, given).values, confidence(question, given)

    for name in ("accuracy", "log_loss", "brier", "roc_auc", "pr_auc", "f1", "balanced_accuracy"):
        assert found[name].low <= scores[name] <= found[name].high


def every_kind() -> list[tuple[Question, Answered]]:
    """Answers to each kind of question, with all that is scored of it."""
    random = np.random.default_rng(7)
    labels = random.integers(0, 2, (300, 4))
    several = 1 / (1 + np.exp(-random.normal(size=labels.shape) - 2 * labels + 1))
    one = np.stack([1 - several[:, 0], several[:, 0]], axis=1)
    values, series = random.normal(size=(300, 3)) * [1, 10, 100], random.normal(size=(300, 5, 2))
    noisy = np.sort(values[..., None] + random.normal(size=(300, 3, 3)), axis=-1)
    return [
        (TWO, Answered(one.astype(np.float32), labels[:, 0])),
        (Question("multilabel", tuple("abcd")), Answered(several.astype(np.float32), labels)),
        (Question("regression"), Answered(values + random.normal(size=values.shape), values)),
        (Question("quantiles", quantiles=(0.1, 0.5, 0.9)), Answered(noisy, values)),
        (
            Question("forecast"),
            Answered(series + random.normal(size=series.shape), series, naive=series[:, :1] + 1),
        ),
        (
            Question("anomaly", threshold=1.0, spread=2.0),
            Answered(random.gamma(2, 0.5, 300), labels[:, 0]),
        ),
    ]


@pytest.mark.parametrize(("question", "given"), every_kind(), ids=lambda one: getattr(one, "kind", ""))
def test_every_score_has_an_interval_of_that_very_score(question: Question, given: Answered) -> None:
    scores, statistics = score(question, given).values, STATISTICS[question.kind](question, given)

    found = confidence(question, given)

    assert set(found) == set(scores) - {"coverage_wanted", "naive_mae"}
    for name, ends in found.items():
        assert float(statistics[name].over(np.ones((1, 300)))[0]) == pytest.approx(scores[name], rel=1e-9)
        assert ends.low <= scores[name] <= ends.high
        assert ends.low < ends.high


def test_very_many_rows_are_resampled_in_part_and_the_interval_is_as_narrow_as_they_make_it() -> None:
    count = 4 * ROWS_MOST
    values = np.random.default_rng(0).normal(size=count)

    found = intervals({"mean": mean_of(values)}, np.zeros(count, np.int64))["mean"]

    assert found.deviation == pytest.approx(1 / np.sqrt(count), rel=0.2)
    assert RESAMPLES_LEAST >= 200


def test_very_many_labels_keep_the_scores_that_are_cheap() -> None:
    given = drawn(60, 200)

    assert set(confidence(Question("classification", tuple(map(str, range(60)))), given)) == {
        "accuracy",
        "log_loss",
        "brier",
        "ece",
    }


def test_a_resample_without_a_label_has_no_area_and_is_left_out() -> None:
    found = intervals({"roc_auc": Area(np.arange(3.0), np.array([False, False, True]))}, np.zeros(3))
    never = intervals({"roc_auc": Area(np.arange(3.0), np.zeros(3, bool))}, np.zeros(3))

    assert (found["roc_auc"].low, found["roc_auc"].high) == (1, 1)
    assert np.isnan(never["roc_auc"].low)


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize(("kept", "lowest"), [(1.0, 0.0), (0.6, 0.05)])
def test_the_interval_of_a_calibration_error_holds_that_of_many_rows(
    labels: int, kept: float, lowest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An honest model has an error of 0, which resamples alone never reach; `kept` of its certainty is true."""
    monkeypatch.setattr("trainer.judging.confidence.LABELS_DRAWN", 0)  # areas and the like take long

    def answered(rows: int, seed: int) -> Answered:
        random = np.random.default_rng(seed)
        said = random.dirichlet([0.7] * labels, rows)
        true = kept * said + (1 - kept) / labels
        draws = (true.cumsum(1) < random.random((rows, 1))).sum(1).clip(0, labels - 1)
        return Answered(said, draws)

    question = Question("classification", ("a", "b", "c")[:labels])
    many = answered(400_000, 1)
    wanted = calibration_error(many.answers.max(1), many.answers.argmax(1) == many.truth) if kept < 1 else 0.0
    found = [confidence(question, answered(200, seed), seed)["ece"] for seed in range(60)]

    assert wanted >= lowest
    assert np.mean([one.low <= wanted <= one.high for one in found]) >= 0.88
    if kept < 1:
        assert np.mean([one.low > 0 for one in found]) > 0.9
