"""Whitening: channels turned to their principal components, each of deviation 1, as the training rows have them."""

from collections.abc import Callable

import torch
from torch import Tensor

from models.layers.layer import Layer
from models.layers.scaling import Whiten
from trainer.networks.fitted import ALIKE, FittedStep, Parts, moments
from trainer.networks.forms import DoesNotFit, Form
from trainer.networks.steps import Flow, Step

WIDEST = 2048  # channels: 16 MiB in the graph, and some ten seconds to find the components


class Whitening(FittedStep):
    """(x - mean) @ turn for each vector, step or pixel; the first component is the one that varies most."""

    mean: Tensor
    turn: Tensor

    def __init__(self, spec: Whiten, form: Form) -> None:
        super().__init__()
        self.shrink, self.image = spec.shrink, form.rank == 3
        self.register_buffer("mean", torch.zeros(form.channels))
        self.register_buffer("turn", torch.eye(form.channels))

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: unchanged."""
        last = x.movedim(1, -1) if self.image else x
        result = (last - self.mean) @ self.turn
        return (result.movedim(-1, 1) if self.image else result), lengths

    def fit(self, parts: Parts) -> None:
        """Measure how the channels vary together; where none of them varies they are only shifted to 0."""
        mean, covariance = moments(parts, lambda around: around.T @ around)
        self.mean.copy_(mean)
        variances, components = torch.linalg.eigh(covariance)
        least = self.shrink * variances.clamp(min=0).mean()
        if least.sqrt() > ALIKE * (1 + mean.abs().max()):
            # A component has two directions: the one in which its largest part is above 0 is taken.
            largest = components.gather(0, components.abs().argmax(0, keepdim=True))
            turn = components * largest.sign() / (variances.clamp(min=0) + least).sqrt()
            self.turn.copy_(turn.flip(1))


def whiten(spec: Whiten, form: Form) -> tuple[Step, Form]:
    """Build a turn to principal components."""
    if form.channels > WIDEST:
        raise DoesNotFit(
            f"{WIDEST} channels at most", "take `standardize`, or a layer that narrows before it"
        )
    return Whitening(spec, form), form


BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {Whiten: whiten}
