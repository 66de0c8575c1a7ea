"""A recipe with some of its values changed by their place: `training.lr`, `network.4.linear`, `network.dropout`.

A number is a layer's, counted from 1 as errors count; a layer's word alone means every layer of
that word, and sets the one number that it is written with.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pydantic import BaseModel, ValidationError

from models.errors import BadRecipe
from models.faults import roots
from models.layers.network import LAYERS
from models.recipe_faults import problem


class NoPlace(Exception):
    """A path that leads nowhere: why."""


def changed(recipe: BaseModel, values: Mapping[str, Any], where: str) -> Any:
    """Return a recipe with other values; `where` names in errors what changes them.

    Raises: BadRecipe, no such place, or a value that cannot stand there.
    """
    data = deepcopy(recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    for path, value in values.items():
        try:
            put(data, path.split("."), value)
        except NoPlace as error:
            raise BadRecipe(f"{where}: {path} is no place in this recipe; {error}", where=where) from error
    try:
        return type(recipe).model_validate(data)
    except ValidationError as error:
        found = roots(error.errors(include_url=False))
        told = "; ".join(problem(detail, type(recipe)) for detail in found)
        raise BadRecipe(f"{where}: {told}", where=where) from error


def put(holder: Any, steps: list[str], value: Any) -> None:
    """Set what lies at the end of a path."""
    first, *rest = steps
    if isinstance(holder, list):
        for at in places(holder, first):
            put_in_layer(holder, at, rest if first.isdigit() else steps, value)
    elif not isinstance(holder, dict):
        raise NoPlace(f"there is nothing below {holder!r}")
    elif rest:
        put(holder.setdefault(first, {}), rest, value)
    else:
        holder[first] = value


def places(layers: list[Any], step: str) -> list[int]:
    """Return which layers a step means."""
    if step.isdigit():
        if not 1 <= int(step) <= len(layers):
            raise NoPlace(f"there are {len(layers)} layers")
        return [int(step) - 1]
    found = [at for at, layer in enumerate(layers) if word_of(layer) == step]
    if not found:
        raise NoPlace(f"the layers are {', '.join(map(word_of, layers))}")
    return found


def put_in_layer(layers: list[Any], at: int, steps: list[str], value: Any) -> None:
    """Set one option of a layer, or the number that it is written with."""
    word = word_of(layers[at])
    if not steps or steps[0] != word or len(steps) > 2:
        raise NoPlace(f"layer {at + 1} is {word}: write {at + 1}.{word} or {at + 1}.{word}.OPTION")
    option = steps[1] if len(steps) > 1 else LAYERS[word].short
    if option is None:
        raise NoPlace(f"{word} is written with no number of its own; name an option of it")
    given = layers[at][word] if isinstance(layers[at], dict) else {}
    layers[at] = {word: {**given, option: value}}


def word_of(layer: Any) -> str:
    """Return the word of a layer as it is written."""
    return layer if isinstance(layer, str) else str(next(iter(layer)))
