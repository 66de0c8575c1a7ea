"""The model card: what a person should know before trusting a model; plain data in the manifest."""

from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from models.recipe import Recipe
from trainer.export import TOLERANCE
from trainer.fit import History
from trainer.outcome import HeldOut, Outcome

KEYS_KEPT = 1000  # more held-out keys are kept as a count and a digest
EPOCHS_KEPT = 200
LABELS_KEPT = 50  # a larger confusion matrix is left out
MADE_WITH = ("torch", "onnx", "onnxruntime", "scikit-learn", "numpy")


def card(recipe: Recipe, outcome: Outcome) -> dict[str, Any]:
    """Return the card of a trained model."""
    history = outcome.history
    return {
        "data": {
            "source": recipe.data.source,
            "match": recipe.data.match,
            "dataset": recipe.data.dataset,
            "rows": {**asdict(outcome.rows), "skipped": dict(outcome.rows.skipped)},
        },
        "held_out": held_out(recipe, outcome.held_out),
        "network": network(recipe),
        "training": {
            "epochs": len(history.epochs),
            "best_epoch": history.best,
            "stopped_early": history.stopped_early,
            "notes": list(history.notes),
            "privacy": asdict(history.privacy) if history.privacy else None,
            "device": outcome.device,
            "seconds": dict(outcome.seconds),
            "curve": curve(history),
        },
        "baseline": {"name": outcome.baseline.name, **rounded(outcome.baseline.scores.values)},
        "diagnosis": {**asdict(outcome.diagnosis), "findings": list(outcome.diagnosis.findings)},
        "confusion": confusion(outcome),
        "parity": {
            "largest_difference": outcome.exported.difference,
            "tolerance": TOLERANCE,
            "exporter": outcome.exported.exporter,
        },
        "search": outcome.trials.as_data() if outcome.trials else None,
        "quantization": outcome.exported.quantized.as_data() if outcome.exported.quantized else None,
        "made_with": {package: version(package) for package in MADE_WITH},
    }


def network(recipe: Recipe) -> dict[str, Any]:
    """Return the layers of each input and of what follows, presets written out."""
    layers = {**recipe.branches, **({"then": recipe.then} if recipe.then else {})}
    return {name: [layer.model_dump() for layer in part] for name, part in layers.items()}


def held_out(recipe: Recipe, rows: HeldOut) -> dict[str, Any]:
    """Return which rows were held out: the keys, or where they are many what proves them."""
    digest = sha256("\n".join(rows.keys).encode()).hexdigest()
    facts: dict[str, Any] = {"rows": len(rows.keys), "seed": recipe.training.seed, "sha256": digest}
    return facts | {"keys": list(rows.keys)} if len(rows.keys) <= KEYS_KEPT else facts


def curve(history: History) -> list[list[float | None]]:
    """Return [epoch, training loss, validation loss, score] of at most so many epochs, evenly."""
    every = [
        [number, *map(short, (epoch.train_loss, epoch.validation_loss, epoch.score))]
        for number, epoch in enumerate(history.epochs, 1)
    ]
    return every[:: -(-len(every) // EPOCHS_KEPT)]


def confusion(outcome: Outcome) -> list[list[int]] | None:
    """Return the confusion matrix, rows true and columns said."""
    matrix = outcome.scores.confusion
    return [list(row) for row in matrix] if 0 < len(matrix) <= LABELS_KEPT else None


def rounded(values: dict[str, float]) -> dict[str, float]:
    """Return scores as far as they mean anything."""
    return {name: round(value, 6) for name, value in values.items()}


def short(value: float | None) -> float | None:
    """Return a number of a curve with six digits."""
    return None if value is None else float(f"{value:.6g}")
