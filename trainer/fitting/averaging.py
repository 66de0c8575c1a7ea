"""A running mean of a network's weights: steadier than the weights themselves, and what is kept."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class RunningMean:
    """Exponential mean of every number of a network, batch statistics included.

    Source: Polyak and Juditsky 1992; the decay grows with the steps as in TensorFlow's
    ExponentialMovingAverage, so that the first weights are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self._live = floats(network)
        self.means = [one.detach().clone() for one in self._live]

    @torch.no_grad()
    def follow(self) -> None:
        """Take the weights of one more step into account."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.means, self._live, 1 - decay)  # all in one call

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network have the mean for a while."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for live, mean in zip(self._live, self.means, strict=True):
            live.data, mean.data = mean.data, live.data


def floats(network: nn.Module) -> list[Tensor]:
    """Return every parameter and statistic that can be averaged."""
    every = (*network.parameters(), *network.buffers())
    return [one for one in every if one.is_floating_point()]
