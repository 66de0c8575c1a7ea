"""The network section of a recipe: layers in order, or a branch for each input and what follows.

    network: [layer, ...]                                   a model of one input
    network: {branches: {INPUT: [layer, ...]}, then: [layer, ...]}

What the branches end in is joined along the features.
"""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from models.layers.network import NetworkLayer
from models.recipe_faults import AS_BRANCHES, AS_LIST, fault
from models.recipe_sections import Section
from models.tensors import Name

LAYERS_LIMIT = 256

Layers = Annotated[tuple[NetworkLayer, ...], Field(max_length=LAYERS_LIMIT)]


class Branches(Section):
    """Layers for each input by its name, and layers over what all of them end in."""

    branches: Annotated[dict[Name, Layers], Field(min_length=1)]
    then: Layers = ()


def form_of_network(value: Any) -> str:
    """Return the tag of the form in which a network is written."""
    return AS_BRANCHES if isinstance(value, dict | Branches) else AS_LIST


NetworkSection = Annotated[
    Annotated[Layers, Tag(AS_LIST)] | Annotated[Branches, Tag(AS_BRANCHES)],
    Discriminator(form_of_network),
]


def check_branches(network: Layers | Branches, inputs: tuple[str, ...]) -> None:
    """Refuse a network that does not read every input of the view, or reads another."""
    if not isinstance(network, Branches):
        if len(inputs) > 1:
            raise fault(
                f"is a list, which reads one input, and the view has {len(inputs)}: write "
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
