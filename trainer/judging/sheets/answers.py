"""The chapters on answers: who was taken for whom, whether probabilities are honest, what the decision costs."""

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any

from models.manifest import Manifest
from trainer.judging.sheets.drawing import Line, bars, chart
from trainer.judging.sheets.markup import Markup, figure, note, section, table, tag

SHADES = 10
NUMBERED = 24  # in a larger matrix the numbers could not be read
SHOWN = 20
LETTERS = 22
LABELLED = ("classification", "multilabel")


def mistakes(manifest: Manifest) -> Markup | None:
    """Return who was taken for whom, and how well each label is found."""
    matrix = manifest.card.get("confusion")
    labels = manifest.card.get("labels") or {}
    each = table(
        ("label", "precision", "recall", "F1", "rows"),
        [
            [label, *(facts.get(name) for name in ("precision", "recall", "f1", "rows"))]
            for label, facts in labels.items()
        ],
    )
    return section(
        "Answers",
        tag(
            "div",
            tag("div", confusion(matrix, manifest.labels)) if matrix else None,
            tag("div", each) if labels else None,
            class_="pair",
        )
        if matrix or labels
        else None,
        note("Of each row the truth, across what the model says; darker is a larger share of the row.")
        if matrix
        else None,
    )


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Markup:
    """Return the matrix as a table whose cells are shaded by their share of the row."""
    names = [short(label) for label in labels]
    wide = len(names) > NUMBERED
    head = tag("tr", tag("td", "true \\ said"), [tag("th", tag("span", name), scope="col") for name in names])
    rows = [
        tag("tr", tag("th", name, scope="row"), [cell(row, at, number, wide) for at in range(len(row))])
        for number, (name, row) in enumerate(zip(names, matrix, strict=False))
    ]
    crowded = " crowded" if len(names) > 6 and max(map(len, names)) > 3 else ""
    return tag(
        "div",
        tag(
            "table",
            tag("thead", head),
            tag("tbody", rows),
            class_=f"matrix{crowded}{' tiny' if wide else ''}",
        ),
        class_="wide",
    )


def cell(row: Sequence[int], at: int, number: int, wide: bool) -> Markup:
    """Return one cell: how many rows, and how large a share of their label."""
    share = row[at] / (sum(row) or 1)
    shade = -(-share * SHADES // 1) if row[at] else 0
    kind = "right" if at == number else "wrong"
    text = "" if wide or not row[at] else figure(row[at])
    return tag("td", text, class_=f"{kind} s{shade:.0f}", title=f"{row[at]} ({share:.1%})")


def short(label: str) -> str:
    """Return a label as far as it fits."""
    return label if len(label) <= LETTERS else label[: LETTERS - 1] + "…"


def honesty(manifest: Manifest) -> Markup | None:
    """Return whether probabilities mean what they say."""
    found = manifest.card.get("calibration")
    if not found:
        return None
    points = tuple((said, came) for _, _, _, said, came in found.get("bins", []))
    counts = [rows for _, _, rows, _, _ in found.get("bins", [])]
    line = Line("", "first", points, tuple(dot(rows / sum(counts)) for rows in counts))
    drawn = chart([line], ("said", "came true"), unit=True) if points else None
    names = (("log_loss", "log loss"), ("brier", "Brier score"), ("ece", "calibration error"))
    before, after = found.get("before", {}), found.get("after", {})
    tempered = found.get("temperature", 1) != 1
    head = ("held-out rows", "before", "after") if tempered else ("held-out rows", "")
    rows = [
        [words, before.get(name), after.get(name)] if tempered else [words, after.get(name)]
        for name, words in names
    ]
    told = (
        f"The network's last numbers are divided by a temperature of {figure(found['temperature'])} in the graph, "
        f"fitted on {figure(found.get('validation', {}).get('rows', 0))} validation rows."
        if tempered
        else "No temperature is applied: none made the validation rows' probabilities more honest."
    )
    beside = tag(
        "div", table(head, rows), note(told, " A dot is as large as the rows it stands for are many.")
    )
    return section("Calibration", tag("div", drawn, beside, class_="pair"))


def dot(share: float) -> float:
    """Return the radius of a dot for a share of the rows."""
    return round(2 + 7 * sqrt(share), 2)


def decision(manifest: Manifest) -> Markup | None:
    """Return the threshold, and what it makes of the held-out rows beside one half."""
    found = manifest.card.get("decision")
    if not found:
        return None
    columns = (
        ("validation", "validation rows"),
        ("held_out", "held-out rows"),
        ("held_out_at_one_half", "at one half"),
    )
    names = (
        ("cost", "cost a row"),
        ("precision", "precision"),
        ("recall", "recall"),
        ("true_positives", "rightly said"),
        ("false_positives", "wrongly said"),
        ("false_negatives", "missed"),
        ("true_negatives", "rightly not said"),
    )
    rows = [
        [words, *(found[part].get(name) for part, _ in columns)]
        for name, words in names
        if name in found["held_out"]
    ]
    return section(
        "Decision",
        tag(
            "p",
            tag("b", found["positive"]),
            f" is said from a probability of {figure(found['threshold'])} on: {found['rule']}.",
        ),
        table(("", *(title for _, title in columns)), rows),
    )


def attributions(manifest: Manifest) -> Markup | None:
    """Return how much each feature counts."""
    entry: Mapping[str, Any] = manifest.card.get("attributions") or {}
    found = entry.get("features", {})
    shares = [(name, value) for name, value in found.items() if isinstance(value, int | float)]
    shares.sort(key=lambda share: -abs(share[1]))
    if not shares:
        return None
    rest = len(shares) - SHOWN
    return section(
        "What counts",
        bars([(str(name), float(value)) for name, value in shares[:SHOWN]], written_as(manifest)),
        note(f"The mean size of what each adds to {entry['of']}.") if entry.get("of") else None,
        note(f"The {SHOWN} features that count most, of {len(shares)}.") if rest > 0 else None,
    )


def written_as(manifest: Manifest) -> Callable[[float], str]:
    """Return how sizes are written: of probabilities in percent, of values and scores in their own unit."""
    return "{:.1%}".format if manifest.task in LABELLED else figure
