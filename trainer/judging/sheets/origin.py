"""The chapters on where a model comes from: its rows, its groups, its recipe, what it was made with."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from models.manifest import Manifest
from trainer.judging.sheets.markup import Child, Markup, figure, note, section, table, tag

FEATURES_SHOWN = 24
KEYS_SHOWN = 12
REDIS = " in Redis."
PARTS = ("train", "validation", "held_out")
HEAD = ("feature", "least", "mean", "most", "missing")


def rows(manifest: Manifest) -> Markup | None:
    """Return which rows it was made from."""
    data, summary = manifest.card.get("data") or {}, manifest.card.get("summary") or {}
    counts = data.get("rows") or {}
    said = [
        f"{figure(counts[part])} {words}"
        for part, words in zip(PARTS, ("to learn from", "to choose by", "held out"), strict=True)
        if part in counts
    ]
    skipped = counts.get("skipped") or {}
    left = ", ".join(f"{figure(count)} {reason.replace('_', ' ')}" for reason, count in skipped.items())
    return section(
        "Data",
        tag("p", f"Rows: {', '.join(said)}." + (f" Left out: {left}." if left else "")) if said else None,
        note("From ", tag("code", str(data["place"])), REDIS if data.get("source") == "redis" else ".")
        if data.get("place")
        else None,
        tag("div", list(summaries(summary)), class_="stack") if summary else None,
        held_out(manifest.card.get("held_out") or {}),
    )


def summaries(summary: Mapping[str, Any]) -> Iterator[Markup]:
    """Give the tables of labels, targets and features."""
    labels, target = summary.get("labels") or {}, summary.get("target")
    if labels:
        lines = [[label, *(counts.get(part, 0) for part in PARTS)] for label, counts in labels.items()]
        yield table(("label", "learned from", "chosen by", "held out"), lines)
    if target:
        words = ("least", "mean", "most", "deviation")
        yield table(("target", *words), [["of the rows learned from", *(target.get(word) for word in words)]])
    features = [feature_row(one) for one in summary.get("features") or []]
    if features:
        yield table(HEAD, features[:FEATURES_SHOWN])
    if len(features) > FEATURES_SHOWN:
        rest = len(features) - FEATURES_SHOWN
        yield tag("details", tag("summary", f"{rest} more features"), table(HEAD, features[FEATURES_SHOWN:]))
    if summary.get("left_out"):
        yield note(f"{figure(summary['left_out'])} more features are left out.")


def feature_row(one: Mapping[str, Any]) -> list[Child]:
    """Return one feature as a row of the table."""
    missing = one.get("missing") or 0
    return [
        str(one.get("name")),
        *(one.get(word) for word in ("least", "mean", "most")),
        f"{missing:.1%}" if missing else "none",
    ]


def held_out(facts: Mapping[str, Any]) -> Markup | None:
    """Return which rows were held out."""
    if not facts:
        return None
    keys: Sequence[str] = facts.get("keys") or ()
    more = f" and {figure(len(keys) - KEYS_SHOWN)} more" if len(keys) > KEYS_SHOWN else ""
    shown = ", ".join(keys[:KEYS_SHOWN]) + more
    return note(
        f"Held out with seed {facts.get('seed')}" + (f": {shown}. " if keys else ". "),
        "SHA-256 of the keys: ",
        tag("code", str(facts.get("sha256", ""))),
    )


def fairness(manifest: Manifest) -> Markup | None:
    """Return how the groups fare that the recipe names as sensitive."""
    found = manifest.card.get("fairness") or {}
    return section(
        "Fairness", *(part for field in found.get("fields") or [] for part in field_tables(field, found))
    )


def field_tables(field: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Markup]:
    """Give the table of one sensitive field and its gaps."""
    groups: Sequence[Mapping[str, Any]] = field.get("groups") or []
    names = list(dict.fromkeys(name for group in groups for name in group.get("scores", {})))
    yield table(
        (str(field.get("name")), "rows", *(name.replace("_", " ") for name in names)),
        [
            [str(group.get("group")), group.get("rows"), *(scored(group, name) for name in names)]
            for group in groups
        ],
    )
    bound = found.get("bound", 0)
    over = tag("span", "over the bound", class_="badge warn")
    chance = field.get("by_chance") or {}
    gaps: list[list[Child]] = [
        [name.replace("_", " "), value, chance.get(name), over if value > bound else "within"]
        for name, value in (field.get("gaps") or {}).items()
    ]
    if gaps:
        yield table(("gap between groups", "largest", "by chance up to", f"bound {figure(bound)}"), gaps)
    few = [str(group.get("group")) for group in groups if group.get("few")]
    if few:
        yield note(f"Too few rows to count for a gap: {', '.join(few)}.")


def scored(group: Mapping[str, Any], name: str) -> Child:
    """Return a group's score with its interval."""
    value = group.get("scores", {}).get(name)
    if value is None:
        return "none"
    ends = (group.get("intervals") or {}).get(name)
    beside = tag("small", f" {figure(ends[0])} to {figure(ends[1])}") if ends else None
    return [figure(value), beside]


def recipe(manifest: Manifest) -> Markup | None:
    """Return the recipe, as a file has it."""
    if not manifest.recipe:
        return None
    text = yaml.safe_dump(manifest.recipe, sort_keys=False, allow_unicode=True, width=100)
    return section("Recipe", tag("pre", text))


def made_with(manifest: Manifest) -> Markup | None:
    """Return how far ONNX Runtime is from PyTorch, and the versions of what it was made with."""
    card = manifest.card
    parity, versions = card.get("parity") or {}, card.get("made_with") or {}
    said = None
    if parity:
        said = tag(
            "p",
            f"ONNX Runtime answers within {parity.get('largest_difference', 0):.1e} of PyTorch; "
            f"{figure(parity.get('tolerance', 0))} is allowed.",
        )
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    graph = ", ".join(f"{domain or 'ai.onnx'} {number}" for domain, number in manifest.opset.items())
    return section(
        "Made with",
        said,
        tag("p", f"{listed}; operators {graph}." if listed and graph else listed or graph)
        if listed or graph
        else None,
        note("SHA-256 of the file: ", tag("code", manifest.digest)) if manifest.digest else None,
    )
