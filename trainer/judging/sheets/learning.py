"""The chapter on training: the curve of the losses, and the curve over the number of rows."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.manifest import Manifest
from trainer.judging.sheets.drawing import Line, chart
from trainer.judging.sheets.markup import Markup, figure, note, section, tag


def learning(manifest: Manifest) -> Markup | None:
    """Return how training went."""
    training = manifest.card.get("training") or {}
    sizes = (manifest.card.get("diagnosis") or {}).get("data_curve") or []
    drawn = [
        one
        for one in (
            losses(training),
            data_curve(sizes, manifest.card.get("diagnosis", {}).get("metric", "score")),
        )
        if one
    ]
    return section(
        "Training", tag("div", drawn, class_="pair") if drawn else None, facts(training), privacy(training)
    )


def losses(training: Mapping[str, Any]) -> Markup | None:
    """Draw the losses over the epochs and mark the epoch whose weights were kept."""
    curve = training.get("curve") or []
    lines = [
        Line(name, colour, points)
        for column, name, colour in ((1, "training loss", "first"), (2, "validation loss", "second"))
        if (points := tuple((row[0], row[column]) for row in curve if row[column] is not None))
    ]
    if not lines or len(lines[0].points) < 2:
        return None
    return chart(lines, ("epoch", "loss"), training.get("best_epoch"))


def data_curve(sizes: Sequence[Sequence[float]], metric: str) -> Markup | None:
    """Draw the score over the number of rows that were learned from."""
    if len(sizes) < 2:
        return None
    points = tuple((size[0], size[1]) for size in sizes)
    return chart([Line("", "third", points, (3.5,) * len(points))], ("rows learned from", metric))


def facts(training: Mapping[str, Any]) -> Markup | None:
    """Return how long it took, what was kept and what else was noted."""
    if not training:
        return None
    seconds = training.get("seconds", {}).get("fit")
    took = f" in {figure(round(seconds, 1))} s" if isinstance(seconds, int | float) else ""
    early = ", stopped early" if training.get("stopped_early") else ""
    noted = "".join(f" {text[:1].upper()}{text[1:]}." for text in map(str, training.get("notes", ())) if text)
    return note(
        f"{figure(training.get('epochs', 0))} epochs on {training.get('device', 'an unknown device')}{took}{early}; "
        f"the weights of epoch {figure(training.get('best_epoch', 0))} were kept (dotted line).{noted}"
    )


def privacy(training: Mapping[str, Any]) -> Markup | None:
    """Return what a private training spent."""
    spent = training.get("privacy")
    if not spent:
        return None
    epsilon, delta, clip, noise, steps = (
        figure(spent.get(name)) for name in ("epsilon", "delta", "clip", "noise", "steps")
    )
    return tag(
        "p",
        "Private training: ",
        tag("b", f"epsilon {epsilon} at delta {delta}"),
        f", spent in {steps} steps with noise of {noise} times the clipping norm, {clip}.",
    )
