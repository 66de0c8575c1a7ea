"""Groups of rows: how they are parted, what each scores, and which gap deserves a warning."""

from typing import Any

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, demographic_parity_difference, equalized_odds_difference
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, mean_absolute_error

from trainer.judging.fairness import audit, wilson
from trainer.judging.groups import grouping
from trainer.judging.questions import Answered, Question

TWO = Question("classification", ("refused", "granted"))


def rows(count: int = 2000, favoured: float = 0.0, seed: int = 1) -> tuple[Answered, list[str | None]]:
    """Rows of two groups whose truth is alike; one group is granted more often than it should be."""
    random = np.random.default_rng(seed)
    sex = random.choice(["f", "m"], count)
    truth = random.uniform(size=count) < 0.5
    second = np.clip(
        0.15 + 0.7 * truth + 0.3 * random.normal(size=count) + favoured * (sex == "m"), 0.01, 0.99
    )
    return Answered(np.stack([1 - second, second], axis=1), truth.astype(np.int64)), sex.tolist()


def test_equal_treatment_gives_no_warning() -> None:
    given, sex = rows()

    (found,) = audit(TWO, given, {"sex": sex}, bound=0.1)

    assert list(found.findings()) == []
    assert found.gaps["demographic_parity"] < 0.1
    assert found.gaps["demographic_parity"] <= found.by_chance["demographic_parity"] * 1.5


def test_a_favoured_group_is_warned_about_with_the_gap_in_numbers() -> None:
    given, sex = rows(favoured=0.25)
    said, group = given.answers[:, 1] >= 0.5, np.array(sex)

    (found,) = audit(TWO, given, {"sex": sex}, bound=0.1)

    parity = abs(said[group == "m"].mean() - said[group == "f"].mean())
    odds = max(
        abs(
            said[(group == "m") & (given.truth == true)].mean()
            - said[(group == "f") & (given.truth == true)].mean()
        )
        for true in (0, 1)
    )
    assert found.gaps["demographic_parity"] == pytest.approx(parity, abs=1e-6)
    assert found.gaps["equalised_odds"] == pytest.approx(odds, abs=1e-6)
    warnings = " ".join(map(str, found.findings()))
    assert f"the groups of sex differ by {parity:.2f} in how often a label is said" in warnings
    assert "chance alone" not in warnings
    assert all(finding.sign == "unequal groups" for finding in found.findings())


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gaps_between_labels_are_those_of_fairlearn(labels: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    truth, group = random.integers(0, labels, 900), random.choice(["a", "b", "c"], 900)
    answers = random.dirichlet(np.ones(labels), 900) + 0.4 * np.eye(labels)[truth] * (group == "a")[:, None]
    said, among = answers.argmax(1), (1,) if labels == 2 else tuple(range(labels))

    (found,) = audit(
        Question("classification", tuple("xyz"[:labels])), Answered(answers, truth), {"g": group.tolist()}, 1
    )

    each = [(truth == label, said == label) for label in among]
    wanted = {
        "demographic_parity": max(
            demographic_parity_difference(*one, sensitive_features=group) for one in each
        ),
        "equalised_odds": max(equalized_odds_difference(*one, sensitive_features=group) for one in each),
        "accuracy": MetricFrame(
            metrics=accuracy_score, y_true=truth, y_pred=said, sensitive_features=group
        ).difference(),
    }
    assert found.gaps == pytest.approx(wanted, abs=1e-6)


def test_gaps_between_values_are_those_of_fairlearn() -> None:
    random = np.random.default_rng(4)
    truth, group = random.normal(10, 3, 600), random.choice(["a", "b"], 600)
    answers = truth + random.normal(0, 1, 600) + 0.5 * (group == "a")

    (found,) = audit(Question("regression", ()), Answered(answers, truth), {"g": group.tolist()}, 1)

    rates = {"error": mean_absolute_error, "bias": lambda true, told: float(np.mean(told - true))}
    frame = MetricFrame(metrics=rates, y_true=truth, y_pred=answers, sensitive_features=group)
    gaps = frame.difference()
    wanted = {"error": gaps["error"] / frame.overall["error"], "bias": gaps["bias"] / truth.std()}
    assert found.gaps == pytest.approx(wanted, abs=1e-6)


def test_each_group_is_counted_and_scored_with_an_interval() -> None:
    given, sex = rows()
    group = np.array(sex)

    (found,) = audit(TWO, given, {"sex": sex}, bound=0.1)

    first = found.groups[0]
    right = (given.answers.argmax(1) == given.truth)[group == "f"]
    assert (first["group"], first["rows"]) == ("f", int((group == "f").sum()))
    assert first["scores"]["accuracy"] == pytest.approx(right.mean(), abs=1e-6)
    assert set(first["scores"]) == {"accuracy", "said granted", "rightly", "wrongly"}
    low, high = first["intervals"]["accuracy"]
    assert low < right.mean() < high


def test_an_interval_of_a_rate_is_wilsons() -> None:
    wanted = binomtest(7, 20).proportion_ci(0.95, method="wilson")

    assert wilson(0.35, 20) == pytest.approx([wanted.low, wanted.high], abs=1e-4)
    assert wilson(0.0, 10)[0] == 0


def test_a_group_of_few_rows_is_shown_and_counts_for_no_gap() -> None:
    given, sex = rows(300)
    sex[:10] = ["x"] * 10
    truth = given.truth.copy()
    truth[:10] = 1 - given.answers[:10].argmax(1)

    (found,) = audit(TWO, Answered(given.answers, truth), {"sex": sex}, bound=0.1)

    few = next(group for group in found.groups if group["group"] == "x")
    assert few["few"]
    assert found.gaps["accuracy"] < 0.3


def test_a_gap_that_chance_explains_says_so() -> None:
    given, _ = rows(60, seed=3)
    third = ["a", "b"] * 30

    (found,) = audit(TWO, given, {"half": third}, bound=0.01)

    assert "with so few rows chance alone gives up to" in " ".join(map(str, found.findings()))


def test_one_group_alone_has_no_gap() -> None:
    given, _ = rows(100)

    (found,) = audit(TWO, given, {"all": ["a"] * 100}, bound=0.1)

    assert "accuracy" not in found.gaps
    assert list(found.findings()) == []


def test_a_threshold_counts_for_what_is_said() -> None:
    given, sex = rows(400)

    (found,) = audit(Question("classification", TWO.labels, threshold=0.0), given, {"sex": sex}, bound=0.1)

    assert [group["scores"]["said granted"] for group in found.groups] == [1, 1]


def test_of_several_labels_the_worst_gap_counts() -> None:
    question = Question("classification", ("a", "b", "c"))
    truth = np.arange(300) % 3
    group = ["x" if at < 150 else "y" for at in range(300)]
    said = truth.copy()
    said[:75] = 2

    (found,) = audit(question, Answered(np.eye(3)[said], truth), {"group": group}, bound=0.1)

    assert found.gaps["demographic_parity"] == pytest.approx((75 + 25) / 150 - 50 / 150, abs=0.01)
    assert set(found.groups[0]["scores"]) == {"accuracy"}


def test_values_are_compared_by_their_errors() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=400)
    group = np.array(["a", "b"] * 200)
    answers = truth + 0.1 * random.normal(size=400) + 0.5 * (group == "b")

    (found,) = audit(
        Question("regression"), Answered(answers[:, None], truth), {"group": group.tolist()}, bound=0.2
    )

    assert found.gaps["bias"] == pytest.approx(0.5 / truth.std(), abs=0.05)
    assert found.groups[1]["scores"]["mean error"] == pytest.approx(0.5, abs=0.05)
    assert {finding.says.split(" in ")[1].split(",")[0] for finding in found.findings()} == {
        "their mean absolute error",
        "their mean error",
    }


def test_a_question_without_rates_is_not_audited() -> None:
    assert (
        audit(Question("forecast"), Answered(np.zeros((3, 2)), np.zeros((3, 2))), {"g": ["a"] * 3}, 0.1) == ()
    )


def test_very_many_rows_are_dealt_out_fewer_times() -> None:
    given, sex = rows(50_000)

    (found,) = audit(TWO, given, {"sex": sex}, bound=0.1)

    assert found.by_chance["accuracy"] < 0.02


PARTED: list[tuple[list[Any], list[str]]] = [
    (["m", "f", None, "m"], ["f", "m", "missing"]),
    (["1", "0", "1"], ["0", "1"]),
    (
        [str(at) for at in range(20)] + [None],
        ["under 4.75", "4.75 to 9.5", "9.5 to 14.25", "14.25 and over", "missing"],
    ),
    ([f"city {at}" for at in range(30)], [*sorted(f"city {at}" for at in range(11)), "others"]),
]


@pytest.mark.parametrize(("values", "names"), PARTED)
def test_rows_are_parted_by_text_by_quarters_and_the_rest_together(
    values: list[Any], names: list[str]
) -> None:
    found = grouping(values)

    assert list(found.names) == names
    assert len(found.codes) == len(values)
    assert set(found.codes.tolist()) == set(range(len(names)))
