"""Attention: one encoder block over the steps of a sequence, its padding left out.

Written out, so that the number of steps stays free in the exported graph.
"""

from collections.abc import Callable
from math import log, sqrt

import torch
from torch import Tensor, nn

from models.layers.layer import Layer
from models.layers.sequences import Attention
from trainer.networks.forms import DoesNotFit, Form
from trainer.networks.pools import LOWEST
from trainer.networks.steps import Flow, Step, is_real

LONGEST_WAVE = 10_000.0  # Vaswani et al. 2017, section 3.5


class EncoderBlock(Step):
    """Attention and a small network on each step, each added to what came in."""

    def __init__(self, spec: Attention, width: int) -> None:
        super().__init__()
        self.heads, self.positions = spec.heads, spec.positions
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asked = nn.Linear(width, 3 * width)
        self.told = nn.Linear(width, width)
        inner = spec.feedforward * width
        self.each = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
        self.dropout = nn.Dropout(spec.dropout)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: unchanged, (B, T, F)."""
        if self.positions:
            x = x + waves(x)
        x = x + self.dropout(self.attend(self.before(x), lengths))
        return x + self.dropout(self.each(self.between(x))), lengths

    def attend(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Return for each step a mean of all real steps, weighted by how much it asks for each."""
        batch, steps, width = x.shape
        shape = (batch, steps, 3, self.heads, width // self.heads)
        query, key, value = self.asked(x).reshape(shape).permute(2, 0, 3, 1, 4)  # each (B, heads, T, F')
        scores = query @ key.transpose(-1, -2) / sqrt(width // self.heads)  # (B, heads, T, T)
        if lengths is not None:
            scores = torch.where(is_real(x, lengths)[:, None, None, :], scores, LOWEST)
        seen = (torch.softmax(scores, -1) @ value).transpose(1, 2)  # (B, T, heads, F')
        result: Tensor = self.told(seen.reshape(batch, steps, width))
        return result


def waves(x: Tensor) -> Tensor:
    """Return a number for each place and feature: sines and cosines from short to long waves, (T, F)."""
    width = x.shape[-1]
    half = (width + 1) // 2
    rates = torch.exp(torch.arange(half, device=x.device) * (-log(LONGEST_WAVE) / half))
    angles = torch.arange(x.shape[1], device=x.device)[:, None] * rates[None, :]
    return torch.cat([angles.sin(), angles.cos()], -1)[:, :width]


def attention(spec: Attention, form: Form) -> tuple[Step, Form]:
    """Build an encoder block."""
    if form.rank != 2:
        raise DoesNotFit("(steps, features)", "`reshape: [steps, features]` makes one of fixed length")
    if form.channels % spec.heads:
        raise DoesNotFit(
            f"features that {spec.heads} heads share evenly", "put `linear` before it, or take fewer heads"
        )
    return EncoderBlock(spec, form.channels), form


BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {Attention: attention}
