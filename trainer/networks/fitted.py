"""Scaling whose numbers are measured on the training rows before anything is learned.

Rows are looked at in parts, so measuring never holds a second copy of them; medians and quantiles
are those of an even sample where there are more than a few million numbers.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.layers.layer import Layer
from models.layers.scaling import Fitted, Quantile
from trainer.networks.forms import Form
from trainer.networks.steps import Flow, Step, is_real

SAMPLE_LIMIT = 1 << 22  # numbers, 32 MiB of them
ALIKE = 1e-12  # of its size, below which a channel's spread is only rounding
STEEPEST = 1e30  # a finite stand-in for one over nothing: 0 times it is 0

Parts = Callable[[], Iterator[Flow]]


class FittedStep(Step):
    """A layer whose numbers are measured on the training rows."""

    def fit(self, parts: Parts) -> None:
        """Measure all rows; `parts` gives them, as the layers before left them, from the start each time."""
        raise NotImplementedError


class FittedScale(FittedStep):
    """(x - shift) * factor for each channel.

    A channel that is always the same keeps its size: it is only shifted to 0.
    """

    shift: Tensor
    factor: Tensor

    def __init__(self, kind: str, form: Form) -> None:
        super().__init__()
        self.measure = MEASURES[kind]
        shape = (form.channels, 1, 1) if form.rank == 3 else (form.channels,)
        self.register_buffer("shift", torch.zeros(shape))
        self.register_buffer("factor", torch.ones(shape))

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: unchanged."""
        return (x - self.shift) * self.factor, lengths

    def fit(self, parts: Parts) -> None:
        """Measure every channel over all rows, and over all steps or pixels that are no padding."""
        shift, spread = self.measure(parts)
        spread = torch.where(spread > ALIKE * (1 + shift.abs()), spread, 1.0)
        self.shift.copy_(shift.reshape(self.shift.shape))
        self.factor.copy_((1 / spread).reshape(self.factor.shape))


def mean_and_deviation(parts: Parts) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of each channel."""
    mean, variance = moments(parts, lambda around: around.square().sum(0))
    return mean, variance.sqrt()


def moments(parts: Parts, summed: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the mean of each channel and what the products around it come to on average, in double precision.

    `summed` gives the sum of the products of some rows that lie around 0: (rows, channels) -> any shape.
    Source: Chan et al. 1979, merging of moments.
    """
    count, mean, products = 0, torch.zeros(()), torch.zeros(())
    for values in channels(parts):
        more, other = len(values), values.mean(0)
        apart = other - mean
        products = products + summed(values - other) + summed(apart[None]) * (count * more / (count + more))
        count += more
        mean = mean + apart * (more / count)
    return mean, products / count


def least_and_range(parts: Parts) -> tuple[Tensor, Tensor]:
    """Return the least of each channel and how far the largest is from it."""
    ends = [(values.amin(0), values.amax(0)) for values in channels(parts)]
    least, most = (
        torch.stack([low for low, _ in ends]).amin(0),
        torch.stack([high for _, high in ends]).amax(0),
    )
    return least, most - least


def median_and_quartiles(parts: Parts) -> tuple[Tensor, Tensor]:
    """Return the median of each channel and how far its quartiles are apart.

    Where more than half of the numbers are one and the same, the deviation takes their place.
    """
    values = sample(parts)
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
    spread = np.where(high > low, high - low, values.std(0))
    return torch.from_numpy(median), torch.from_numpy(spread)


MEASURES: dict[str, Callable[[Parts], tuple[Tensor, Tensor]]] = {
    "standardize": mean_and_deviation,
    "min_max": least_and_range,
    "robust": median_and_quartiles,
}


class QuantileScale(FittedStep):
    """The share of the training rows below each number: a line of straight pieces for each channel.

    A sum of ramps, each held between 0 and 1, so that it is a few plain operators in a graph.
    """

    start: Tensor
    slope: Tensor
    height: Tensor
    base: Tensor

    def __init__(self, spec: Quantile, form: Form) -> None:
        super().__init__()
        self.normal, self.knots, self.image = spec.to == "normal", spec.knots, form.rank == 3
        for name in ("start", "slope", "height"):
            self.register_buffer(name, torch.zeros(form.channels, spec.knots - 1))
        self.register_buffer("base", torch.zeros(form.channels))

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: unchanged."""
        last = x.movedim(1, -1) if self.image else x
        ramps = ((last[..., None] - self.start) * self.slope).clamp(0, 1)  # (..., channels, knots - 1)
        result = (ramps * self.height).sum(-1) + self.base
        return (result.movedim(-1, 1) if self.image else result), lengths

    def fit(self, parts: Parts) -> None:
        """Measure the quantiles of every channel."""
        values = sample(parts)
        shares = np.linspace(0, 1, self.knots)
        for channel, column in enumerate(np.quantile(values, shares, axis=0).T):
            knots, ranks = middle_ranks(column.astype(np.float32), shares)
            heights = torch.from_numpy(ranks)
            if self.normal:
                edge = 0.5 / len(values)
                heights = torch.special.ndtri(heights.clamp(edge, 1 - edge))
            pieces = len(knots) - 1
            self.start[channel, :pieces] = torch.from_numpy(knots[:-1])
            self.slope[channel, :pieces] = (1 / torch.from_numpy(np.diff(knots))).clamp(max=STEEPEST)
            self.height[channel, :pieces] = heights.diff()
            self.base[channel] = heights[0]


def middle_ranks(
    quantiles: NDArray[np.float32], shares: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return each different number once with the middle of its shares; the ends keep 0 and 1."""
    knots, first, counts = np.unique(quantiles, return_index=True, return_counts=True)
    ranks = (shares[first] + shares[first + counts - 1]) / 2
    if len(knots) > 1:
        ranks[0], ranks[-1] = 0, 1
    return knots, ranks


def channels(parts: Parts) -> Iterator[Tensor]:
    """Give every real value of each channel, part by part: (values, channels) in double precision."""
    for x, lengths in parts():
        yield channel_values(x, lengths).double()


def channel_values(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return every real value of each channel: (values, channels)."""
    if x.ndim == 4:
        return x.transpose(0, 1).flatten(1).T
    if lengths is not None:
        return x[is_real(x, lengths)]
    return x.reshape(-1, x.shape[-1])


def sample(parts: Parts) -> NDArray[np.float64]:
    """Return the values of each channel, where there are too many evenly thinned: (values, channels)."""
    every, kept, held = 1, [], 0
    for values in channels(parts):
        kept.append(values[::every].cpu().numpy())
        held += kept[-1].size
        while held > SAMPLE_LIMIT:
            every, kept = 2 * every, [one[::2] for one in kept]
            held = sum(one.size for one in kept)
    return np.concatenate(kept)


def fitted(spec: Fitted, form: Form) -> tuple[Step, Form]:
    """Build a shift and a factor."""
    return FittedScale(spec.layer, form), form


def quantile(spec: Quantile, form: Form) -> tuple[Step, Form]:
    """Build a scale of quantiles."""
    return QuantileScale(spec, form), form


BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {Fitted: fitted, Quantile: quantile}
