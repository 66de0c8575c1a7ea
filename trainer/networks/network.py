"""Network: a branch of layers for each input, layers over their ends, and a head for the task.

Every shape follows from the layer before; layers that do not fit are refused by name before any
data is read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from models.layers.layer import Layer
from trainer.errors import BadNetwork
from trainer.networks.chains import (
    Where,
    chained,
    check_fitted_come_first,
    check_form,
    check_nothing_fitted,
    check_vector,
)
from trainer.networks.fitted import FittedStep
from trainer.networks.forms import Entry, Form
from trainer.networks.steps import Flow, Step

MEASURED_ROWS = 8192  # several copies of so many rows in double precision are held at once
PARAMETER_LIMIT = 1 << 28  # 1 GiB of float32; an ONNX file can hold twice that

Inputs = dict[str, Flow]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a network is built from: its inputs, the layers of each one's branch, those over all.

    `outputs` is how many numbers the head gives.
    """

    entries: tuple[Entry, ...]
    branches: Mapping[str, tuple[Layer, ...]]
    then: tuple[Layer, ...]
    outputs: int


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


def build(blueprint: Blueprint) -> Network:
    """Build a network.

    Raises: BadNetwork, naming the layers and shapes that do not fit, or too many parameters.
    """
    check(blueprint)
    return assemble(blueprint)


def check(blueprint: Blueprint) -> int:
    """Put a network together without memory for its numbers, and return how many it would have.

    Raises: BadNetwork, as `build` would.
    """
    with torch.device("meta"):
        parameters = sum(one.numel() for one in assemble(blueprint).parameters())
    if parameters > PARAMETER_LIMIT:
        raise BadNetwork(
            f"the network has {parameters:,} parameters, over {PARAMETER_LIMIT:,}; "
            "put a pool before `flatten` or take smaller layers",
            parameters=parameters,
        )
    return parameters


def assemble(blueprint: Blueprint) -> Network:
    """Put the layers together, each built for the form that the one before it gives."""
    branches, width = [], 0
    several = len(blueprint.entries) > 1
    for entry in blueprint.entries:
        layers = blueprint.branches[entry.name]
        where = Where("", "the head")
        if several:
            where = Where(f"branch {entry.name}", "the join of the branches", f"the input {entry.name}")
        check_form(entry, several)
        check_fitted_come_first(layers, where)
        steps, form = chained(layers, entry.form, where, entry.columns)
        check_vector(layers, form, where)
        branches.append(steps)
        width += form.channels
    where = Where("then", "the head", "the join of the branches")
    check_nothing_fitted(blueprint.then, where)
    then, form = chained(blueprint.then, Form((width,)), where)
    check_vector(blueprint.then, form, where)
    return Network(blueprint.entries, branches, then, nn.Linear(form.channels, blueprint.outputs))
