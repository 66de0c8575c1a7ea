"""Scaling by fixed numbers, and normalisation that is learned."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.layer import Layer
from models.layers.scaling import Clip, GroupNorm, Log1p, Normalisation, Scale
from trainer.networks.forms import DoesNotFit, Form
from trainer.networks.steps import Each, Flow, Step, is_real


class Divide(nn.Module):
    """Every number divided by one."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        """Shape: unchanged."""
        return x / self.by


class SignedLog(nn.Module):
    """log(1 + x), mirrored for negative x, so that every number has one."""

    def forward(self, x: Tensor) -> Tensor:
        """Shape: unchanged."""
        return torch.sign(x) * torch.log1p(x.abs())


class Hold(nn.Module):
    """Every number held between two bounds."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        """Shape: unchanged."""
        return x.clamp(self.low, self.high)


class SequenceNorm(Step):
    """Batch normalisation of each step's features; padding is not counted."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: unchanged, (B, T, F)."""
        if not self.training or lengths is None:
            return self.norm(x.transpose(1, 2)).transpose(1, 2), lengths
        real = is_real(x, lengths)
        result = torch.zeros_like(x)
        result[real] = self.norm(x[real])
        return result, lengths


class StepGroupNorm(nn.Module):
    """Group normalisation of a vector or of each step by itself, so padding cannot reach it."""

    def __init__(self, groups: int, features: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        """Shape: unchanged, (..., F)."""
        width = x.shape[-1] // self.groups
        groups = functional.layer_norm(x.reshape(*x.shape[:-1], self.groups, width), (width,))
        return groups.reshape(x.shape) * self.weight + self.bias


def divide(spec: Scale, form: Form) -> tuple[Step, Form]:
    """Build a division."""
    return Each(Divide(spec.divide_by)), form


def log1p(_spec: Log1p, form: Form) -> tuple[Step, Form]:
    """Build a logarithm."""
    return Each(SignedLog()), form


def hold(spec: Clip, form: Form) -> tuple[Step, Form]:
    """Build two bounds."""
    return Each(Hold(spec.low, spec.high)), form


def normalisation(spec: Normalisation, form: Form) -> tuple[Step, Form]:
    """Build a normalisation over rows or over each row's features."""
    width = form.channels
    if spec.layer == "layer_norm":
        return Each(nn.GroupNorm(1, width) if form.rank == 3 else nn.LayerNorm(width)), form
    if form.rank == 2:
        return SequenceNorm(width), form
    return Each(nn.BatchNorm2d(width) if form.rank == 3 else nn.BatchNorm1d(width)), form


def group_norm(spec: GroupNorm, form: Form) -> tuple[Step, Form]:
    """Build a normalisation over groups of channels."""
    width = form.channels
    if width % spec.groups:
        raise DoesNotFit(
            f"channels that part into {spec.groups} equal groups", "take a divisor of the channels"
        )
    norm = nn.GroupNorm(spec.groups, width) if form.rank == 3 else StepGroupNorm(spec.groups, width)
    return Each(norm), form


BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {
    Scale: divide,
    Log1p: log1p,
    Clip: hold,
    Normalisation: normalisation,
    GroupNorm: group_norm,
}
