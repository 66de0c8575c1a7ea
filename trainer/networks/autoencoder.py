"""Autoencoder: a network that gives its rows again, and by how much it misses each.

What is given again is the row as the first layers scale it: those that only scale and reshape. A
network that ends in a vector gives all of a row of fixed size again; one that keeps the steps of
a sequence gives each step again, and padding does not count.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from trainer.networks.fitted import mean_and_deviation
from trainer.networks.network import MEASURED_ROWS, Inputs, Network, run
from trainer.networks.steps import Flow, is_real


class Autoencoder(Network):
    """A network around its own rows.

    Shape: inputs by name -> (B, 1), the mean squared error of each row given again.

    `fronts` counts the layers of each branch that make what is given again; `stepwise` says
    whether every step is given again by itself.
    """

    def __init__(self, parts: Network, fronts: Sequence[int], *, stepwise: bool) -> None:
        nn.Module.__init__(self)
        self.entries, self.branches = parts.entries, parts.branches
        self.then, self.head = parts.then, parts.head
        self.fronts, self.stepwise = tuple(fronts), stepwise

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the error of each row."""
        wholes, ends = [], []
        for (name, steps), front in zip(self.by_input(), self.fronts, strict=True):
            wholes.append(run(steps[:front], inputs[name]))
            ends.append(run(steps[front:], wholes[-1])[0])
        if self.stepwise:
            return self.errors(wholes[0], self.head(ends[0]))
        x, _ = run(self.then, (torch.cat(ends, -1), None))
        return self.errors(self.joined(wholes), self.head(x))

    def errors(self, whole: Flow, again: Tensor) -> Tensor:
        """Return the mean squared difference of each row from what is given again, (B, 1)."""
        x, lengths = whole
        errors = (x - again).square().mean(-1)
        if not self.stepwise:
            return errors[:, None]
        if lengths is None:
            return errors.mean(-1, keepdim=True)
        real = torch.where(is_real(x, lengths), errors, 0.0)
        return real.sum(-1, keepdim=True) / lengths[:, None].to(x.dtype)

    def joined(self, wholes: Sequence[Flow]) -> Flow:
        """Return what is given again: the steps of a sequence, or all of a row as one vector."""
        return wholes[0] if self.stepwise else (torch.cat([x.flatten(1) for x, _ in wholes], -1), None)

    def wholes(self, inputs: Inputs) -> Iterator[Flow]:
        """Give what of the rows is given again, some rows at a time."""
        count = len(next(iter(inputs.values()))[0])
        for start in range(0, count, MEASURED_ROWS):
            part = slice(start, start + MEASURED_ROWS)
            yield self.joined(
                [
                    run(steps[:front], (x[part], None if lengths is None else lengths[part]))
                    for (name, steps), front in zip(self.by_input(), self.fronts, strict=True)
                    for x, lengths in (inputs[name],)
                ]
            )

    @torch.no_grad()
    def mean_row(self, inputs: Inputs) -> Tensor:
        """Return the mean of what is given again, feature by feature."""
        return mean_and_deviation(partial(self.wholes, inputs))[0].float()

    @torch.no_grad()
    def errors_of_mean(self, mean: Tensor, inputs: Inputs) -> Tensor:
        """Return by how much one row, always given again, misses each, (B, 1)."""
        return torch.cat([self.errors(whole, mean) for whole in self.wholes(inputs)])
