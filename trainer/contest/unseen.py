"""Which rows a published model has not learned from, by what its card and its recipe say.

A row's part follows from its key, so it can be told of rows that were not there yet: those far
enough below the border are held out by every training with that seed and share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import listed, shown
from models.feast_keys import template_of
from models.manifest import Manifest
from models.recipe_training import Training
from trainer.contest.windows import Windows
from trainer.fitting.lineage import Lineage
from trainer.split import digest, ranked

BORDER_DEVIATIONS = 4.0  # of the place of the border; beyond them a row is surely on its side
OTHERWISE = ("split", "folds", "group")  # words of a recipe that part rows by something else than the key


@dataclass(frozen=True, slots=True)
class Unseen:
    """Whether each key is one that a model has not learned from, and how that is known."""

    mask: NDArray[np.bool_]
    how: str


def unseen_by_all(lineage: Lineage, keys: Sequence[str], windows: Windows | None = None) -> NDArray[np.bool_]:
    """Return which of the keys none of the versions of a lineage has learned from, as far as they can be read."""
    mask = np.ones(len(keys), bool)
    for manifest in lineage.manifests:
        mask &= unseen_by(manifest, keys, windows).mask
    return mask


def unseen_by(manifest: Manifest, keys: Sequence[str], windows: Windows | None = None) -> Unseen:
    """Return which of some rows a model has not learned from itself, nor chosen its best epoch by.

    `windows` are those of the rows, where they are windows of series.
    """
    known = by_key(manifest, keys)
    begins = manifest.card.get("held_out", {}).get("begins")
    if windows is None or not begins:
        return known
    parted = np.array([key in begins for key in keys], bool)
    mask = np.where(parted, windows.newer(begins), known.mask)
    series = listed(repr(shown(key)) for key in begins)
    since = "it learned from what is older than the windows it held out"
    if parted.any() and not mask[parted].any():
        since = "which windows it held out is not known, the oldest is not found again: take more `windows`"
    return Unseen(mask, f"{known.how}; of {series} {since}")


def by_key(manifest: Manifest, keys: Sequence[str]) -> Unseen:
    """Return what is known of rows by their keys alone."""
    if manifest.recipe is None or "held_out" not in manifest.card:
        return Unseen(
            np.ones(len(keys), bool), "it was not trained here, so what it learned from is not known"
        )
    held_out = manifest.card["held_out"]
    if held_out.get("sha256") == digest(keys):
        return Unseen(np.ones(len(keys), bool), "they are those that it held out")
    named = set(held_out.get("keys", ()))
    known = np.array([key in named for key in keys], bool) | of_other_rows(manifest, keys)
    if parted_otherwise(manifest.recipe):
        return Unseen(known, "its card lists the rows it held out")
    return Unseen(known | below_border(manifest, keys), "its seed and share tell the rows it held out")


def of_other_rows(manifest: Manifest, keys: Sequence[str]) -> NDArray[np.bool_]:
    """Return which keys are none that a model reads, where those that it held out are such."""
    keyed = manifest.features.keyed if manifest.features is not None else ()
    held_out = manifest.card["held_out"].get("keys")
    if not keyed or not held_out or (template := template_of(keyed[0])).match(held_out[0]) is None:
        return np.zeros(len(keys), bool)
    return np.array([template.match(key) is None for key in keys], bool)


def parted_otherwise(recipe: Mapping[str, Any]) -> bool:
    """Whether a recipe parts its rows by something else than their keys."""
    sections = (recipe, recipe.get("training") or {}, recipe.get("data") or {})
    return any(word in key for section in sections for key in section for word in OTHERWISE)


def below_border(manifest: Manifest, keys: Sequence[str]) -> NDArray[np.bool_]:
    """Return which keys are held out whatever other rows there are."""
    training = (manifest.recipe or {}).get("training") or {}
    share = float(training.get("test", Training.model_fields["test"].default))
    seed = int(training.get("seed", manifest.card["held_out"].get("seed", 0)))
    border = share - BORDER_DEVIATIONS * sqrt(share * (1 - share) / smallest_group(manifest))
    places = ranked(keys, seed) / 2.0**64
    return places < border


def smallest_group(manifest: Manifest) -> int:
    """Return the number of keys of the rarest label, or of all where there are none: of each series one at least."""
    labels = (manifest.card.get("summary") or {}).get("labels") or {}
    counts: list[int] = [sum(parts.values()) for parts in labels.values()]
    rows = manifest.card.get("data", {}).get("rows", {})
    every: int = sum(rows.get(part, 0) for part in ("train", "validation", "held_out"))
    return max(1, min(counts, default=every // windows_a_key(manifest)))


def windows_a_key(manifest: Manifest) -> int:
    """Return how many rows one key gives at most: ends of one series, which are parted together."""
    target = ((manifest.recipe or {}).get("data") or {}).get("target") or {}
    return int(target.get("windows", 1))
