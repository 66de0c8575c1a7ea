"""The end of the demo: one table, and what to do next."""

from typing import Any

from cli.demo.tour import NETWORKS, Made, Tour
from cli.terminal import duration_text

COLUMNS = ("model", "network", ">version", ">held out", ">accuracy", ">baseline", ">ms a key")
MEANING = (
    "accuracy: the rows held out, asked over HTTP by their keys; baseline: scikit-learn on the same rows; "
    "ms a key: one request after another."
)


def report(tour: Tour) -> None:
    """Show the table; a program gets it as JSON."""
    terminal = tour.story.terminal
    if terminal.as_json:
        terminal.emit(as_data(tour))
        return
    terminal.say("")
    terminal.table(COLUMNS, [row(made) for made in tour.made.values()])
    terminal.say(MEANING, "quiet")
    terminal.say(f"\nAll of it took {duration_text(tour.story.seconds)}.")


def row(made: Made) -> list[object]:
    """Return one model's line."""
    head: list[object] = [made.name, NETWORKS[made.name], made.facts["version"]]
    found = made.measured
    if found is None:
        return [*head, "", "", "", ""]
    return [*head, found.rows, f"{found.accuracy:.1%}", f"{made.baseline:.1%}", f"{found.median_ms:.2f}"]


def as_data(tour: Tour) -> dict[str, Any]:
    """Return what the demo found, for a program."""
    return {
        "url": tour.url,
        "models": [model_data(made) for made in tour.made.values()],
        "scored": tour.scored,
        "seconds": round(tour.story.seconds, 3),
    }


def model_data(made: Made) -> dict[str, Any]:
    """Return one model for a program."""
    found = made.measured
    return {
        "name": made.name,
        "version": made.facts["version"],
        "verdict": made.facts["verdict"],
        "held_out": found.rows if found else 0,
        "accuracy": round(found.accuracy, 6) if found else None,
        "accuracy_when_trained": made.facts["metrics"]["accuracy"],
        "baseline": made.baseline,
        "median_ms": round(found.median_ms, 3) if found else None,
    }
