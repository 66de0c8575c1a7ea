"""The chapters that a reader asks for first: what it is, how good it is, what is to be thought of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from models.manifest import Manifest
from trainer.judging.sheets.drawing import span
from trainer.judging.sheets.markup import Child, Markup, figure, note, section, table, tag

NAMES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "f1": "F1, mean over the labels",
    "f1_micro": "F1 over all labels",
    "roc_auc": "Area under the ROC curve",
    "pr_auc": "Area under precision over recall",
    "log_loss": "Log loss",
    "brier": "Brier score",
    "ece": "Calibration error",
    "hamming": "Share of labels wrong",
    "rmse": "Root mean squared error",
    "mae": "Mean absolute error",
    "r2": "R²",
    "pinball": "Pinball loss",
    "coverage": "Coverage of the outer quantiles",
    "coverage_wanted": "Coverage that was asked for",
    "mase": "Error over that of the last value (MASE)",
    "naive_mae": "Mean absolute error of the last value",
    "flagged": "Share flagged",
    "mean_score": "Mean score",
}
HIGHER_IS_BETTER = ("accuracy", "balanced_accuracy", "f1", "f1_micro", "roc_auc", "pr_auc", "r2")
SERIOUS = ("leakage suspected", "no signal")
BASELINE = "baseline_"
DECIDED = "Labels are counted as the decision below says them; the verdict is about the likelier label."


def header(manifest: Manifest) -> Markup:
    """Return what the model is."""
    verdict = manifest.card.get("diagnosis", {}).get("verdict")
    version = f"version {manifest.version}" if manifest.version else None
    made = f"made {manifest.created:%d %B %Y}" if manifest.created else None
    facts = [fact for fact in (version, manifest.task, made, size(manifest.size_bytes)) if fact]
    return tag(
        "header",
        tag("p", "Model card", class_="kicker"),
        tag("h1", manifest.name, badge(verdict) if verdict else None),
        tag("p", manifest.description, class_="lead") if manifest.description else None,
        tag("p", " · ".join(facts), class_="facts"),
    )


def badge(verdict: object) -> Markup:
    """Return the verdict as a word that stands out."""
    word = str(verdict)
    tone = "good" if word == "good" else "bad" if word in SERIOUS else "warn"
    return tag("span", word, class_=f"badge {tone}")


def size(count: int) -> str | None:
    """Return the size of the file in words, None before it is known."""
    if not count:
        return None
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def scores(manifest: Manifest) -> Markup | None:
    """Return the scores, their intervals and those of the baseline."""
    values = {name: value for name, value in manifest.metrics.items() if not name.startswith(BASELINE)}
    if not values:
        return None
    card = manifest.card
    plain = {name: manifest.metrics.get(BASELINE + name) for name in values}
    intervals = card.get("intervals") or {}
    ends = shared_ends(values, intervals)
    rows = [score_row(name, value, intervals.get(name), plain[name], ends) for name, value in values.items()]
    beaten = card.get("baseline", {}).get("name")
    held = card.get("data", {}).get("rows", {}).get("held_out")
    return section(
        "Scores",
        tag(
            "div", table(("on held-out rows", "score", "95% interval", "", "baseline"), rows), class_="scores"
        ),
        note(
            f"{figure(held)} rows were held out: nothing was fitted or chosen on them. " if held else "",
            f"The baseline is {beaten}. " if beaten else "",
            DECIDED if card.get("decision") else "",
        ),
    )


def score_row(
    name: str, value: float, interval: Any, plain: float | None, ends: tuple[float, float]
) -> list[Child]:
    """Return one row of the scores."""
    known = interval is not None and len(interval) == 2
    drawn = span(interval[0], value, interval[1], ends) if known and name in HIGHER_IS_BETTER else None
    said = f"{short(interval[0])} to {short(interval[1])}" if known else ""
    words = NAMES.get(name, name.replace("_", " "))
    return [words, tag("b", short(value)), said, drawn, "" if plain is None else short(plain)]


def short(value: float) -> str:
    """Return a score with three digits."""
    return f"{value:.3f}" if 0.1 <= abs(value) < 100 else figure(float(f"{value:.3g}"))


def shared_ends(values: Mapping[str, float], intervals: Mapping[str, Any]) -> tuple[float, float]:
    """Return the ends of the scale on which scores that are better when higher are drawn."""
    lows = [interval[0] for name, interval in intervals.items() if name in HIGHER_IS_BETTER]
    return (min([*lows, *(values[name] for name in values if name in HIGHER_IS_BETTER), 0.999]), 1.0)


def verdict(manifest: Manifest) -> Markup | None:
    """Return what was found, and what to change."""
    diagnosis = manifest.card.get("diagnosis") or {}
    findings = diagnosis.get("findings") or []
    if not findings:
        return None
    signs = diagnosis.get("signs") or []
    return section(
        "Verdict",
        tag("p", badge(diagnosis.get("verdict", "")), " ", findings[0]),
        tag("ul", list(found(signs)), class_="findings") if signs else note("Nothing else stood out."),
    )


def found(signs: list[Mapping[str, Any]]) -> Iterator[Markup]:
    """Give each sign with what to change."""
    for sign in signs:
        change = sign.get("change")
        yield tag(
            "li",
            tag("b", f"{str(sign.get('sign', '')).capitalize()}. "),
            sentence(str(sign.get("says", ""))),
            tag("span", sentence(str(change)), class_="change") if change else None,
        )


def sentence(text: str) -> str:
    """Return a text that begins and ends as a sentence does."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ". ")
