"""The picture of a run: predictions a second, latency from median to p99, and memory over time."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.cases import comparison, soak
from benchmarks.contenders import EMPTY, INSITU, MOSEC, TEXTBOOK
from benchmarks.features import KINDS
from benchmarks.measurements import Measurements, Series
from benchmarks.results import Header

WHOS = (INSITU, MOSEC, TEXTBOOK, EMPTY, comparison.REDIS)
STRONG, WEAK = {"vector": "#d7301f", "hash": "#fc8d59"}, {"vector": "#4a5568", "hash": "#a0aec0"}
BAR = 0.38
mpl.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})


def draw(header: Header, measurements: Measurements, folder: Path, name: str) -> list[Path]:
    """Write the pictures there is something for, and return their files."""
    drawn: list[Path] = []
    if measurements.case(comparison.NAME):
        drawn.append(saved(compared(header, measurements), folder / f"{name}.png"))
    if measurements.case(soak.NAME):
        drawn.append(saved(remembered(header, measurements), folder / f"{name}-memory.png"))
    return drawn


def saved(figure: Figure, path: Path) -> Path:
    """Write a figure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path


def compared(header: Header, measurements: Measurements) -> Figure:
    """Return the comparison: bars of predictions a second, and latency at 64 connections and at one."""
    figure = Figure(figsize=(10, 7.2), layout="constrained")
    parts: Any = figure.subfigures(2, 1)
    above, below = parts
    rates(above.subplots(), measurements)
    for axes, connections in zip(below.subplots(1, 2), comparison.CONNECTIONS, strict=True):
        latencies(axes, measurements, connections)
    figure.suptitle(
        "One prediction a request by Redis key, MLP 32-64-64-1 in float32, one worker each\n" + header.text,
        fontsize=10,
    )
    return figure


def rates(axes: Any, measurements: Measurements) -> None:
    """Draw predictions a second at 64 connections."""
    for place, who in enumerate(reversed(WHOS)):
        for kind, offset in zip(KINDS, (-BAR / 2, BAR / 2), strict=True):
            value = measurements.median(comparison.series(who, kind, comparison.CONNECTIONS[0]), "rate")
            if value is None or (who == EMPTY and kind != KINDS[0]):
                continue
            at = place if who == EMPTY else place + offset
            axes.barh(at, value, BAR, color=colour(who, kind))
            label = "" if who == EMPTY else kind
            axes.text(value, at, f" {value:,.0f}  {label}", va="center", fontsize=8)
    axes.set_yticks(range(len(WHOS)), list(reversed(WHOS)))
    axes.set_title("requests a second, 64 connections (more is better)", loc="left", fontsize=9)
    axes.margins(x=0.15)
    axes.xaxis.set_major_formatter("{x:,.0f}")


def latencies(axes: Any, measurements: Measurements, connections: int) -> None:
    """Draw latency: a dot at the median, a line to p99."""
    for place, who in enumerate(reversed(WHOS)):
        for kind, offset in zip(KINDS, (-BAR / 2, BAR / 2), strict=True):
            series = comparison.series(who, kind, connections)
            median, tail = (measurements.median(series, name) for name in ("p50_ms", "p99_ms"))
            if median is None or tail is None or (who == EMPTY and kind != KINDS[0]):
                continue
            at = place if who == EMPTY else place + offset
            axes.plot([median, tail], [at, at], color=colour(who, kind), linewidth=2)
            axes.plot([median], [at], "o", color=colour(who, kind), markersize=5)
            axes.text(tail, at, f"  {median:.2f} / {tail:.2f}", va="center", fontsize=8)
    axes.set_yticks(range(len(WHOS)), list(reversed(WHOS)))
    axes.set_xscale("log")
    axes.margins(x=0.35)
    axes.xaxis.set_major_formatter("{x:g}")
    counted = f"{connections} connection{'s' * (connections > 1)}"
    axes.set_title(f"latency in ms, {counted}: median and p99", loc="left", fontsize=9)


def colour(who: str, kind: str) -> str:
    """Return our colour, or everybody else's."""
    return (STRONG if who == INSITU else WEAK)[kind]


def remembered(header: Header, measurements: Measurements) -> Figure:
    """Return the memory of the server over the time of full load."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    for one in measurements.made:
        if one.series == Series(soak.NAME, INSITU, soak.SETTING):
            axes.plot(*zip(*one.samples, strict=True), color=STRONG["vector"])
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds of full load")
    axes.set_ylabel("memory, MB")
    figure.suptitle(f"Memory of the server at full load\n{header.text}", fontsize=9)
    return figure
