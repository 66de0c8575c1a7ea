"""An explanation of one row -> the body of its answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.named_elements import NamedFeature
from models.privacy import Privacy
from server.inference.explaining.between import Between, value_of
from server.inference.explaining.references import Reference
from server.inference.explaining.shapley import Estimate, Game
from server.inference.explaining.targets import Target

Body = dict[str, Any]
NOTHING = (0.0, 0.0)  # what a feature adds that is as in the reference, and the error of that


@dataclass(frozen=True, slots=True)
class Explained:
    """One row, what it was compared with, and what came of it; private features are called by their aliases.

    Without a game no feature differs from the reference.
    """

    target: Target
    prediction: float
    features: Sequence[NamedFeature]
    between: Between
    reference: Reference
    game: Game | None
    estimate: Estimate
    privacy: Privacy


def body(one: Explained) -> Body:
    """Return the body of a row, the largest contributions first."""
    players = [id(player) for player in one.between.players]
    pairs = zip(one.estimate.contributions.tolist(), one.estimate.errors.tolist(), strict=True)
    added = dict(zip(players, pairs, strict=True))
    entries = [entry(feature, one, *added.get(id(feature), NOTHING)) for feature in one.features]
    entries.sort(key=lambda told: -abs(told["contribution"]))
    target, baseline = one.target, one.estimate.baseline
    gap = sum(told["contribution"] for told in entries) - (one.prediction - baseline)
    return {
        "output": target.output,
        **({"element": target.element} if target.label is None else {"label": target.label}),
        **({"part": target.part} if target.part else {}),
        "prediction": one.prediction,
        "baseline": baseline,
        "contributions": entries,
        "sum_error": abs(gap),
        "sampling_error": max((told["error"] for told in entries), default=0.0),
        "method": "exact" if one.game is None or one.game.exact else "sampled",
        "runs": 1 + (one.game.count if one.game else 0),
        "reference": one.reference.of,
        "reference_rows": one.game.references if one.game else one.reference.rows,
    }


def entry(feature: NamedFeature, one: Explained, contribution: float, error: float) -> Body:
    """Return one feature of a body; `reference` is its value there, where there is one such value."""
    row, references = one.between.row[feature.input], one.between.references[feature.input]
    alone = len(references) == 1
    return {
        "feature": one.privacy.alias(feature.name),
        "value": value_of(feature, row),
        "reference": value_of(feature, references) if alone else None,
        "contribution": contribution,
        "error": error,
    }
