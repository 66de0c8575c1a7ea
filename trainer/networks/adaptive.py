"""Adaptive pooling: every row parted into as many windows, whatever its size.

Part i of n covers the numbers from floor(i * size / n) to ceil((i + 1) * size / n), as in PyTorch.
Written out, because ONNX has no such operator and the sizes of rows stay free.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.layers.layer import Layer
from models.layers.windows import AdaptivePool
from trainer.networks.forms import DoesNotFit, Form
from trainer.networks.pools import LOWEST
from trainer.networks.steps import Each, Flow, Step, padding_as


class StepParts(Step):
    """The largest or mean number of each part of a sequence, each row parted by its own length."""

    keeps_steps = False

    def __init__(self, size: int, largest: bool) -> None:
        super().__init__()
        self.size, self.largest = size, largest

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: (B, T, F) -> (B, size, F); every row is whole afterwards."""
        steps = torch.arange(x.shape[1], device=x.device)
        whole = torch.full_like(x[:, 0, 0], 1, dtype=torch.int64) * x.shape[1]
        inside = parts(steps, whole if lengths is None else lengths, self.size)  # (B, size, T)
        if self.largest:
            return torch.where(inside[..., None], x[:, None], LOWEST).amax(2), None
        share = inside.to(x.dtype) / inside.sum(-1, keepdim=True).clamp(min=1).to(x.dtype)
        return share @ padding_as(x, lengths, 0.0), None


def parts(steps: Tensor, lengths: Tensor, size: int) -> Tensor:
    """Return which steps each part covers: (B, size, T) bool."""
    number = torch.arange(size, device=steps.device)[None, :]
    first = (number * lengths[:, None]) // size
    beyond = ((number + 1) * lengths[:, None] + size - 1) // size
    return (steps >= first[..., None]) & (steps < beyond[..., None])


class PixelParts(nn.Module):
    """The largest or mean number of each part of an image, along both sides."""

    def __init__(self, size: tuple[int, int], largest: bool) -> None:
        super().__init__()
        self.size, self.largest = size, largest

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, C, H, W) -> (B, C, *size)."""
        rows = self.along(x.transpose(-1, -2), self.size[0]).transpose(-1, -2)
        return self.along(rows, self.size[1])

    def along(self, x: Tensor, size: int) -> Tensor:
        """Sum up the last axis."""
        side = x.shape[-1]
        if side == size:
            return x
        windows = [x[..., at * side // size : -(-(at + 1) * side // size)] for at in range(size)]
        return torch.stack([one.amax(-1) if self.largest else one.mean(-1) for one in windows], -1)


def adaptive_pool(spec: AdaptivePool, form: Form) -> tuple[Step, Form]:
    """Build equal parts along steps or over pixels."""
    largest = spec.layer == "adaptive_max_pool"
    if form.rank == 1:
        raise DoesNotFit("(steps, features) or (channels, height, width)", "take it out, or `reshape` first")
    if form.rank == 2:
        return StepParts(spec.size, largest), Form((spec.size, form.channels))
    size = (spec.size, spec.size)
    return Each(PixelParts(size, largest)), Form((form.channels, *size))


BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {AdaptivePool: adaptive_pool}
