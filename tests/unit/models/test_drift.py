"""How far rows are from a profile, and how much of that is chance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from models.columns import Column
from models.drift import Drift, chi_square, compare, drift, psi
from models.privacy import OPEN, Privacy
from models.profiles import NOT_LISTED, Profile, part

PLANS = ("free", "paid", "gold")


def column(values: Any, name: str = "age", **facts: Any) -> Column:
    numbers = np.asarray(values)
    return Column(name, numbers, facts.pop("rows", len(numbers)), **facts)


def between(then: Any, now: Any, many: int = 1, **facts: Any) -> Drift:
    return drift(part(column(then, **facts), OPEN), column(now, **facts), many, OPEN)


def by_hand(then: Sequence[float], now: Sequence[float]) -> float:
    """Return the index by its definition, half a row added to each bin."""
    total = 0.0
    for before, after in zip(then, now, strict=True):
        a = (before + 0.5) / (sum(then) + 0.5 * len(then))
        b = (after + 0.5) / (sum(now) + 0.5 * len(now))
        total += (b - a) * float(np.log(b / a))
    return total


def test_the_index_is_that_of_its_definition_over_the_tenths_of_training() -> None:
    random = np.random.default_rng(0)
    then, now = random.normal(0, 1, 500).astype(np.float32), random.normal(0.7, 1.5, 300).astype(np.float32)
    ends = np.sort(then)[49:499:50]
    counts = [
        int(((now > low) & (now <= high)).sum())
        for low, high in zip([-np.inf, *ends], [*ends, np.inf], strict=True)
    ]

    found = between(then, now)

    assert found.psi == pytest.approx(by_hand([50] * 10, [*map(float, counts)]), rel=1e-12)
    gaps = [abs((then <= end).mean() - (now <= end).mean()) for end in ends]
    assert found.ks == pytest.approx(max(gaps), abs=1e-12)
    assert found.outside == pytest.approx(((now < then.min()) | (now > then.max())).mean())
    assert found.verdict == "drifted"


def test_the_same_rows_are_stable_to_the_last_digit() -> None:
    values = np.random.default_rng(1).normal(0, 1, 1000).astype(np.float32) / 3

    found = between(values, values)

    assert (found.psi, found.ks, found.outside, found.verdict) == (0, 0, 0, "stable")
    assert sum(found.drawn[0]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("share", "degrees", "exact"),  # of scipy.stats.chi2.ppf
    [(0.95, 9, 16.919), (0.999, 9, 27.877), (0.9997, 9, 31.144), (0.99, 1, 6.635), (0.99, 30, 50.892)],
)
def test_a_chi_square_number_is_nearly_the_exact_one(share: float, degrees: int, exact: float) -> None:
    assert chi_square(share, degrees) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("rows", [30, 50, 200, 2000])
def test_rows_without_drift_are_called_drifted_in_no_more_reports_than_are_promised(rows: int) -> None:
    random = np.random.default_rng(rows)
    features, reports = 20, 20
    loud, sizes, expected = 0, [], 0.0
    for _ in range(reports):
        for _ in range(features):
            found = between(random.normal(size=400), random.normal(size=rows), features)
            sizes.append(found.psi)
            expected = found.expected
            loud += found.verdict in ("shifted", "drifted")

    assert loud <= 2  # of 20 reports 0.2 are promised
    assert np.mean(sizes) == pytest.approx(expected, rel=0.2)


def test_a_category_that_is_new_is_named_with_its_share() -> None:
    then, now = [0] * 60 + [1] * 40, [0] * 50 + [1] * 30 + [2] * 15 + [3] * 5

    found = between(then, now, categories=PLANS)

    assert found.new == (("gold", 0.15), (NOT_LISTED, 0.05))
    assert found.psi == pytest.approx(by_hand([60, 40, 0], [50, 30, 20]), rel=1e-12)
    assert found.drawn == ((0.6, 0.4, 0.0), (0.5, 0.3, 0.2))
    assert (found.ks, found.verdict) == (None, "drifted")


def test_categories_of_which_none_could_be_kept_are_compared_with_nothing() -> None:
    found = between([0, 1, 2], [0, 1, 2], categories=PLANS)

    assert (found.psi, found.verdict) == (0, "chance")


def test_numbers_that_are_gone_are_a_bin_of_their_own() -> None:
    then = column(np.arange(100.0))
    half = column(np.arange(0.0, 100, 2), rows=100, absent=50)

    found = drift(part(then, OPEN), half, 1, OPEN)

    assert found.psi == pytest.approx(by_hand([10] * 10 + [0], [5] * 10 + [50]), rel=1e-12)
    assert found.verdict == "drifted"
    assert found.ks == pytest.approx(0, abs=1e-12)


def test_where_all_are_gone_nothing_is_drawn_and_where_nothing_was_looked_at_it_is_absent() -> None:
    then = part(column(np.arange(100.0)), OPEN)

    gone, nothing = drift(then, column([], rows=100, absent=100), 1, OPEN), drift(then, column([]), 1, OPEN)

    assert (gone.verdict, gone.ks, gone.drawn) == ("drifted", None, ((), ()))
    assert nothing.verdict == drift(then, None, 1, OPEN).verdict == "absent"


def test_a_constant_that_changes_has_drifted_and_one_that_stays_has_not() -> None:
    assert between(np.full(100, 3.0), np.full(100, 3.0)).psi == 0
    assert between(np.full(100, 3.0), np.full(100, 4.0)).verdict == "drifted"
    assert between(np.full(100, 3), np.full(100, 2)).verdict == "drifted"


def test_many_steps_of_few_rows_are_as_few_as_their_rows() -> None:
    steps = np.random.default_rng(3).normal(size=5000)
    then, now = column(steps, rows=100), column(steps + 0.5, rows=20)

    found = drift(part(then, OPEN), now, 1, OPEN)

    assert found.expected == pytest.approx(9 * (1 / 100 + 1 / 20))
    assert found.verdict == "chance"


def test_the_verdict_is_in_the_words_of_the_index() -> None:
    random = np.random.default_rng(7)
    then = random.normal(size=5000)

    assert between(then, random.normal(0.4, 1, 5000)).verdict == "shifted"
    assert between(then, random.normal(0, 1, 40)).verdict == "chance"
    assert psi(np.array([1.0, 2]), np.array([2.0, 4])) == pytest.approx(by_hand([1, 2], [2, 4]))


def test_a_report_has_the_worst_first_and_knows_private_features() -> None:
    ages, plans = np.arange(200.0), np.array([0, 1] * 100)
    columns = [column(plans, "plan", categories=PLANS), column(ages)]
    privacy = Privacy(["age"])
    profile = Profile.made("", columns, [column(ages, "value")], privacy)

    report = compare(profile, [columns[0], column(ages * 10)], [], privacy)

    assert [(one.name, one.verdict) for one in report.features] == [
        ("private 1", "drifted"),
        ("plan", "stable"),
    ]
    assert [(one.name, one.verdict) for one in report.answers] == [("value", "absent")]


def test_rows_so_few_that_nothing_of_them_was_drawn_are_compared_all_the_same() -> None:
    found = between(np.arange(12.0), np.arange(12.0))

    assert (found.psi, found.verdict) == (0, "chance")  # a single bin: nobody can call it stable
    assert between([0] * 30, [0] * 30, categories=PLANS).verdict == "stable"
    assert between([0] * 30, [0] * 19, categories=PLANS).verdict == "chance"
    assert sum(found.drawn[1]) == pytest.approx(1)
