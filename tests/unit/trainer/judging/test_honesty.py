"""Probabilities that mean what they say, and a threshold that costs the least."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.metrics import f1_score, fbeta_score, precision_score, recall_score

from trainer.judging.calibration import Tempering, tempering, untempered
from trainer.judging.honesty import Decided, calibration, decided
from trainer.judging.questions import Answered, Question
from trainer.judging.threshold import Counts, Rule, choose, counts_at, every_count

TWO = Question("classification", ("stays", "leaves"))
THREE = Question("classification", ("a", "b", "c"))


def honest(count: int = 400, labels: int = 3, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Numbers before softmax whose probabilities are the true ones, and labels drawn by them."""
    random = np.random.default_rng(seed)
    raw = 2 * random.normal(size=(count, labels))
    truth = np.array([random.choice(labels, p=row) for row in softmax(raw, axis=1)])
    return raw, truth


def test_an_overconfident_network_is_cooled_by_as_much_as_it_exaggerates() -> None:
    raw, truth = honest()

    found = tempering("classification", 3 * raw, truth)

    assert found.temperature == pytest.approx(3, rel=0.15)
    assert found.kept
    assert found.after < found.before


def test_a_network_that_doubts_too_much_becomes_surer() -> None:
    raw, truth = honest()

    assert tempering("classification", raw / 2, truth).temperature == pytest.approx(0.5, rel=0.15)


def test_several_labels_at_once_share_one_temperature() -> None:
    random = np.random.default_rng(3)
    raw = 2 * random.normal(size=(400, 2))
    truth = (random.uniform(size=raw.shape) < 1 / (1 + np.exp(-raw))).astype(np.int64)

    assert tempering("multilabel", 4 * raw, truth).temperature == pytest.approx(4, rel=0.15)


def test_without_mistakes_to_learn_from_no_network_becomes_surer() -> None:
    raw = np.eye(3)[np.arange(90) % 3] * 3

    assert tempering("classification", raw, np.arange(90) % 3).temperature == 1


def test_a_temperature_that_only_fits_by_chance_is_not_kept() -> None:
    kept = [tempering("classification", *honest(60, seed=seed), seed).kept for seed in range(20)]

    assert sum(kept) < 14  # a temperature fitted and judged on the same rows would be kept every time


@pytest.mark.parametrize(("kind", "rows"), [("classification", 39), ("regression", 400)])
def test_too_few_rows_or_values_are_left_as_they_are(kind: str, rows: int) -> None:
    raw, truth = honest(rows)

    assert not tempering(kind, 3 * raw, truth).kept  # type: ignore[arg-type]  # a parameter is any text


def test_what_was_said_without_the_temperature_can_be_had_back() -> None:
    raw, _ = honest()
    one = raw[:, :1]

    assert untempered("classification", softmax(raw / 3, axis=1), 3) == pytest.approx(softmax(raw, axis=1))
    assert untempered("multilabel", 1 / (1 + np.exp(-one / 3)), 3) == pytest.approx(1 / (1 + np.exp(-one)))


def test_the_error_before_and_after_is_told_on_rows_that_fitted_nothing() -> None:
    raw, truth = honest(2000, seed=5)
    found = tempering("classification", 3 * raw[:400], truth[:400])
    given = Answered(softmax(3 * raw[400:] / found.temperature, axis=1), truth[400:])

    told = calibration(THREE, given, found)

    assert told.before["ece"] > 0.1
    assert told.after["ece"] < 0.04
    assert told.after["log_loss"] == pytest.approx(
        -log_softmax(3 * raw[400:] / found.temperature, axis=1)[np.arange(1600), truth[400:]].mean()
    )
    assert sum(one.rows for one in told.bins) == 1600


def test_of_several_labels_each_counts_in_the_bins() -> None:
    question = Question("multilabel", ("a", "b"))
    given = Answered(np.array([[0.9, 0.2], [0.6, 0.5]]), np.array([[1, 0], [0, 1]]))

    told = calibration(question, given, Tempering())

    assert told.before == told.after
    assert sum(one.rows for one in told.bins) == 4


def scored(count: int = 300, seed: int = 2, share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.uniform(size=count) < share
    scores = 1 / (1 + np.exp(-(random.normal(size=count) + 2.2 * truth - 2.2)))
    return np.round(scores, 2), truth  # rounded, so that scores tie


def test_every_threshold_that_parts_the_rows_is_counted_once() -> None:
    scores, truth = scored()
    weights = np.random.default_rng(0).uniform(0.5, 2, 300)

    every = every_count(scores, truth, weights)

    assert len(every) == len(np.unique(scores)) + 1
    for one in every:
        plain = counts_at(one.threshold, scores, truth, weights)
        assert plain.true_positives == pytest.approx(one.true_positives)
        assert plain.false_positives == pytest.approx(one.false_positives)
        assert plain.rows == pytest.approx(one.rows) == pytest.approx(weights.sum())
    assert (every[0].recall, every[-1].recall) == (1, 0)


def test_counts_give_the_scores_of_scikit_learn() -> None:
    scores, truth = scored()
    one = counts_at(0.3, scores, truth)

    assert one.precision == pytest.approx(precision_score(truth, scores >= 0.3))
    assert one.recall == pytest.approx(recall_score(truth, scores >= 0.3))
    assert one.f_score(2) == pytest.approx(fbeta_score(truth, scores >= 0.3, beta=2))


def test_where_nothing_is_said_or_there_nothing_is_wrong_with_it() -> None:
    assert counts_at(0.9, np.array([0.1]), np.array([False])).precision == 1
    assert counts_at(0.9, np.array([0.1]), np.array([False])).recall == 1
    assert counts_at(0.9, np.array([0.1]), np.array([False])).f_score(1) == 0


def test_of_honest_probabilities_the_threshold_is_that_of_the_costs() -> None:
    random = np.random.default_rng(0)
    scores = random.uniform(size=3000) ** 3
    truth = random.uniform(size=3000) < scores

    assert choose(Rule(cost=(1, 20)), scores, truth).threshold == pytest.approx(1 / 21)
    assert choose(Rule(cost=(1, 1)), scores, truth).threshold == 0.5


def test_where_probabilities_lie_the_rows_decide() -> None:
    random = np.random.default_rng(0)
    honest = random.uniform(size=3000) ** 3
    truth = random.uniform(size=3000) < honest
    scores = honest / 10

    chosen = choose(Rule(cost=(1, 1)), scores, truth)

    assert chosen.threshold == pytest.approx(0.05, abs=0.01)
    assert chosen.cost(1, 1) < 0.8 * counts_at(0.5, scores, truth).cost(1, 1)


def test_a_few_rows_that_part_by_chance_decide_nothing() -> None:
    scores = np.concatenate([np.linspace(0, 0.05, 36), np.linspace(0.5, 1, 21)])

    assert choose(Rule(cost=(1, 20)), scores, np.arange(57) >= 36).threshold == pytest.approx(1 / 21)


def test_a_mistake_that_was_not_seen_is_still_expected() -> None:
    scores = np.concatenate([np.linspace(0, 0.6, 36), np.linspace(0.95, 1, 21)])

    chosen = choose(Rule(cost=(1, 20)), scores, np.arange(57) >= 36)

    assert (
        chosen.threshold < 0.2
    )  # between 0.6 and 0.95 no row would be wrong, but what lies there is unknown


def test_weighted_rows_count_as_often_in_what_is_saved() -> None:
    scores, truth = np.array([0.01, 0.2, 0.8, 0.99] * 25), np.array([False, False, True, True] * 25)

    assert choose(Rule(cost=(1, 1)), scores, truth, np.full(100, 2.0)).rows == 200


def test_a_mistake_that_costs_nothing_is_made() -> None:
    scores, truth = scored()

    assert choose(Rule(cost=(0, 1)), scores, truth).recall == 1
    assert choose(Rule(cost=(1, 0)), scores, truth).false_positives == 0


def test_a_threshold_stays_off_the_scores_it_parts() -> None:
    scores, truth = np.array([0.2, 0.8]), np.array([False, True])

    assert choose(Rule(beta=1), scores, truth).threshold == 0.5
    assert choose(Rule(beta=1), scores / 10, truth).threshold == pytest.approx(0.074)


def test_the_best_f_score_is_found() -> None:
    scores, truth = scored()
    best = max(f1_score(truth, scores >= limit, zero_division=0) for limit in np.linspace(0, 1, 1001))

    assert choose(Rule(beta=1), scores, truth).f_score(1) == pytest.approx(best)


def test_a_recall_is_reached_with_as_few_false_alarms_as_it_takes() -> None:
    scores, truth = scored()
    chosen = choose(Rule(recall=0.9), scores, truth)
    higher = [one for one in every_count(scores, truth) if one.threshold > chosen.threshold]

    assert chosen.recall >= 0.9
    assert all(one.recall < 0.9 for one in higher)


def test_a_precision_is_reached_with_as_many_found_as_it_allows() -> None:
    scores, truth = scored()
    chosen = choose(Rule(precision=0.8), scores, truth)

    assert chosen.precision >= 0.8
    assert chosen.recall == max(one.recall for one in every_count(scores, truth) if one.precision >= 0.8)


def test_a_precision_that_no_threshold_reaches_is_come_close_to() -> None:
    scores, truth = np.array([0.1, 0.5, 0.5, 0.9]), np.array([False, True, False, False])

    chosen = choose(Rule(precision=0.95), scores, truth)

    assert chosen.precision == pytest.approx(1 / 3)
    assert chosen.recall == 1


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule(cost=(1, 20)), "a false positive costs 1, a false negative 20"),
        (Rule(beta=2), "the highest F2"),
        (Rule(precision=0.9), "a precision of 0.9 or more"),
        (Rule(recall=0.9), "a recall of 0.9 or more"),
    ],
)
def test_a_rule_is_said_in_words(rule: Rule, words: str) -> None:
    assert rule.words == words


def both(scores: np.ndarray, truth: np.ndarray, positive: int) -> Answered:
    answers = np.stack([1 - scores, scores] if positive else [scores, 1 - scores], axis=1)
    return Answered(answers, np.where(truth, positive, 1 - positive))


@pytest.mark.parametrize("positive", [0, 1])
def test_a_threshold_means_the_same_whichever_label_is_looked_for(positive: int) -> None:
    checked, held_out = both(*scored(), positive), both(*scored(seed=9), positive)

    found = decided(Rule(cost=(1, 20)), positive, checked, held_out)
    second = held_out.answers[:, 1] >= found.threshold

    assert (second == positive).sum() == found.tried.true_positives + found.tried.false_positives
    assert found.tried.cost(1, 20) < found.even.cost(1, 20)
    told = found.as_data(("stays", "leaves"))
    assert told["positive"] == ("stays", "leaves")[positive]
    assert isinstance(told["held_out"], dict)
    assert told["held_out"]["cost"] == pytest.approx(found.tried.cost(1, 20), abs=1e-6)
    assert found.finding() is None


def test_a_threshold_of_few_positive_rows_is_a_rough_guess() -> None:
    few = Counts(0.3, 3, 1, 2, 50)
    finding = Decided(1, Rule(recall=0.5), few, few, few).finding()

    assert finding is not None
    assert "was chosen on 5 positive validation rows" in finding.says
    assert "cost" not in str(Decided(1, Rule(recall=0.5), few, few, few).as_data(("no", "yes")))
