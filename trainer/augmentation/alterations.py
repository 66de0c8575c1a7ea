"""Training rows altered by chance, a batch at a time, on tensors: images, series, mixed pairs.

Only what learns asks for this; validation and held-out rows never come here. Every number is drawn
from PyTorch's own generator, so a seed repeats it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Beta

from models.recipe_training import Training
from trainer.augmentation.images import Images
from trainer.augmentation.series import Series
from trainer.fitting.rows import Rows
from trainer.networks.network import Inputs, Network
from trainer.networks.steps import Flow, padding_as


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as the network sees them; mixed ones are so by `share`, the rest of it by `others`."""

    inputs: Inputs
    targets: Tensor
    others: Tensor | None = None
    share: float = 1.0


class Alteration:
    """What a recipe does to every batch before the network learns from it."""

    def __init__(self, network: Network, training: Training, rows: Rows) -> None:
        augment = training.augment
        self._altered: Mapping[str, Images | Series] = {}
        for name, flow in rows.inputs.items():
            kind = network.kind(name)
            if kind == "image" and augment.image != type(augment.image)():
                self._altered = {**self._altered, name: Images(augment.image, flow)}
            if kind == "series" and augment.series != type(augment.series)():
                self._altered = {**self._altered, name: Series(augment.series, flow)}
        self._mixing = Beta(training.mixup, training.mixup) if training.mixup else None

    def __call__(self, rows: Rows) -> Batch:
        """Return a batch with some of its rows altered."""
        inputs = rows.inputs
        if self._altered:
            inputs = {
                name: self._altered[name](flow) if name in self._altered else flow
                for name, flow in inputs.items()
            }
        if self._mixing is None:
            return Batch(inputs, rows.targets)
        share = float(self._mixing.sample())
        order = torch.randperm(len(rows)).to(rows.device)
        mixed_inputs = {name: mixed(flow, order, share) for name, flow in inputs.items()}
        return Batch(mixed_inputs, rows.targets, rows.targets[order], share)


def mixed(flow: Flow, order: Tensor, share: float) -> Flow:
    """Return each row mixed with another; a shorter sequence ends in zeros.

    Source: Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization.
    """
    x, lengths = flow
    x = padding_as(x, lengths, 0.0)
    x = share * x + (1 - share) * x[order]
    return x, None if lengths is None else torch.maximum(lengths, lengths[order])
