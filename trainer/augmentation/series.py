"""Sequences cut, moved, scaled and made noisy, each row by numbers of its own; padding stays zero."""

import torch
from torch import Tensor

from models.recipe_augmentation import SeriesAugmentation
from trainer.networks.fitted import channel_values
from trainer.networks.steps import Flow, padding_as


class Series:
    """What is done to one input of sequences."""

    def __init__(self, spec: SeriesAugmentation, training: Flow) -> None:
        """Measure the deviation of each channel over the training steps."""
        self.spec = spec
        self.deviation = channel_values(*training).std(0, correction=0) if spec.jitter else None

    def __call__(self, flow: Flow) -> Flow:
        """Shape: (B, T, F), unchanged; with free lengths a row may become shorter."""
        x, lengths = flow
        if self.spec.crop < 1:
            x, lengths = (
                stretched(x, self.spec.crop) if lengths is None else cropped(x, lengths, self.spec.crop)
            )
        if self.spec.shift:
            x = moved(x, lengths, self.spec.shift)
        if self.spec.scale:
            x = x * (1 + self.spec.scale * torch.randn_like(x[:, :1]))
        if self.deviation is not None:
            x = x + torch.randn_like(x) * (self.spec.jitter * self.deviation)
        return padding_as(x, lengths, 0.0), lengths


def cropped(x: Tensor, lengths: Tensor, least: float) -> Flow:
    """Return a window of each row, no shorter than its share of the row, moved to the beginning."""
    kept = least + (1 - least) * torch.rand(len(x), device=x.device)
    steps = (lengths * kept).ceil().long().clamp(min=1)
    start = (torch.rand(len(x), device=x.device) * (lengths - steps + 1)).long()
    places = start[:, None] + torch.arange(x.shape[1], device=x.device)
    return at(x, torch.minimum(places, (lengths - 1)[:, None])), steps


def stretched(x: Tensor, least: float) -> Flow:
    """Return a window of each row stretched to all steps, between two steps by a straight line.

    Source: Le Guennec et al. 2016, Data Augmentation for Time Series Classification.
    """
    last = x.shape[1] - 1
    kept = least + (1 - least) * torch.rand(len(x), 1, device=x.device)
    start = torch.rand(len(x), 1, device=x.device) * last * (1 - kept)
    places = start + kept * torch.arange(last + 1, device=x.device)  # (B, T)
    before = places.long().clamp(max=last)
    part = (places - before)[:, :, None]
    return torch.lerp(at(x, before), at(x, (before + 1).clamp(max=last)), part), None


def moved(x: Tensor, lengths: Tensor | None, most: int) -> Tensor:
    """Return each row some steps earlier or later; the step at its end is repeated."""
    by = torch.randint(-most, most + 1, (len(x), 1), device=x.device)
    places = (torch.arange(x.shape[1], device=x.device) - by).clamp(min=0)
    last = torch.full_like(by, x.shape[1] - 1) if lengths is None else (lengths - 1)[:, None]
    return at(x, torch.minimum(places, last))


def at(x: Tensor, places: Tensor) -> Tensor:
    """Return the steps of each row at its own places: (B, T, F)."""
    return x.gather(1, places[:, :, None].expand(-1, -1, x.shape[2]))
