"""Activations, maxout and prelu included."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.layers.activations import Activation, Elu, LeakyRelu, Maxout, Prelu
from models.layers.layer import Layer
from trainer.networks.forms import DoesNotFit, Form
from trainer.networks.steps import Each, Step

PLAIN: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "mish": nn.Mish,
    "hard_sigmoid": nn.Hardsigmoid,
    "hard_swish": nn.Hardswish,
    "hard_tanh": nn.Hardtanh,
    "none": nn.Identity,
}


class MaxoutUnits(nn.Module):
    """The largest of several linear functions. Source: Goodfellow et al. 2013, Maxout Networks."""

    def __init__(self, width: int, features: int, pieces: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, features * pieces)
        self.split = (features, pieces)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (..., width) -> (..., features)."""
        pieces: Tensor = self.linear(x)
        return pieces.reshape(*pieces.shape[:-1], *self.split).amax(-1)


class ChannelPrelu(nn.Module):
    """A leaky relu with a learned slope; unlike `nn.PReLU` the channels may be the last axis."""

    def __init__(self, shape: tuple[int, ...], slope: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.full(shape, slope))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: unchanged."""
        return torch.where(x > 0, x, self.slope * x)


def activation(spec: Activation, form: Form) -> tuple[Step, Form]:
    """Build an activation without numbers of its own."""
    axis = 1 if form.rank == 3 else -1
    if spec.layer == "softmax":
        return Each(nn.Softmax(axis)), form
    if spec.layer == "log_softmax":
        return Each(nn.LogSoftmax(axis)), form
    return Each(PLAIN[spec.layer]()), form


def leaky_relu(spec: LeakyRelu, form: Form) -> tuple[Step, Form]:
    """Build a leaky relu."""
    return Each(nn.LeakyReLU(spec.slope)), form


def elu(spec: Elu, form: Form) -> tuple[Step, Form]:
    """Build an elu."""
    return Each(nn.ELU(spec.alpha)), form


def prelu(spec: Prelu, form: Form) -> tuple[Step, Form]:
    """Build a prelu, one slope or one a channel."""
    shape = (form.channels if spec.each_channel else 1, *((1, 1) if form.rank == 3 else ()))
    return Each(ChannelPrelu(shape, spec.slope)), form


def maxout(spec: Maxout, form: Form) -> tuple[Step, Form]:
    """Build maxout units over the features of a vector or of each step."""
    if form.rank == 3:
        raise DoesNotFit("(features) or (steps, features)", "put `flatten` before it")
    return Each(MaxoutUnits(form.channels, spec.features, spec.pieces)), form.with_channels(spec.features)


BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {
    Activation: activation,
    LeakyRelu: leaky_relu,
    Elu: elu,
    Prelu: prelu,
    Maxout: maxout,
}
