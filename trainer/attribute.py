"""What a network looks at as a whole: how much each feature adds to its answers on held-out rows.

Integrated gradients along the way from the typical row to each row, of all inputs at once, summed up
by feature as explanations name them; the mean of their sizes goes into the card. A number that stands
for a category has no way between two others, and neither has an input that no gradient reaches, the
places of an embedding: these stay as they are in the row, and what they add is the difference that
the typical one makes.

    served, rows -> Way (where it begins and ends) -> what each element adds -> sizes by feature

Source: Sundararajan, Taly, Yan 2017, Axiomatic attribution for deep networks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients
from numpy.typing import NDArray
from torch import Tensor, nn

from models.features import FeatureView
from models.named_elements import NamedFeature, features_of
from models.reference import from_card, in_words
from trainer.exporting.export import Served, Signature
from trainer.sampling import evenly
from trainer.table import Table
from trainer.tasks.explained import Explained, explained

ROWS = 64  # of those held out, evenly chosen
STEPS = 32  # between the typical row and a row
FORWARD_ROWS = 256  # that are run at once
FEATURES_KEPT = 256

Inputs = Mapping[str, Tensor]
Numbers = NDArray[np.float64]


class Answers(nn.Module):
    """A served network as captum asks it: some inputs first, then whatever else it takes.

    Shape: the inputs that are `moved`, then the tensors of `kept`, by name -> (B, numbers of an answer).
    """

    def __init__(
        self, served: Served, names: Sequence[str], moved: Sequence[str], kept: Sequence[str]
    ) -> None:
        super().__init__()
        self.served, self.names, self.given = served, tuple(names), (*moved, *kept)

    def forward(self, *tensors: Tensor) -> Tensor:
        """Run the network on its tensors in its own order."""
        by_name = dict(zip(self.given, tensors, strict=True))
        answers: Tensor = self.served(*(by_name[name] for name in self.names))
        return answers.flatten(1)


@dataclass(frozen=True, slots=True)
class Way:
    """Rows, and where the way to each of them begins.

    Shape: tensors, everything that the network takes in its order, (B, ...) by name; start (B, ...)
    by input, and typical (1, ...), which a row's categories are compared with. Answers of `served`
    are (B, ...), those of the rows as they are (B, numbers); each number of `explained` is (B,) places in one.
    """

    served: Served
    tensors: Inputs
    start: Inputs
    typical: Inputs
    as_they_are: Tensor
    explained: Explained

    @torch.no_grad()
    def answers(self, instead: Inputs) -> Tensor:
        """Return the answers of the rows, (B, numbers), with other tensors in place of some."""
        found: Tensor = self.served(*{**self.tensors, **instead}.values())
        return found.flatten(1)


def attributions(
    served: Served, table: Table, signature: Signature, card: Mapping[str, Any], view: FeatureView
) -> dict[str, Any]:
    """Return the card's entry: the mean size of what each feature adds, the largest first.

    `gap` is how far the features of a row are from adding up to its answer less the start's, the
    mean over the rows. Empty for a card without a typical row of every input.
    """
    typical = from_card(card)
    names = [one.name for one in signature.inputs]
    if typical is None or not set(names) <= set(typical):
        return {}
    rows = table.take(evenly(len(table), ROWS))
    tensors = tensors_of(rows, signature)
    features = features_of({name: tuple(tensors[name].shape[1:]) for name in names}, view)
    way = way_to(served, tensors, {name: torch.tensor(typical[name]).float() for name in names}, features)
    moved = reached(way)
    named = [one for one in features if one.categories or one.input not in moved]
    added, gap = along(way, moved)
    sizes = {one.name: size_of(added[one.input], one) for one in features if one.input in moved}
    sizes |= {one.name: difference(way, one) for one in named}
    largest = sorted(sizes.items(), key=lambda pair: -pair[1])[:FEATURES_KEPT]
    return {
        "method": "integrated gradients",
        "of": way.explained.words,
        "compared_with": in_words(card),
        "rows": len(rows),
        "gap": float(f"{gap:.3g}"),
        "features": {name: float(f"{size:.6g}") for name, size in largest},
        "by_difference": [one.name for one in named],
    }


def tensors_of(rows: Table, signature: Signature) -> dict[str, Tensor]:
    """Return what the network takes of some rows, in its order: inputs as numbers, and their lengths."""
    found: dict[str, Tensor] = {}
    for one in signature.inputs:
        values = rows.inputs[one.name].trimmed()
        found[one.name] = torch.from_numpy(values.x.astype(np.float32))
        if one.lengths is not None and values.lengths is not None:
            found[one.lengths] = torch.from_numpy(values.lengths)
    return found


def way_to(served: Served, tensors: Inputs, typical: Inputs, features: Sequence[NamedFeature]) -> Way:
    """Return the way to each row; categories stay as in the row."""
    start = {name: row.expand(tensors[name].shape).clone() for name, row in typical.items()}
    for one in features:
        if one.categories:
            start[one.input].flatten(1)[:, one.places] = tensors[one.input].flatten(1)[:, one.places]
    with torch.no_grad():
        answers: Tensor = served(*tensors.values()).flatten(1)
    return Way(served, tensors, start, typical, answers, explained(served.task, answers))


def reached(way: Way) -> list[str]:
    """Return the inputs that a gradient of the answers reaches, so that there is a way through them."""
    tensors = {
        name: tensor[:1].clone().requires_grad_(name in way.start) for name, tensor in way.tensors.items()
    }
    answers: Tensor = way.served(*tensors.values())
    if not answers.requires_grad:
        return []
    inputs = {name: tensors[name] for name in way.start}
    found: Sequence[Tensor | None] = torch.autograd.grad(
        answers.sum(), list(inputs.values()), allow_unused=True
    )
    return [name for name, gradient in zip(inputs, found, strict=True) if gradient is not None]


def along(way: Way, moved: Sequence[str]) -> tuple[dict[str, list[Numbers]], float]:
    """Return what each element adds to each explained number, (B, elements) by input; how far from adding up."""
    added: dict[str, list[Numbers]] = {name: [] for name in moved}
    if not moved:
        return added, 0.0
    kept = [name for name in way.tensors if name not in moved]
    gradients = IntegratedGradients(Answers(way.served, [*way.tensors], moved, kept), multiply_by_inputs=True)
    gaps = []
    for element, weight in way.explained.numbers:
        parts, gap = gradients.attribute(
            tuple(way.tensors[name] for name in moved),
            tuple(way.start[name] for name in moved),
            element,
            tuple(way.tensors[name] for name in kept) or None,
            n_steps=STEPS,
            internal_batch_size=max(FORWARD_ROWS, len(element)),
            return_convergence_delta=True,
        )
        for name, part in zip(moved, parts, strict=True):
            added[name].append(weight * part.detach().flatten(1).double().numpy())
        gaps.append(weight * float(gap.abs().mean()))
    return added, float(np.mean(gaps))


def size_of(added: Sequence[Numbers], feature: NamedFeature) -> float:
    """Return the mean size of what a feature adds, over rows and numbers."""
    return float(np.mean([np.abs(one[:, feature.places].sum(1)).mean() for one in added]))


def difference(way: Way, feature: NamedFeature) -> float:
    """Return the mean size of the difference that a feature makes to the rows as they are."""
    own = way.tensors[feature.input]
    other = own.clone()
    typical = way.typical[feature.input].expand(own.shape)
    other.flatten(1)[:, feature.places] = typical.flatten(1)[:, feature.places]
    return float(np.mean([*differences(way, {feature.input: other})]))


def differences(way: Way, instead: Inputs) -> Iterator[float]:
    """Yield how much each explained number changes with other tensors, the mean over the rows."""
    changes = way.answers(instead) - way.as_they_are
    for element, weight in way.explained.numbers:
        change = changes.gather(-1, element[:, None])
        yield weight * float(change.abs().mean())
