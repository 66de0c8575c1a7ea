"""Claims: medians over the rounds against their bounds, in words a reader understands."""

import pytest

from benchmarks.claims import Claim, figure, judge, ratio, shown
from benchmarks.measurements import Measurement, Measurements, Series, spread

OURS, THEIRS = Series("c", "us", "s"), Series("c", "them", "s")


def measured(ours: list[float], theirs: list[float]) -> Measurements:
    """Both series, round after round."""
    made = [
        Measurement(series, number, {"rate": value})
        for number, pair in enumerate(zip(ours, theirs, strict=True), 1)
        for series, value in zip((OURS, THEIRS), pair, strict=True)
    ]
    return Measurements(made)


def test_a_ratio_is_the_median_of_the_rounds_not_of_the_sides() -> None:
    rounds = measured([10.0, 20.0, 90.0], [5.0, 20.0, 30.0])

    judged = judge(Claim("over them", ratio((OURS, "rate"), (THEIRS, "rate")), least=2.0), rounds)

    assert judged.value == 2.0
    assert judged.verdict == "met"


@pytest.mark.parametrize(
    ("least", "most", "verdict"),
    [
        (1.5, None, "met"),
        (2.5, None, "missed"),
        (None, 2.0, "met"),
        (None, 1.99, "missed"),
        (None, 0.0, "missed"),
    ],
)
def test_a_bound_counts_from_its_own_value_on(least: float | None, most: float | None, verdict: str) -> None:
    claim = Claim("x", ratio((OURS, "rate"), (THEIRS, "rate")), least, most)

    assert judge(claim, measured([4.0], [2.0])).verdict == verdict


def test_what_no_round_measured_is_neither_met_nor_missed() -> None:
    judged = judge(Claim("x", figure(OURS, "p99_ms"), most=3.0), measured([1.0], [1.0]))

    assert judged.verdict == "not measured"
    assert judged.text == ""


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.618, "x", "1.62x"),
        (0.9999, "%", "100.0 %"),
        (300_000.0, "rows/s", "300,000 rows/s"),
        (12.345, "ms", "12.35 ms"),
        (0.0, "answers", "0 answers"),
    ],
)
def test_values_are_shown_with_their_unit(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_targets_are_told_with_their_side() -> None:
    nothing = figure(OURS, "rate")

    assert Claim("x", nothing, least=1.6).target == "at least 1.60x"
    assert Claim("x", nothing, most=0.0, unit="answers").target == "at most 0 answers"


def test_spread_is_the_range_over_the_median() -> None:
    assert spread([90.0, 100.0, 110.0]) == pytest.approx(0.2)
    assert spread([100.0]) == 0.0
    assert spread([]) == 0.0
