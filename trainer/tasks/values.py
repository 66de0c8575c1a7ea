"""Numbers that are asked for: a value, several, their quantiles, the steps to come.

A network learns each shifted and scaled by what the training rows have; answers are in its own unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.answers import MEDIAN


@dataclass(frozen=True, slots=True)
class Unit:
    """Where the numbers of the training rows lie and how far they spread, one of each a column."""

    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)

    @classmethod
    def of(cls, targets: NDArray[np.generic]) -> "Unit":
        """Measure targets: (N,) or (N, ..., columns)."""
        columns = targets.astype(np.float64).reshape(-1, targets.shape[-1] if targets.ndim > 1 else 1)
        deviation = columns.std(0)
        return cls(
            tuple(map(float, columns.mean(0))),
            tuple(
                float(one) or 1.0 for one in np.where(deviation > 1e-12 * abs(columns).max(0), deviation, 0)
            ),
        )

    @classmethod
    def within(cls, ranges: Sequence[tuple[float, float]]) -> "Unit":
        """Return the unit of numbers that lie evenly in ranges, whatever rows there are."""
        return cls(
            tuple((low + high) / 2 for low, high in ranges),
            tuple((high - low) / sqrt(12) for low, high in ranges),
        )

    @property
    def columns(self) -> int:
        """How many there are."""
        return len(self.mean)

    def shifted(self, targets: Tensor) -> Tensor:
        """Return numbers in deviations from the mean."""
        return (targets - row(self.mean, targets)) / row(self.deviation, targets)

    def own(self, numbers: Tensor) -> Tensor:
        """Return numbers in their own unit again."""
        return numbers * row(self.deviation, numbers) + row(self.mean, numbers)


ONE = Unit()  # a single number, as it is


def row(numbers: tuple[float, ...], like: Tensor) -> Tensor | float:
    """Return a number, or where there are several a row of them."""
    return numbers[0] if len(numbers) == 1 else like.new_tensor(numbers)


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A value with its quantiles, or several: (B, Q), or (B, columns, Q). They never cross.

    The head gives the lowest and how far the next is above it, which is never below nothing.
    Source of the loss: Koenker and Bassett 1978, Regression Quantiles.
    """

    shares: tuple[float, ...]
    unit: Unit = ONE
    output: str = "quantiles"
    metric: str = "pinball"

    @property
    def outputs(self) -> int:
        """A number for each quantile of each column."""
        return self.unit.columns * len(self.shares)

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Mean pinball loss in deviations of the training targets."""
        wanted = self.unit.shifted(targets.reshape(len(targets), -1))
        return self.pinball(self.ascending(raw), wanted).mean()

    def pinball(self, said: Tensor, wanted: Tensor) -> Tensor:
        """Shape: (B, columns, Q), (B, columns) -> (B, columns, Q)."""
        shares = said.new_tensor(self.shares)
        above = wanted[..., None] - said
        return torch.maximum(shares * above, (shares - 1) * above)

    def ascending(self, raw: Tensor) -> Tensor:
        """Return quantiles in deviations: (B, columns, Q)."""
        parts = raw.reshape(-1, self.unit.columns, len(self.shares))
        rises = torch.cat([parts[..., :1], functional.softplus(parts[..., 1:])], -1)
        return rises.cumsum(-1)

    def answer(self, raw: Tensor) -> Tensor:
        """Return the quantiles in their own unit."""
        own = self.unit.own(self.ascending(raw).transpose(1, 2)).transpose(1, 2)
        return own.squeeze(1) if self.unit.columns == 1 else own

    def score(self, raw: Tensor, targets: Tensor) -> float:
        """Mean pinball loss in the value's own unit."""
        said = self.answer(raw).reshape(-1, self.unit.columns, len(self.shares))
        return float(self.pinball(said, targets.reshape(len(targets), -1)).mean())

    @property
    def median(self) -> int:
        """Which of the quantiles is the value."""
        return self.shares.index(MEDIAN)


@dataclass(frozen=True, slots=True)
class Forecasting:
    """The steps to come: (B, steps), or (B, steps, channels)."""

    steps: int
    unit: Unit = ONE
    output: str = "forecast"
    metric: str = "rmse"

    @property
    def outputs(self) -> int:
        """A number for each channel of each step."""
        return self.steps * self.unit.columns

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error in deviations of the training targets."""
        return functional.mse_loss(self.by_step(raw), self.unit.shifted(targets))

    def by_step(self, raw: Tensor) -> Tensor:
        """Return numbers by step and channel: (B, steps, channels)."""
        return raw.reshape(-1, self.steps, self.unit.columns)

    def answer(self, raw: Tensor) -> Tensor:
        """Return the steps in their own unit."""
        own = self.unit.own(self.by_step(raw))
        return own.squeeze(2) if self.unit.columns == 1 else own

    def score(self, raw: Tensor, targets: Tensor) -> float:
        """Root of the mean squared error, in the value's own unit."""
        return float((self.unit.own(self.by_step(raw)) - targets).square().mean().sqrt())
