"""Tables on the terminal: the medians of every case, and its claims beside what was reached."""

import statistics
from collections.abc import Iterator, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from benchmarks.claims import Judged
from benchmarks.measurements import Measurements, Series, spread
from benchmarks.run import Case, Column

COLOURS = {"met": "green", "missed": "red", "not measured": "dim"}


def case_table(case: Case, measurements: Measurements) -> Table:
    """Return the medians of a case, one line a series, in the order they were measured."""
    table = Table(box=SIMPLE_HEAD, title=case.name, title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("condition", min_width=12)
    table.add_column("who", no_wrap=True)
    columns = [column for column in case.columns if measured(case, column, measurements)]
    for column in columns:
        table.add_column(column.heading, justify="right", no_wrap=True)
    for series in in_order(case, measurements):
        cells = [cell(series, column, measurements) for column in columns]
        table.add_row(series.setting, series.who, *cells)
    return table


def in_order(case: Case, measurements: Measurements) -> list[Series]:
    """Return the series of a case by condition, both in the order they first came."""
    every = list(dict.fromkeys(one.series for one in measurements.case(case.name)))
    settings = list(dict.fromkeys(series.setting for series in every))
    return sorted(every, key=lambda series: settings.index(series.setting))


def measured(case: Case, column: Column, measurements: Measurements) -> bool:
    """Whether any series of the case has the figure."""
    return any(column.figure in one.figures for one in measurements.case(case.name))


def cell(series: Series, column: Column, measurements: Measurements) -> str:
    """Return a median, with the spread of the rounds where the column shows it."""
    values = measurements.of(series, column.figure)
    if not values:
        return ""
    text = f"{statistics.median(values):,.{column.decimals}f}"
    return f"{text} ±{spread(values) * 50:.0f} %" if column.spread and len(values) > 1 else text


def claims_table(judged: Sequence[Judged]) -> Table:
    """Return the claims, what was reached, and the verdict."""
    table = Table(box=SIMPLE_HEAD, title="targets", title_justify="left", title_style="bold", pad_edge=False)
    for heading, side in (("what", "left"), ("reached", "right"), ("target", "left"), ("", "left")):
        table.add_column(heading, justify="right" if side == "right" else "left")
    for one in judged:
        verdict = Text(one.verdict, style=COLOURS[one.verdict])
        table.add_row(one.claim.text, one.text, one.claim.target, verdict)
    return table


def summary(judged: Sequence[Judged]) -> str:
    """Return how many claims hold, in one line."""
    counts = {verdict: sum(one.verdict == verdict for one in judged) for verdict in COLOURS}
    return ", ".join(told(counts))


def told(counts: dict[str, int]) -> Iterator[str]:
    """Give the parts of the summary, without those that are none."""
    for verdict, count in counts.items():
        if count:
            yield f"{count} {verdict}"
