"""What a network looks at as a whole: how much each feature adds to its answers on held-out rows.

Integrated gradients along the way from the typical row to each row, summed up by feature as
explanations name them; the mean of their sizes goes into the card. A number that stands for a
category has no way between two others: it stays as it is in the row, and what it adds is the
difference that the typical category makes.

Source: Sundararajan, Taly, Yan 2017, Axiomatic attribution for deep networks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from models.features import FeatureView
from models.named_elements import NamedFeature, features_of
from models.reference import from_card, in_words
from trainer.exporting.export import Served, Signature
from trainer.sampling import evenly
from trainer.table import Table, Values

ROWS = 64  # of those held out, evenly chosen
STEPS = 32  # between the typical row and a row
FORWARD_ROWS = 256  # that are run at once
FEATURES_KEPT = 256


@dataclass(frozen=True, slots=True)
class Way:
    """Rows, and where the way to each of them begins.

    Shape: x and start (B, ...); lengths (B,), None where all are whole; target (B,), the number of
    the answer that is explained.
    """

    x: Tensor
    start: Tensor
    lengths: Tensor | None
    target: Tensor

    @property
    def beside(self) -> tuple[Tensor, ...] | None:
        """What the network takes beside the rows."""
        return None if self.lengths is None else (self.lengths,)


def attributions(
    served: Served, table: Table, signature: Signature, card: Mapping[str, Any], view: FeatureView
) -> dict[str, Any]:
    """Return the card's entry: the mean size of what each feature adds, the largest first.

    `gap` is how far the features of a row are from adding up to its answer less the start's, the
    mean over the rows. Empty for a card without a typical row of the network's only input.
    """
    stored = from_card(card)
    name = signature.inputs[0].name
    if stored is None or name not in stored or len(view.inputs) != 1:
        return {}
    rows = table.take(evenly(len(table), ROWS))
    values = rows.inputs[name].trimmed()
    features = features_of({name: values.x.shape[1:]}, view)
    named = [one for one in features if one.categories]
    typical = torch.tensor(stored[name]).float()
    way = way_to(served, values, typical, named)
    # an embedding of nothing but categories has no gradient at all
    flat = np.zeros((len(rows), values.x[0].size))
    added, gap = along(served, way) if len(named) < len(features) else (flat, 0.0)
    sizes = {one.name: float(np.abs(added[:, one.places].sum(1)).mean()) for one in features}
    sizes |= {one.name: difference(served, way, typical, one) for one in named}
    largest = sorted(sizes.items(), key=lambda pair: -pair[1])[:FEATURES_KEPT]
    return {
        "method": "integrated gradients",
        "compared_with": in_words(card),
        "rows": len(rows),
        "gap": float(f"{gap:.3g}"),
        "features": {name: float(f"{size:.6g}") for name, size in largest},
        "by_difference": [one.name for one in named],
    }


@torch.no_grad()
def way_to(served: Served, values: Values, typical: Tensor, named: Sequence[NamedFeature]) -> Way:
    """Return the way to each row, to the label that is predicted there; categories stay as in the row."""
    x = torch.from_numpy(values.x.astype(np.float32))
    lengths = None if values.lengths is None else torch.from_numpy(values.lengths)
    start = typical.expand(x.shape).clone()
    for one in named:
        start.flatten(1)[:, one.places] = x.flatten(1)[:, one.places]
    return Way(x, start, lengths, served(x, lengths).argmax(-1))


def along(served: Served, way: Way) -> tuple[np.ndarray[Any, np.dtype[np.float64]], float]:
    """Return what each element adds, (B, elements), and how far that is from adding up."""
    gradients = IntegratedGradients(served, multiply_by_inputs=True)
    added, gap = gradients.attribute(
        way.x,
        way.start,
        way.target,
        way.beside,
        n_steps=STEPS,
        internal_batch_size=max(FORWARD_ROWS, len(way.x)),
        return_convergence_delta=True,
    )
    return added.detach().flatten(1).double().numpy(), float(gap.abs().mean())


@torch.no_grad()
def difference(served: Served, way: Way, typical: Tensor, feature: NamedFeature) -> float:
    """Return the mean size of the difference that a feature makes to the rows as they are."""
    other = way.x.clone()
    other.flatten(1)[:, feature.places] = typical.expand(way.x.shape).flatten(1)[:, feature.places]
    pair = [served(rows, way.lengths).gather(-1, way.target[:, None]) for rows in (way.x, other)]
    return float((pair[0] - pair[1]).abs().mean())
