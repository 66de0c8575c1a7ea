"""Tables: one line a series, rivals under one condition side by side, the spread of the rounds beside the median."""

from rich.console import Console
from rich.table import Table

from benchmarks.claims import Claim, figure, judge
from benchmarks.measurements import Measurement, Measurements, Series
from benchmarks.run import LATENCY, RATE, Case, Column
from benchmarks.tables import case_table, claims_table, summary

CASE = Case(
    "c", "about", lambda _run: None, lambda _options: 0.0, (RATE, *LATENCY, Column("memory MB", "memory_mb"))
)


def printed(table: Table) -> list[list[str]]:
    """The words of every line that is no rule."""
    console = Console(width=120)
    with console.capture() as capture:
        console.print(table)
    return [line.split() for line in capture.get().splitlines() if line.strip(" ─")]


def series(who: str, setting: str, rates: list[float]) -> list[Measurement]:
    return [
        Measurement(Series("c", who, setting), number, {"rate": rate, "p50_ms": 1.5, "p99_ms": 3.0})
        for number, rate in enumerate(rates, 1)
    ]


def test_one_condition_stands_together_however_it_was_measured() -> None:
    made = [*series("us", "one", [1]), *series("us", "two", [2]), *series("them", "one", [3])]

    lines = printed(case_table(CASE, Measurements(made)))

    assert [line[:2] for line in lines[2:]] == [["one", "us"], ["one", "them"], ["two", "us"]]


def test_a_rate_has_the_spread_of_its_rounds() -> None:
    lines = printed(case_table(CASE, Measurements(series("us", "one", [900.0, 1000.0, 1100.0]))))

    assert lines[-1] == ["one", "us", "1,000", "±10", "%", "1.500", "3.00"]


def test_a_column_that_nothing_was_measured_for_is_left_out() -> None:
    lines = printed(case_table(CASE, Measurements(series("us", "one", [1.0]))))

    assert "memory" not in lines[1]


def test_claims_stand_beside_what_was_reached() -> None:
    reached = figure(Series("c", "us", "one"), "rate")
    claims = [
        Claim("rate", reached, least=10.0, unit="/s"),
        Claim("other", figure(Series("c", "", ""), "x"), 1.0),
    ]
    judged = [judge(claim, Measurements(series("us", "one", [12.0]))) for claim in claims]

    lines = printed(claims_table(judged))

    assert lines[2] == ["rate", "12", "/s", "at", "least", "10", "/s", "met"]
    assert summary(judged) == "1 met, 1 not measured"
