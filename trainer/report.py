"""A training as a picture: the learning curve, and for a classifier who was taken for whom."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from models.manifest import Manifest
from trainer.errors import BadReportPath

SUFFIXES = (".png", ".svg", ".pdf")
INCHES = (11.0, 4.5)
LABEL_LETTERS = 16
LABELS_NUMBERED = 20  # in a larger matrix the numbers could not be read


def write_report(manifest: Manifest, path: Path) -> None:
    """Draw the card of a trained model into a .png, .svg or .pdf file.

    Raises: BadReportPath, another suffix, a place that cannot be written to, or no trained model.
    """
    if path.suffix not in SUFFIXES:
        raise BadReportPath(f"report {path} should end in {', '.join(SUFFIXES)}", path=str(path))
    if "training" not in manifest.card:
        raise BadReportPath(f"{manifest.name} was not trained here, so there is nothing to draw")
    try:
        drawing(manifest).savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    except OSError as error:
        raise BadReportPath(f"report {path} cannot be written: {error.strerror}", path=str(path)) from error


def drawing(manifest: Manifest) -> Figure:
    """Return the picture of a trained model."""
    card = manifest.card
    figure = Figure(figsize=INCHES, layout="constrained")
    matrix = card.get("confusion")
    left, *right = figure.subplots(1, 2 if matrix else 1, squeeze=False)[0]
    draw_curve(left, card["training"]["curve"], card["training"]["best_epoch"])
    if matrix:
        draw_confusion(right[0], matrix, manifest.labels)
    verdict = card["diagnosis"]
    figure.suptitle(f"{manifest.name}: {verdict['verdict']}\n{verdict['findings'][0]}", fontsize=9)
    return figure


def draw_curve(axes: Axes, curve: Sequence[Sequence[float | None]], best: int) -> None:
    """Draw the losses over the epochs and mark the one whose weights were kept."""
    epochs: list[Any] = [row[0] for row in curve]
    for column, name in ((1, "training"), (2, "validation")):
        values: list[Any] = [row[column] for row in curve]
        if any(value is not None for value in values):
            axes.plot(epochs, values, label=name)
    axes.axvline(best, linestyle=":", color="grey", label=f"kept: epoch {best}")
    axes.set(xlabel="epoch", ylabel="loss", yscale="log", title="learning curve")
    axes.legend()


def draw_confusion(axes: Axes, matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> None:
    """Draw how many held-out rows of each label were taken for which."""
    axes.imshow(matrix, cmap="Blues")
    names = [label if len(label) <= LABEL_LETTERS else label[: LABEL_LETTERS - 3] + "..." for label in labels]
    places = range(len(labels))
    axes.set_xticks(places, names, rotation=90)
    axes.set_yticks(places, names)
    axes.set(xlabel="said", ylabel="true", title="held-out rows")
    most = max(map(max, matrix))
    if len(labels) <= LABELS_NUMBERED:
        for row, counts in enumerate(matrix):
            for column, count in enumerate(counts):
                colour = "white" if count > most / 2 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=8)
