"""The network section of a recipe: layers in order, a preset, or a branch for each input.

    network: [layer, ...]                                   a model of one input
    network: {preset: mlp, width: 64}                       the same, by name
    network: {branches: {INPUT: layers or preset}, then: [layer, ...]}

What the branches end in is joined along the features.
"""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from models.binding import FREE, row_shape
from models.features import FeatureView, InputView
from models.layers.layer import Layer
from models.layers.network import NetworkLayer
from models.layers.presets import Preset, Rows, expanded, misfit
from models.recipe_faults import AS_BRANCHES, AS_LIST, AS_PRESET, fault
from models.recipe_sections import Section
from models.sources import ListSource, SequenceSource, VectorSource
from models.tensors import Name

LAYERS_LIMIT = 256

Layers = Annotated[tuple[NetworkLayer, ...], Field(max_length=LAYERS_LIMIT)]


def form_of_branch(value: Any) -> str:
    """Return the tag of the form in which a branch is written."""
    return AS_PRESET if isinstance(value, dict | Preset) else AS_LIST


def form_of_network(value: Any) -> str:
    """Return the tag of the form in which a network is written."""
    branched = isinstance(value, Branches) or (isinstance(value, dict) and "preset" not in value)
    return AS_BRANCHES if branched else form_of_branch(value)


Branch = Annotated[
    Annotated[Layers, Tag(AS_LIST)] | Annotated[Preset, Tag(AS_PRESET)], Discriminator(form_of_branch)
]


class Branches(Section):
    """Layers for each input by its name, and layers over what all of them end in."""

    branches: Annotated[dict[Name, Branch], Field(min_length=1)]
    then: Layers = ()


NetworkSection = Annotated[
    Annotated[Layers, Tag(AS_LIST)]
    | Annotated[Preset, Tag(AS_PRESET)]
    | Annotated[Branches, Tag(AS_BRANCHES)],
    Discriminator(form_of_network),
]
Network = tuple[Layer, ...] | Preset | Branches


def branch_of(network: Network, name: str) -> tuple[Layer, ...] | Preset:
    """Return what is written for one input."""
    return network.branches[name] if isinstance(network, Branches) else network


def layers_of(network: Network, view: InputView, task: str) -> tuple[Layer, ...]:
    """Return the layers of one input's branch, a preset written out."""
    branch = branch_of(network, view.name)
    return expanded(branch, rows_of(view, task)) if isinstance(branch, Preset) else branch


def rows_of(view: InputView, task: str) -> Rows:
    """Return what a preset is told of the rows of an input."""
    shape = tuple(None if dim == FREE else int(dim) for dim in row_shape(view))
    steps = any(isinstance(source, SequenceSource) for source in view.sources)
    fields = [
        field
        for source in view.sources
        if not isinstance(source, ListSource | VectorSource)
        for field in source.fields
    ]
    return Rows(
        shape,
        "vector" if len(shape) < 2 else "sequence" if len(shape) == 2 and steps else "image",
        categories=view.shape is None and len(shape) < 2 and any(field.categories for field in fields),
        ordered=task == "forecasting",
    )


def check_network(network: Network, features: FeatureView, task: str) -> None:
    """Refuse a network that does not read every input of the view, or reads another, or cannot."""
    check_branches(network, tuple(one.name for one in features.inputs))
    for one in features.inputs:
        branch = branch_of(network, one.name)
        problem = misfit(branch, rows_of(one, task)) if isinstance(branch, Preset) else None
        if problem:
            at = ("branches", one.name) if isinstance(network, Branches) else ()
            raise fault(f"{problem} (input {one.name})", "network", *at, "preset")


def check_branches(network: Network, inputs: tuple[str, ...]) -> None:
    """Refuse a network that does not read every input of the view, or reads another."""
    if not isinstance(network, Branches):
        if len(inputs) > 1:
            raise fault(
                f"reads one input as it is written, and the view has {len(inputs)}: write "
                f"`branches: {{{', '.join(f'{name}: [...]' for name in inputs)}}}` and `then: [...]`",
                "network",
            )
        return
    for name in network.branches:
        if name not in inputs:
            raise fault(
                f"is no input of the view; there are: {', '.join(inputs)}", "network", "branches", name
            )
    absent = [name for name in inputs if name not in network.branches]
    if absent:
        raise fault(f"has no branch for the input {', '.join(absent)}", "network", "branches")
