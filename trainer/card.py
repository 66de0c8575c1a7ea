"""The model card: what a person should know before trusting a model; plain data in the manifest."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from math import isfinite
from typing import Any

from models.privacy import Privacy
from models.profiles import ENTRY as PROFILE
from models.recipe import Recipe
from models.scores import six_digits
from trainer.exporting.export import TOLERANCE
from trainer.fitting.fit import History
from trainer.outcome import HeldOut, Outcome
from trainer.split import digest
from trainer.tasks.task import Task, Valued

KEYS_KEPT = 1000  # more held-out keys are kept as a count and a digest
EPOCHS_KEPT = 200
LABELS_KEPT = 50  # a larger confusion matrix is left out
MADE_WITH = ("torch", "onnx", "onnxruntime", "scikit-learn", "captum", "numpy")


def card(recipe: Recipe, task: Task, outcome: Outcome) -> dict[str, Any]:
    """Return the card of a trained model."""
    facts = {
        "data": {
            "source": recipe.data.source,
            "place": recipe.data.place,
            "dataset": recipe.data.dataset,
            "rows": {**asdict(outcome.rows), "skipped": dict(outcome.rows.skipped)},
        },
        "held_out": held_out(recipe, outcome.held_out),
        "network": network(recipe),
        "training": {**training(outcome), "unit": unit(task)},
        "baseline": {"name": outcome.baseline.name, **rounded(outcome.baseline.scores.values)},
        "cross_validation": asdict(outcome.folds) if outcome.folds else None,
        **judged(recipe, outcome),
        "attributions": attributed(recipe, outcome),
        "reference": dict(outcome.reference),
        **({PROFILE: dict(outcome.profile)} if outcome.profile else {}),
        "parity": {
            "largest_difference": outcome.exported.difference,
            "tolerance": TOLERANCE,
            "exporter": outcome.exported.exporter,
        },
        "search": outcome.trials.as_data() if outcome.trials else None,
        "quantization": outcome.exported.quantized.as_data() if outcome.exported.quantized else None,
        "made_with": {package: version(package) for package in MADE_WITH},
    }
    masked: dict[str, Any] = Privacy.of(recipe.as_data()).masked(facts)
    return masked


def training(outcome: Outcome) -> dict[str, Any]:
    """Return how the network was fitted."""
    history = outcome.history
    return {
        "epochs": len(history.epochs),
        "best_epoch": history.best,
        "stopped_early": history.stopped_early,
        "notes": list(history.notes),
        "privacy": asdict(history.privacy) if history.privacy else None,
        "device": outcome.device,
        "seconds": dict(outcome.seconds),
        "curve": curve(history),
    }


def unit(task: Task) -> dict[str, list[float]] | None:
    """Return in which unit numbers were learned: a training that begins with this version goes on in it."""
    if not isinstance(task, Valued):
        return None
    return {"mean": list(task.unit.mean), "deviation": list(task.unit.deviation)}


def judged(recipe: Recipe, outcome: Outcome) -> dict[str, Any]:
    """Return what is to be thought of the network."""
    return {
        "diagnosis": diagnosis(outcome),
        "confusion": confusion(outcome),
        "intervals": intervals(outcome),
        "calibration": calibration(outcome),
        "decision": decision(recipe, outcome),
        "labels": {label: rounded(values) for label, values in outcome.scores.classes.items()},
        "fairness": fairness(recipe, outcome),
        "summary": dict(outcome.judgement.summary),
    }


def attributed(recipe: Recipe, outcome: Outcome) -> dict[str, Any]:
    """Return what each feature adds, private ones by their aliases."""
    found, privacy = dict(outcome.attributions), Privacy.of(recipe.as_data())
    if "features" in found:
        found["features"] = privacy.masked_names(found["features"])
        found["by_difference"] = [*map(privacy.alias, found["by_difference"])]
    return found


def network(recipe: Recipe) -> dict[str, Any]:
    """Return the layers of each input and of what follows, presets written out."""
    branches = Privacy.of(recipe.as_data()).masked_names(recipe.branches)
    layers = {**branches, **({"then": recipe.then} if recipe.then else {})}
    return {name: [layer.model_dump() for layer in part] for name, part in layers.items()}


def held_out(recipe: Recipe, rows: HeldOut) -> dict[str, Any]:
    """Return which rows were held out: the keys, or where they are many what proves them."""
    facts: dict[str, Any] = {
        "rows": len(rows.keys),
        "seed": recipe.training.seed,
        "sha256": digest(rows.keys),
    }
    if rows.windows is not None and (begins := rows.windows.begins()):
        facts["begins"] = begins
    return facts | {"keys": list(rows.keys)} if len(rows.keys) <= KEYS_KEPT else facts


def curve(history: History) -> list[list[float | None]]:
    """Return [epoch, training loss, validation loss, score] of at most so many epochs, evenly."""
    every = [
        [number, *map(short, (epoch.train_loss, epoch.validation_loss, epoch.score))]
        for number, epoch in enumerate(history.epochs, 1)
    ]
    return every[:: -(-len(every) // EPOCHS_KEPT)]


def diagnosis(outcome: Outcome) -> dict[str, Any]:
    """Return the verdict, with what was found as sentences and for programs."""
    found = outcome.diagnosis
    facts = {
        **asdict(found),
        "findings": list(found.findings),
        "signs": [asdict(one) for one in found.signs],
    }
    if outcome.sizes:
        facts["data_curve"] = [[size.rows, short(size.score)] for size in outcome.sizes]
    return facts


def confusion(outcome: Outcome) -> list[list[int]] | None:
    """Return the confusion matrix, rows true and columns said."""
    matrix = outcome.scores.confusion
    return [list(row) for row in matrix] if 0 < len(matrix) <= LABELS_KEPT else None


def intervals(outcome: Outcome) -> dict[str, list[float]]:
    """Return where each score lies with 95% confidence: [low, high]."""
    found = {name: [one.low, one.high] for name, one in outcome.judgement.intervals.items()}
    return {
        name: [six_digits(end) for end in ends] for name, ends in found.items() if all(map(isfinite, ends))
    }


def calibration(outcome: Outcome) -> dict[str, Any] | None:
    """Return how honest the probabilities are, before and after they were tempered."""
    found = outcome.judgement.calibration
    if found is None:
        return None
    tempering = found.tempering
    return {
        "temperature": tempering.temperature,
        "validation": {
            "rows": tempering.rows,
            **rounded(
                {
                    name: value
                    for name, value in (("before", tempering.before), ("after", tempering.after))
                    if isfinite(value)
                }
            ),
        },
        "before": rounded(found.before),
        "after": rounded(found.after),
        "bins": [[one.low, one.high, one.rows, short(one.said), short(one.came_true)] for one in found.bins],
    }


def decision(recipe: Recipe, outcome: Outcome) -> dict[str, Any] | None:
    """Return the threshold and what it costs."""
    found = outcome.judgement.decided
    return None if found is None else found.as_data(recipe.classes)


def fairness(recipe: Recipe, outcome: Outcome) -> dict[str, Any] | None:
    """Return how groups of rows fare."""
    audits = outcome.judgement.audits
    if not audits or recipe.fairness is None:
        return None
    return {"bound": recipe.fairness.bound, "fields": [one.as_data() for one in audits]}


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Return scores as far as they mean anything."""
    return {name: six_digits(value) for name, value in values.items()}


def short(value: float | None) -> float | None:
    """Return a number of a curve with six digits."""
    return None if value is None else float(f"{value:.6g}")
