"""Residual blocks: what layers give, added to what they get.

Where the shapes differ, what they get is first brought to the new number of steps or pixels (the
nearest step, the mean of pixels) and then, by one learned linear map, to the new channels.
Source: He et al. 2016, Identity Mappings in Deep Residual Networks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainer.networks.adaptive import PixelParts
from trainer.networks.forms import Form
from trainer.networks.steps import Flow, Step


class ResidualBlock(Step):
    """Layers and the way around them."""

    def __init__(self, steps: Sequence[Step], before: Form, after: Form) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)
        self.keeps_steps = all(step.keeps_steps for step in steps)
        self.shrink: nn.Module | None = None
        if before.rank == 3 and before.dims[1:] != after.dims[1:]:
            self.shrink = PixelParts(after.fixed[1:3], largest=False)  # type: ignore[arg-type]  # height, width
        self.project: nn.Module | None = None
        if before.channels != after.channels:
            pixels = before.rank == 3
            self.project = (
                nn.Conv2d(before.channels, after.channels, 1)
                if pixels
                else nn.Linear(before.channels, after.channels)
            )

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: as the layers."""
        inner, after = x, lengths
        for step in self.steps:
            inner, after = step(inner, after)
        around = x if self.keeps_steps else nearest_steps(x, lengths, inner, after)
        around = around if self.shrink is None else self.shrink(around)
        return inner + (around if self.project is None else self.project(around)), after


def nearest_steps(x: Tensor, lengths: Tensor | None, inner: Tensor, after: Tensor | None) -> Tensor:
    """Return the steps of x that stand where those of `inner` do: (B, T, F) -> (B, T', F)."""
    number = torch.arange(inner.shape[1], device=x.device)
    if lengths is None or after is None:
        return x[:, number * x.shape[1] // inner.shape[1]]
    source = (number[None, :] * lengths[:, None] // after[:, None].clamp(min=1)).clamp(max=x.shape[1] - 1)
    return x.gather(1, source[:, :, None].expand(-1, -1, x.shape[2]))
