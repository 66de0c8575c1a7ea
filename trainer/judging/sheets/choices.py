"""The chapters on what was tried: folds, the trials of a search, files with smaller numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.manifest import Manifest
from trainer.judging.sheets.markup import Child, Markup, figure, note, section, table, tag
from trainer.judging.sheets.verdict import NAMES

TRIALS_SHOWN = 20


def folds(manifest: Manifest) -> Markup | None:
    """Return the score of each fold of a cross-validation, their mean and deviation."""
    found: Mapping[str, Any] = manifest.card.get("cross_validation") or {}
    scores: Sequence[float] = found.get("scores") or ()
    if not scores:
        return None
    metric = named(found.get("metric"))
    spread = f"{figure(found.get('mean'))} ± {figure(found.get('deviation'))}"
    rows = [
        [f"fold {at}", count, score]
        for at, (count, score) in enumerate(zip(found.get("rows") or (), scores, strict=False), 1)
    ]
    return section(
        "Cross-validation",
        tag("p", f"{metric}: ", tag("b", spread), f" over {len(scores)} folds."),
        table(("", "rows", metric), rows),
        note(
            "Each fold is scored by a network that learned from other rows; the network of this version learned "
            "from all of them afterwards."
        ),
    )


def search(manifest: Manifest) -> Markup | None:
    """Return the values that a search tried, and which of them are the best."""
    found: Mapping[str, Any] = manifest.card.get("search") or {}
    trials: Sequence[Mapping[str, Any]] = found.get("trials") or ()
    if not trials:
        return None
    paths = list(dict.fromkeys(path for one in trials for path in one.get("values") or {}))
    head = ("trial", "state", str(found.get("by", "value")), "epochs", *paths)
    rows = [trial(number, one, paths) for number, one in enumerate(trials, 1)]
    rest = rows[TRIALS_SHOWN:]
    return section(
        "Search",
        tag("p", f"Trial {found.get('best')} of {len(trials)} is the best and was trained again."),
        table(head, rows[:TRIALS_SHOWN]),
        tag("details", tag("summary", f"{len(rest)} more trials"), table(head, rest)) if rest else None,
    )


def trial(number: int, one: Mapping[str, Any], paths: Sequence[str]) -> list[Child]:
    """Return one trial as a row of the table."""
    values = one.get("values") or {}
    tried = [figure(values[path]) if path in values else None for path in paths]
    return [figure(number), one.get("state"), one.get("value"), one.get("epochs"), *tried]


def quantization(manifest: Manifest) -> Markup | None:
    """Return the files with smaller numbers that were measured, which is served and why others are not."""
    found: Mapping[str, Any] = manifest.card.get("quantization") or {}
    if not found:
        return None
    files = {"float32": found.get("float32") or {}, **(found.get("tried") or {})}
    rows: list[list[Child]] = [
        [
            name,
            *(one.get(fact) for fact in ("size_bytes", "batch_1_us", "batch_64_us", "score")),
            one.get("refused") or (tag("b", "served") if name == found.get("served") else None),
        ]
        for name, one in files.items()
    ]
    head = ("numbers", "bytes", "us for a row", "us for 64", named(found.get("metric")), "")
    return section(
        "Quantization", table(head, rows), note("Measured on the validation rows, in turns on one machine.")
    )


def named(metric: object) -> str:
    """Return what a metric is called."""
    return NAMES.get(str(metric), str(metric).replace("_", " "))
