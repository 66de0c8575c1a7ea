"""The typical row of a training: what explanations of the model compare with; kept in its card.

It is made of medians, and of the most frequent category where a number stands for one, so it shows
no row that was trained on. A sequence has one typical step, which stands for any number of them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from models.features import FeatureView, InputView
from models.named_elements import features_of
from models.reference import as_entry
from models.tensors import Tensor
from trainer.sampling import evenly

ELEMENTS_MOST = 4096  # of one input in the card; a larger row is typical by channel, or by rows of pixels
NUMBERS_LOOKED_AT = 1 << 20  # more rows, evenly chosen, would change no digit that matters


def reference(feeds: Mapping[str, Tensor], view: FeatureView) -> dict[str, Any]:
    """Return the card's entry for rows as the graph takes them.

    Shape: feeds[input] (N, ...), sequences padded at the right beside their lengths (N,).
    """
    rows = len(next(iter(feeds.values())))
    inputs = {
        one.name: as_lists(typical(one, feeds[one.name], feeds.get(one.lengths or ""), view))
        for one in view.inputs
        if one.name in feeds
    }
    return as_entry(f"median of {rows} training rows", inputs)


def typical(one: InputView, x: Tensor, lengths: Tensor | None, view: FeatureView) -> Tensor:
    """Return the typical row of one input: (1, ...), an axis of one where many are alike."""
    most = NUMBERS_LOOKED_AT // max(1, x[0].size)
    chosen = evenly(len(x), most)
    x = x[chosen]
    if lengths is not None:
        there = np.arange(x.shape[1]) < lengths[chosen][:, None]
        return medians(x[there], (0,))[:, None]  # (1, 1, ...)
    if x[0].size > ELEMENTS_MOST:
        return coarse(x)
    row = medians(x, (0,))
    flat, columns = row.reshape(-1), x.reshape(len(x), -1)
    for feature in features_of({one.name: x.shape[1:]}, view):
        if feature.categories:
            column = columns[:, feature.places[0]].astype(np.int64)
            flat[feature.places[0]] = np.bincount(column).argmax()
    return row


def coarse(x: Tensor) -> Tensor:
    """Return a row whose longest axes are one element, as few of them as make it small."""
    axes = [0]
    left = list(x.shape)
    left[0] = 1
    while np.prod(left) > ELEMENTS_MOST:
        axis = int(np.argmax(left))
        axes.append(axis)
        left[axis] = 1
    return medians(x, tuple(axes))


def medians(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return the lower median over some axes, which stay as one: a number that occurs."""
    found: Tensor = np.quantile(x, 0.5, axis=axes, method="lower", keepdims=True).astype(x.dtype)
    return found


def as_lists(row: Tensor) -> Any:
    """Return nested lists with no more digits than the type has."""
    return row.astype(str).astype(np.float64).tolist() if row.dtype.kind == "f" else row.tolist()
