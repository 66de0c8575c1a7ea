"""Pooling: the largest or the mean number of each window, or of a whole row.

Along steps the last window may be shorter than the others, so that a row of any length keeps all
its steps; over pixels a rest that fills no window is left out, as PyTorch does.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.layers.layer import Layer
from models.layers.windows import GlobalPool, Pool
from trainer.networks.convolutions import Windows
from trainer.networks.forms import DoesNotFit, Form
from trainer.networks.steps import Each, Flow, Step, is_real, padding_as

LOWEST = torch.finfo(torch.float32).min


class StepPool(Step):
    """Windows along the steps of a sequence."""

    def __init__(self, size: int, stride: int, largest: bool) -> None:
        super().__init__()
        self.size, self.stride, self.largest = size, stride, largest
        self.keeps_steps = stride == 1

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: (B, T, F) -> (B, ceil(T / stride), F)."""
        result = (self.maxima(x, lengths) if self.largest else self.means(x, lengths)).transpose(1, 2)
        if lengths is None:
            return result, None
        lengths = (lengths + self.stride - 1) // self.stride
        # a window of padding alone has no largest number, and what stands in for it would overflow later
        return padding_as(result, lengths, 0.0), lengths

    def maxima(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Largest of each window: (B, F, T')."""
        columns = padding_as(x, lengths, LOWEST).transpose(1, 2)
        filled = functional.pad(columns, (0, self.size - 1), value=LOWEST)
        # max_pool1d would fix the number of steps when it is exported; with an axis more it stays free
        pooled = functional.max_pool2d(filled[..., None], (self.size, 1), (self.stride, 1))
        return pooled.squeeze(-1)

    def means(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Mean of the real steps of each window: (B, F, T')."""
        real = torch.ones_like(x[:, :, 0]) if lengths is None else is_real(x, lengths).to(x.dtype)
        columns = functional.pad(padding_as(x, lengths, 0.0).transpose(1, 2), (0, self.size - 1))
        counts = functional.pad(real[:, None, :], (0, self.size - 1))
        shares = functional.avg_pool1d(counts, self.size, self.stride)
        return functional.avg_pool1d(columns, self.size, self.stride) / shares.clamp(min=1 / self.size)


class StepSummary(Step):
    """One vector for a whole sequence."""

    def __init__(self, largest: bool) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: (B, T, F) -> (B, F)."""
        if self.largest:
            return padding_as(x, lengths, LOWEST).amax(1), None
        if lengths is None:
            return x.mean(1), None
        return padding_as(x, lengths, 0.0).sum(1) / lengths[:, None].to(x.dtype), None


class PixelSummary(nn.Module):
    """One number a channel for a whole image."""

    def __init__(self, largest: bool) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, C, H, W) -> (B, C)."""
        return x.amax((2, 3)) if self.largest else x.mean((2, 3))


def pool(spec: Pool, form: Form) -> tuple[Step, Form]:
    """Build windows along steps or over pixels."""
    stride, largest = spec.stride or spec.size, spec.layer == "max_pool"
    if form.rank == 1:
        raise DoesNotFit("(steps, features) or (channels, height, width)", "take it out, or `reshape` first")
    if form.rank == 2:
        steps = form.dims[0]
        after = None if steps is None else -(-steps // stride)
        return StepPool(spec.size, stride, largest), Form((after, form.channels))
    sides = [Windows(spec.size, stride).count(side) for side in form.fixed[1:]]
    kind = nn.MaxPool2d if largest else nn.AvgPool2d
    return Each(kind(spec.size, stride)), Form((form.channels, *sides))


def global_pool(spec: GlobalPool, form: Form) -> tuple[Step, Form]:
    """Build one vector for a whole sequence or image."""
    largest = spec.layer == "global_max_pool"
    if form.rank == 1:
        raise DoesNotFit("(steps, features) or (channels, height, width)", "take it out")
    step = StepSummary(largest) if form.rank == 2 else Each(PixelSummary(largest))
    return step, Form((form.channels,))


BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {Pool: pool, GlobalPool: global_pool}
