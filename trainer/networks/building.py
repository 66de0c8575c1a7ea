"""From a blueprint to a network, every shape following from the layer before.

Layers that do not fit are refused by name before any data is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from models.layers.columns import Columns
from models.layers.dense import Flatten, Reshape
from models.layers.layer import Layer
from models.layers.scaling import Clip, Log1p, Scale
from trainer.errors import BadNetwork
from trainer.networks.autoencoder import Autoencoder
from trainer.networks.chains import (
    FITTED,
    Where,
    chained,
    check_fitted_come_first,
    check_form,
    check_nothing_fitted,
    check_vector,
    learns,
)
from trainer.networks.forms import Entry, Form
from trainer.networks.network import Network
from trainer.networks.steps import Step

PARAMETER_LIMIT = 1 << 28  # 1 GiB of float32; an ONNX file can hold twice that
FRONT = (*FITTED, Scale, Log1p, Clip, Flatten, Reshape)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a network is built from: its inputs, the layers of each one's branch, those over all.

    `outputs` is how many numbers the head gives, None for a network that gives its rows again.
    """

    entries: tuple[Entry, ...]
    branches: Mapping[str, tuple[Layer, ...]]
    then: tuple[Layer, ...]
    outputs: int | None

    def where(self, entry: Entry) -> Where:
        """Return how errors call the layers of one branch."""
        if len(self.entries) == 1:
            return Where("", "the head")
        return Where(f"branch {entry.name}", "the join of the branches", f"the input {entry.name}")


@dataclass(frozen=True, slots=True)
class Built:
    """One branch: its steps and the form in which it ends."""

    steps: Sequence[Step]
    form: Form


def build(blueprint: Blueprint) -> Network:
    """Build a network.

    Raises: BadNetwork, naming the layers and shapes that do not fit, or too many parameters.
    """
    check(blueprint)
    return assemble(blueprint)


def check(blueprint: Blueprint, networks: int = 1) -> int:
    """Put a network, or so many, together without memory for their numbers, and return how many there would be.

    Raises: BadNetwork, as `build` would.
    """
    with torch.device("meta"):
        parameters = networks * sum(one.numel() for one in assemble(blueprint).parameters())
    if parameters > PARAMETER_LIMIT:
        raise BadNetwork(
            f"the network has {parameters:,} parameters, over {PARAMETER_LIMIT:,}; "
            "put a pool before `flatten` or take smaller layers",
            parameters=parameters,
        )
    return parameters


def assemble(blueprint: Blueprint) -> Network:
    """Put the layers together, each built for the form that the one before it gives."""
    branches = [branch(blueprint, entry) for entry in blueprint.entries]
    if blueprint.outputs is None:
        return assemble_autoencoder(blueprint, branches)
    check_ends(blueprint, branches)
    then, width = trunk(blueprint, branches)
    head = nn.Linear(width, blueprint.outputs)
    return Network(blueprint.entries, [one.steps for one in branches], then, head)


def branch(blueprint: Blueprint, entry: Entry) -> Built:
    """Build the layers of one input."""
    layers, where = blueprint.branches[entry.name], blueprint.where(entry)
    check_form(entry, len(blueprint.entries) > 1)
    check_fitted_come_first(layers, where)
    return Built(*chained(layers, entry.form, where, entry.columns))


def check_ends(blueprint: Blueprint, branches: Sequence[Built]) -> None:
    """Refuse a branch that does not end in a vector."""
    for entry, built in zip(blueprint.entries, branches, strict=True):
        check_vector(blueprint.branches[entry.name], built.form, blueprint.where(entry))


def trunk(blueprint: Blueprint, branches: Sequence[Built]) -> tuple[Sequence[Step], int]:
    """Build the layers over what the branches end in, and return how many features they end in."""
    where = Where("then", "the head", "the join of the branches")
    check_nothing_fitted(blueprint.then, where)
    width = sum(one.form.channels for one in branches)
    then, form = chained(blueprint.then, Form((width,)), where)
    check_vector(blueprint.then, form, where)
    return then, form.channels


def assemble_autoencoder(blueprint: Blueprint, branches: Sequence[Built]) -> Network:
    """Put together a network that gives its rows again.

    Raises: BadNetwork, what is to be given again is learned itself, or has no fixed size.
    """
    counts = [front(blueprint.branches[entry.name]) for entry in blueprint.entries]
    fronts = [
        chained(blueprint.branches[entry.name][:count], entry.form, blueprint.where(entry), entry.columns)[1]
        for entry, count in zip(blueprint.entries, counts, strict=True)
    ]
    steps = [one.steps for one in branches]
    if len(branches) == 1 and not blueprint.then and gives_steps_again(branches[0], counts[0], fronts[0]):
        head = nn.Linear(branches[0].form.channels, fronts[0].channels)
        return Autoencoder(Network(blueprint.entries, steps, (), head), counts, stepwise=True)
    check_ends(blueprint, branches)
    for entry, form in zip(blueprint.entries, fronts, strict=True):
        if form.free:
            raise BadNetwork(
                f"the input {entry.name} gives {form}, and a vector cannot give rows of different lengths again; "
                "keep the steps, `gru: {output: all}` or conv1d with padding same, so that each is given again"
            )
    then, width = trunk(blueprint, branches)
    head = nn.Linear(width, sum(form.elements for form in fronts))
    return Autoencoder(Network(blueprint.entries, steps, then, head), counts, stepwise=False)


def front(layers: Sequence[Layer]) -> int:
    """Return how many layers at the beginning only scale and reshape: what they give is given again.

    Raises: BadNetwork, one of them learns what it gives.
    """
    for number, layer in enumerate(layers):
        if isinstance(layer, Columns) and learns(layer):
            raise BadNetwork(
                "an anomaly score compares rows with what `columns` gives, which must not be learned itself; "
                "take one_hot in place of embedding"
            )
        if not isinstance(layer, FRONT):
            return number
    return len(layers)


def gives_steps_again(built: Built, count: int, form: Form) -> bool:
    """Whether a branch ends in as many steps as it is to give again."""
    same = built.form.rank == form.rank == 2 and built.form.dims[0] == form.dims[0]
    return same and all(step.keeps_steps for step in built.steps[count:])
