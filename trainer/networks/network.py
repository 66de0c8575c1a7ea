"""Network: a branch of layers for each input, layers over their ends, and a head for the task."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from trainer.networks.fitted import FittedStep
from trainer.networks.forms import Entry
from trainer.networks.steps import Flow, Step

MEASURED_ROWS = 8192  # several copies of so many rows in double precision are held at once

Inputs = dict[str, Flow]


class Network(nn.Module):
    """A branch for each input, layers over what they end in, and a head.

    Shape: inputs by name, each x (B, *form) and lengths (B,) int64 where steps are free, else
    None -> (B, outputs).
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        branches: Sequence[Sequence[Step]],
        then: Sequence[Step],
        head: nn.Linear,
    ) -> None:
        super().__init__()
        self.entries = tuple(entries)
        self.branches = nn.ModuleList(nn.ModuleList(steps) for steps in branches)
        self.then = nn.ModuleList(then)
        self.head = head

    def forward(self, inputs: Inputs) -> Tensor:
        """Return the head's raw numbers; the task makes an answer of them."""
        ends = [run(steps, inputs[name])[0] for name, steps in self.by_input()]
        x, _ = run(self.then, (ends[0] if len(ends) == 1 else torch.cat(ends, -1), None))
        result: Tensor = self.head(x)
        return result

    def by_input(self) -> Iterator[tuple[str, nn.ModuleList]]:
        """Give the name and the steps of each branch."""
        for entry, steps in zip(self.entries, self.branches, strict=True):
            yield entry.name, cast(nn.ModuleList, steps)

    def kind(self, name: str) -> str:
        """Return what a row of an input is: vector, series or image."""
        for entry, (own, steps) in zip(self.entries, self.by_input(), strict=True):
            if own == name and entry.form.rank == 2:
                return "image" if any(isinstance(part, nn.Conv2d) for part in steps.modules()) else "series"
            if own == name:
                return "image" if entry.form.rank == 3 else "vector"
        raise KeyError(name)

    @torch.no_grad()
    def fit_scaling(self, inputs: Inputs) -> None:
        """Measure every fitted layer on the training rows, each after the layers before it."""
        self.eval()
        for name, steps in self.by_input():
            for count, step in enumerate(steps):
                if isinstance(step, FittedStep):
                    step.fit(partial(reached, steps[:count], inputs[name]))


def reached(steps: Iterable[nn.Module], flow: Flow) -> Iterator[Flow]:
    """Give what steps make of rows, some rows at a time."""
    x, lengths = flow
    for start in range(0, len(x), MEASURED_ROWS):
        part = slice(start, start + MEASURED_ROWS)
        yield run(steps, (x[part], None if lengths is None else lengths[part]))


def run(steps: Iterable[nn.Module], flow: Flow) -> Flow:
    """Run steps one after the other."""
    x, lengths = flow
    x = x.float()
    for step in steps:
        x, lengths = step(x, lengths)
    return x, lengths
