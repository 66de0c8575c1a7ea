"""The verdict is right where it should find something and silent where it should not."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from tests.unit.trainer.judging.evidence import LABELS, VALUES, evidence, labels, part, rows, scored, sure
from trainer.judging import amount, course, leakage, mislabelled
from trainer.judging.data_curve import data_curve
from trainer.judging.diagnosis import diagnose
from trainer.judging.evidence import Course, Evidence, Part, Size, constant_loss, constant_score
from trainer.judging.findings import Finding
from trainer.judging.forest import forest_scores
from trainer.judging.questions import Answered, Array, Question, Scores


def found(of: Evidence) -> set[str]:
    return {finding.sign for finding in diagnose(of).signs}


def said(findings: Any) -> str:
    return " ".join(map(str, findings))


def test_a_model_without_anything_remarkable_is_good() -> None:
    diagnosis = diagnose(evidence())

    assert (diagnosis.verdict, diagnosis.signs) == ("good", ())
    assert len(diagnosis.findings) == 1
    assert "for the linear baseline" in diagnosis.findings[0]


SCORED = {
    "good": ((0.97, 0.96, 0.95), "0.960 on those held out (give or take 0.020 by chance)"),
    "overfitting": ((1.0, 0.8, 0.8), "take more dropout or weight_decay"),
    "underfitting": ((0.6, 0.6, 0.9), "than the linear baseline knows new ones (0.900): take more epochs"),
    "no signal": ((0.52, 0.5, 0.51), "the features seem to tell nothing about the target"),
}


@pytest.mark.parametrize("verdict", SCORED)
def test_a_verdict_says_what_is_wrong_and_what_to_do(verdict: str) -> None:
    (own, new, plain), words = SCORED[verdict]

    diagnosis = diagnose(
        evidence(on_train=scored(own), on_held_out=scored(new), baseline=scored(plain), constant=0.5)
    )

    assert diagnosis.verdict == verdict
    assert words in said(diagnosis.findings)
    assert diagnosis.gap == pytest.approx(own - new)


def test_held_out_rows_that_are_easy_for_all_make_no_underfitting() -> None:
    lucky = evidence(on_train=scored(0.91), on_held_out=scored(0.98), baseline=scored(0.98))

    assert diagnose(lucky).verdict == "good"


def test_answers_that_only_rank_rows_are_a_signal_where_their_order_is_no_chance() -> None:
    ranks, guesses = (
        evidence(
            on_train=ranked(0.96, area),
            on_held_out=ranked(0.96, area),
            baseline=ranked(0.96, area),
            constant=0.96,
        )
        for area in (0.75, 0.55)
    )

    assert (diagnose(ranks).verdict, diagnose(guesses).verdict) == ("good", "no signal")


def test_a_network_that_orders_rows_by_chance_where_a_simple_model_does_not_is_underfitted() -> None:
    blind, level = (
        evidence(
            on_train=ranked(0.75, own),
            on_held_out=ranked(0.75, own),
            baseline=ranked(0.75, 0.75),
            constant=0.75,
        )
        for own in (0.51, 0.7)
    )

    told = said(diagnose(blind).findings)
    assert (diagnose(blind).verdict, diagnose(level).verdict) == ("underfitting", "good")
    assert "than chance (area under the ROC curve 0.510), the linear baseline does (0.750)" in told


def ranked(accuracy: float, area: float) -> Scores:
    return Scores(
        {"accuracy": accuracy, "roc_auc": area}, classes={label: {"recall": 0.5} for label in LABELS.labels}
    )


def test_where_chance_moves_a_score_far_nobody_calls_a_coin_good() -> None:
    of = evidence(
        on_train=scored(0.55), on_held_out=scored(0.45), baseline=scored(0.5), constant=0.5, noise=0.07
    )

    assert diagnose(of).verdict == "too little data"
    assert "chance alone moves a score by 0.070" in said(diagnose(of).findings)


def test_a_gap_that_chance_explains_is_no_overfitting() -> None:
    of = evidence(on_train=scored(0.9), on_held_out=scored(0.8), baseline=scored(0.8), noise=0.06)

    assert diagnose(of).verdict == "good"


def test_a_forest_shows_that_more_could_be_learned_where_a_line_cannot() -> None:
    of = evidence(on_train=scored(0.7), on_held_out=scored(0.7), baseline=scored(0.7), forest=scored(0.97))

    assert diagnose(of).verdict == "underfitting"
    assert "than a forest knows new ones (0.970)" in said(diagnose(of).findings)


def test_a_forest_finds_what_is_not_linear_and_nothing_in_noise() -> None:
    x = rows(400, 2)
    corners = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    noise = np.random.default_rng(5).integers(0, 2, 400)

    scores = [
        forest_scores(LABELS, part(x[:300], truth[:300]), part(x[300:], truth[300:]))
        for truth in (corners, noise)
    ]

    assert scores[0] is not None
    assert scores[1] is not None
    assert scores[0].values["accuracy"] > 0.9
    assert scores[1].values["accuracy"] < 0.65


def test_a_forest_of_values_and_none_of_what_it_cannot_answer() -> None:
    x = rows(300)
    whole = part(x, x[:, 0] ** 2, x[:, :1])
    scores = forest_scores(VALUES, whole, whole)

    assert scores is not None
    assert scores.values["r2"] > 0.8
    assert forest_scores(Question("forecast"), whole, whole) is None


def test_a_label_that_the_forest_never_saw_has_no_probability() -> None:
    x = rows(40)
    scores = forest_scores(
        Question("classification", ("a", "b", "c")), part(x, labels(x)), part(x, labels(x))
    )

    assert scores is not None
    assert scores.values["accuracy"] > 0.5


def signs_of(losses: list[float], **facts: Any) -> set[str]:
    facts = {"best": len(losses)} | facts
    return {finding.sign for finding in course.signs(Course(tuple(losses), tuple(losses), **facts))}


FALLING = [0.9**epoch for epoch in range(20)]
SETTLING = [0.3 + 0.5**epoch for epoch in range(20)]


def test_training_that_ended_while_it_still_paid_is_told() -> None:
    assert signs_of(FALLING) == {"not converged"}
    assert signs_of(SETTLING) == set()
    assert signs_of(FALLING, stopped_early=True) == set()
    assert signs_of(FALLING, best=10) == set()
    assert signs_of(FALLING[:4]) == set()
    assert signs_of([0.7 - 0.01 * epoch for epoch in range(10)]) == {"not converged"}


def test_a_loss_that_leaps_had_too_large_steps() -> None:
    random = np.random.default_rng(0)
    leaping = list(0.8 + 0.5 * random.uniform(-1, 1, 30))
    wavering = list(0.5 + 0.03 * random.uniform(-1, 1, 30))
    nearly_nothing = list(0.7 * np.exp(-np.arange(30.0)) + 1e-4 * random.uniform(0.1, 2, 30))

    assert "learning rate too high" in signs_of(leaping, best=3, chance=0.69)
    assert signs_of(wavering, best=3, chance=0.69) == set()
    assert signs_of(nearly_nothing, best=3, chance=0.69) == set()


def test_a_first_epoch_far_worse_than_chance_had_too_large_steps() -> None:
    assert "learning rate too high" in signs_of([40.0, 3.0, 0.8, 0.7, 0.6, 0.6], best=5, chance=0.69)
    assert signs_of([0.9, 0.8, 0.7, 0.65, 0.6, 0.6], best=5, chance=0.69) == set()


def test_a_validation_loss_that_rose_is_told_beside_the_gap() -> None:
    turned = Course((0.7, 0.3, 0.1, 0.05, 0.02, 0.01), (0.7, 0.5, 0.6, 0.7, 0.8, 0.9), 2)
    of = evidence(on_train=scored(1.0), on_held_out=scored(0.7), baseline=scored(0.7), course=turned)

    assert "after epoch 2 the validation loss rose from 0.5 to 0.9" in said(diagnose(of).findings)


def test_few_rows_are_told_whether_held_out_or_learned_from() -> None:
    few = part(rows(20, seed=3), labels(rows(20, seed=3)))
    little = part(rows(30), labels(rows(30)))

    assert "only 20 rows were held out" in said(amount.signs(evidence(held_out=few)))
    assert "only 30 rows to learn from" in said(amount.signs(evidence(train=little)))
    assert "too little data" not in found(evidence())


def test_the_curve_over_the_rows_says_whether_more_would_help() -> None:
    climbing = tuple(Size(rows, score) for rows, score in ((25, 0.6), (50, 0.7), (100, 0.78), (200, 0.86)))
    flat = tuple(Size(rows, score) for rows, score in ((25, 0.8), (50, 0.86), (100, 0.861), (200, 0.86)))

    assert "more rows will help" in said(amount.climbing(evidence(sizes=climbing)))
    assert diagnose(evidence(sizes=climbing)).verdict == "too little data"
    assert "would hardly help" in said(amount.climbing(evidence(sizes=flat)))
    assert diagnose(evidence(sizes=flat)).verdict == "good"
    assert not list(amount.climbing(evidence(sizes=flat[2:])))


def test_a_climb_that_chance_explains_is_no_climb() -> None:
    sizes = (Size(50, 0.82), Size(100, 0.83), Size(200, 0.86))

    assert not list(amount.climbing(evidence(sizes=sizes, noise=0.025)))


def test_a_rare_label_is_told_with_what_always_saying_the_other_would_reach() -> None:
    x = rows(400)
    truth = (x[:, 0] > 2).astype(np.int64)
    never = np.tile([0.9, 0.1], (400, 1))
    told = said(amount.imbalance(evidence(part(x, truth, never), part(x, truth, never))))

    assert "'yes' is 2." in told
    assert "of the held-out rows that are 'yes' it finds 0%" in told
    assert "set class weights, or a decision with a cost" in told


def test_a_label_that_is_answered_for_every_row_is_told() -> None:
    x = rows(200)
    truth = labels(x)
    always = np.tile([0.6, 0.4], (200, 1))
    one = part(x, truth, always)

    told = said(amount.imbalance(evidence(one, one)))

    assert "every row held out is answered 'no', so that its accuracy is that of saying so always" in told
    assert "has an area under the ROC curve of 0.500" in told
    assert not list(amount.imbalance(evidence(one, one, decided=scored(0.7))))


def test_labels_that_are_many_or_nearly_even_are_not_imbalanced() -> None:
    digits = load_digits()
    many = Question("classification", tuple(map(str, range(10))))
    whole = part(digits.data[:, :3], digits.target, np.eye(10)[digits.target])

    assert not list(amount.imbalance(evidence(whole, whole, question=many)))
    assert not list(amount.imbalance(evidence()))


def with_column(features: Array, column: Array) -> Array:
    return np.column_stack([features, column])


def test_a_feature_that_tells_the_answer_alone_is_suspected() -> None:
    x = rows(300)
    truth = labels(x)
    told = with_column(x, truth * 2.0 + np.random.default_rng(0).normal(size=300) * 0.01)

    of = evidence(part(told, truth, sure(x)))

    assert diagnose(of).verdict == "leakage suspected"
    assert "d (1.000)" in said(leakage.lone_feature(of))
    assert not list(leakage.lone_feature(evidence(part(x, truth))))


def test_a_value_that_is_the_target_in_another_unit_is_suspected() -> None:
    x = rows(400)
    truth = x[:, 0] + x[:, 1]
    whole = part(with_column(x, 32 + 1.8 * truth), truth, truth[:, None])

    assert "of R2" in said(leakage.lone_feature(evidence(whole, whole, question=VALUES)))


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "iris", "digits", "diabetes"])
def test_real_data_without_a_leak_is_not_suspected(name: str) -> None:
    data = {
        "breast_cancer": load_breast_cancer,
        "wine": load_wine,
        "iris": load_iris,
        "digits": load_digits,
        "diabetes": load_diabetes,
    }[name]()
    labelled = name != "diabetes"
    names = tuple(map(str, range(data.data.shape[1])))
    question = Question("classification", tuple(map(str, np.unique(data.target)))) if labelled else VALUES
    answers = np.eye(len(question.labels))[data.target] if labelled else data.target[:, None]
    random = np.random.default_rng(0)
    halves = [random.permutation(len(data.data))[at::2] for at in (0, 1)]
    first, second = (
        Part(data.data[half], Answered(answers[half], data.target[half]), names)
        for half in (halves[0], np.setdiff1d(np.arange(len(data.data)), halves[0]))
    )

    of = evidence(first, second, question=question)

    assert not list(leakage.lone_feature(of))
    assert not list(leakage.twins(of))
    assert not list(leakage.identifiers(of.train))
    assert not list(leakage.times(of.train))


def test_where_many_features_tell_the_answer_none_is_suspected() -> None:
    truth = np.arange(200) % 2
    x = rows(200, 5) * 0.01 + truth[:, None]

    assert not list(leakage.lone_feature(evidence(part(x, truth))))


def test_no_feature_tells_an_anomaly_whose_truth_nobody_knows() -> None:
    anomalies, x = Question("anomaly"), rows(columns=2)
    few = part(x, np.zeros(len(x)), np.square(x).mean(1))

    assert list(leakage.lone_feature(evidence(train=few, held_out=few, question=anomalies))) == []


def test_too_few_rows_say_nothing_about_a_feature() -> None:
    truth = np.arange(20) % 2

    assert not list(leakage.lone_feature(evidence(part(truth[:, None] * 1.0, truth, np.eye(2)[truth]))))


def test_of_very_many_features_the_telling_one_is_found() -> None:
    x = rows(200, 100)
    truth = labels(x[:, :3])
    x[:, 77] = truth
    whole = Part(x, Answered(sure(x[:, :3]), truth), tuple(map(str, range(100))))

    assert "77 (1.000)" in said(leakage.lone_feature(evidence(whole)))


def test_rows_that_are_on_both_sides_are_counted_and_left_out_of_the_score() -> None:
    x, new = rows(300), rows(100, seed=3)
    new[:40] = x[:40]
    truth, wanted = labels(x), labels(new)
    answers = sure(new)
    answers[:40] = np.eye(2)[wanted[:40]]
    told = said(leakage.twins(evidence(part(x, truth), part(new, wanted, answers))))

    assert (
        "40 of 100 held-out rows have the same features as a training row; without them accuracy is" in told
    )


def test_rows_of_few_values_repeat_by_nature() -> None:
    x, new = (np.random.default_rng(seed).integers(0, 3, (200, 2)).astype(float) for seed in (1, 2))

    assert not list(leakage.twins(evidence(part(x, labels(x)), part(new, labels(new)))))


def test_where_every_held_out_row_is_a_twin_there_is_no_rest_to_score() -> None:
    whole = part(rows(), labels(rows()))

    assert "without them" not in said(leakage.twins(evidence(whole, whole)))


def test_a_feature_that_numbers_the_rows_is_an_identifier() -> None:
    x = rows(100)
    counted = np.random.default_rng(0).permutation(100) * 3.0
    as_key = 1000 - 7.0 * np.arange(100)

    assert "feature d" in said(leakage.identifiers(part(with_column(x, counted), labels(x))))
    assert "feature d" in said(leakage.identifiers(part(with_column(x, as_key), labels(x))))
    assert not list(leakage.identifiers(part(with_column(x, counted // 6), labels(x))))
    assert not list(leakage.identifiers(part(with_column(x, counted**2), labels(x))))


def test_a_feature_that_is_the_number_in_the_key_is_not_said_to_be_another_in_every_row() -> None:
    x, as_key = rows(100), 1000 - 7.0 * np.arange(100)
    as_key[:5] = 50

    told = said(leakage.identifiers(part(with_column(x, as_key), labels(x))))

    assert "feature d is the number in the row's own key and looks like an identifier" in told


def test_a_key_without_a_number_is_no_identifier() -> None:
    assert np.isnan(leakage.key_number("user:ada"))
    assert leakage.key_number("user:17") == 17


@pytest.mark.parametrize("unit", [1, 1000])
def test_a_feature_that_is_a_unix_time_is_told(unit: int) -> None:
    x = rows(100)
    moments = (1.7e9 + 86_400 * np.arange(100)) * unit
    ages = 86_400.0 * np.arange(100) * unit

    assert "looks like a point in time" in said(leakage.times(part(with_column(x, moments), labels(x))))
    assert not list(leakage.times(part(with_column(x, ages), labels(x))))


def test_a_score_without_a_mistake_is_doubted_where_there_were_rows_to_fail_on() -> None:
    x = rows(100)
    truth = labels(x)
    perfect = part(x, truth, np.eye(2)[truth])
    few = part(x[:30], truth[:30], np.eye(2)[truth[:30]])

    assert "not one of 100 held-out rows is wrong" in said(leakage.perfection(evidence(held_out=perfect)))
    assert not list(leakage.perfection(evidence(held_out=few)))
    assert not list(leakage.perfection(evidence()))


def test_labels_that_were_changed_at_random_are_noticed() -> None:
    x = 3 * rows(400, seed=3)
    random = np.random.default_rng(6)
    truth = labels(x, noise=0.1)
    flipped = np.where(random.uniform(size=400) < 0.15, 1 - truth, truth)
    # What an honest model says of such labels: it is never surer than 85%.
    answers = 0.15 + 0.7 * sure(x)

    told = said(mislabelled.signs(evidence(held_out=part(x, flipped, answers), constant=0.5)))

    assert "check the labels, first of row:" in told


def test_labels_that_overlap_are_not_taken_for_wrong() -> None:
    for seed in range(5):
        x = rows(400, seed=seed)
        of = evidence(held_out=part(x, labels(x, seed=seed + 50)), constant=0.5)

        assert not list(mislabelled.signs(of))


def test_mistakes_of_a_model_that_knows_nothing_say_nothing_about_labels() -> None:
    x = rows(200)
    nothing = np.random.default_rng(0).dirichlet([1, 1], 200)

    assert not list(mislabelled.sure_mistakes(evidence(held_out=part(x, labels(x), nothing), constant=0.5)))


def test_rows_alike_with_other_labels_are_counted() -> None:
    x = rows(200)
    x[:10] = x[10:20]
    truth = labels(x)
    truth[:10] = 1 - truth[10:20]

    told = said(mislabelled.conflicts(evidence(part(x, truth))))

    assert "20 of 200 training rows have a twin with the same features and another label" in told
    assert not list(mislabelled.conflicts(evidence()))


def test_a_target_far_off_from_all_others_is_named() -> None:
    x = rows(200)
    truth = x.sum(1) + 0.1 * rows(200, 1, seed=9)[:, 0]
    spoilt = truth.copy()
    spoilt[7] = 1e4
    answers = x.sum(1)[:, None]

    def told(targets: Array) -> str:
        return said(
            mislabelled.signs(evidence(part(x, targets, answers), part(x, targets, answers), question=VALUES))
        )

    assert f"first of row:{1000 - 49}" in told(spoilt)
    assert told(truth) == ""


def test_targets_of_which_a_few_are_many_times_the_others_are_told_to_be_learned_as_logarithms() -> None:
    x = rows(400)

    def told(targets: Array) -> str:
        whole = part(x, targets, targets[:, None] * 0)
        return said(mislabelled.signs(evidence(whole, whole, question=VALUES)))

    far = told(np.exp(2.0 * x.sum(1)))
    assert "half of the targets are below" in far
    assert "learn the logarithm" in far
    assert "check the targets" not in far
    assert "logarithm" not in told(np.exp(0.5 * x.sum(1)))
    assert "logarithm" not in told(np.exp(2.0 * x.sum(1)) - 0.01)


def test_rows_that_chose_the_best_epoch_count_as_new() -> None:
    checked = part(rows(50, seed=8), labels(rows(50, seed=8)))

    assert len(evidence(checked=checked).unseen) == 250


def test_what_else_was_found_is_part_of_the_findings() -> None:
    unequal = Finding("unequal groups", "the groups differ", "look at them")

    diagnosis = diagnose(evidence(), (unequal,))

    assert diagnosis.findings[-1] == "the groups differ: look at them"
    assert diagnosis.verdict == "good"


def test_the_best_constant_answer_is_known_for_labels_and_values() -> None:
    truth = np.array([0, 0, 0, 1])

    assert constant_score(LABELS, truth, np.array([0, 1])) == 0.5
    assert constant_score(VALUES, truth, truth) == 0
    assert np.isnan(constant_score(Question("multilabel"), truth, truth))
    assert constant_loss(LABELS, truth) == pytest.approx(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    assert constant_loss(VALUES, truth) == 1
    assert constant_loss(Question("forecast"), truth) is None


def test_a_question_without_a_headline_is_judged_by_the_rest() -> None:
    scores = np.abs(rows(60, 1))
    whole = Part(rows(60), Answered(scores, None), ("a", "b", "c"))
    half = Scores({"mean_score": 0.5})
    of = Evidence(Question("anomaly"), whole, whole, half, half, half, 0.0, Course((1.0, 0.5)))

    assert np.isnan(of.own)


def test_a_data_curve_ends_with_all_rows_and_leaves_out_what_came_to_nothing() -> None:
    sizes = data_curve(Size(200, 0.9), lambda rows: np.nan if rows == 50 else rows / 250, 60, 1)
    short = data_curve(Size(200, 0.9), lambda rows: rows / 250, 0.4, 1)

    assert sizes == (Size(25, 0.1), Size(100, 0.4), Size(200, 0.9))
    assert [size.rows for size in short] == [25, 50, 200]
    assert [size.rows for size in data_curve(Size(30, 0.9), lambda rows: rows / 60, 60, 1)] == [15, 30]


def forecasts(error: float, naive: float, count: int = 200) -> Part:
    """Forecasts of two steps that err so much, where the last known value errs so much."""
    random = np.random.default_rng(5)
    truth = random.normal(size=(count, 2, 1)).astype(np.float32)
    said, last = (truth + size * random.choice([-1, 1], truth.shape) for size in (error, naive))
    return Part(
        rows(count), Answered(said, truth, naive=last, keys=tuple(map(str, range(count)))), tuple("abc")
    )


@pytest.mark.parametrize(
    ("own", "new", "signs"),
    [
        (0.4, 0.4, set()),
        (0.4, 0.51, set()),
        (0.4, 0.6, {"overfitting"}),
        (0.6, 0.6, {"underfitting"}),
    ],
)
def test_a_forecast_that_errs_more_than_the_last_known_value_is_not_good(
    own: float, new: float, signs: set[str]
) -> None:
    made = evidence(forecasts(own, 0.5), forecasts(new, 0.5), question=Question("forecast"), noise=0.2)

    assert found(made) & {"overfitting", "underfitting"} == signs
    told = f"it errs {new / 0.5:.3g} times as much as saying the last known value again"
    assert (told in said(diagnose(made).findings)) == bool(signs)
