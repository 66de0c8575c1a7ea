"""How one layer is written: `relu`, `linear: 64`, `linear: {features: 64}`."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic_core import PydanticCustomError

from models.layers.layer import Layer

Words = Mapping[str, type[Layer]]


def by_word(union: Any) -> dict[str, type[Layer]]:
    """Return the kinds of layers in a union by the words that name them."""
    return {word: layer for layer in get_args(union) for word in words(layer)}


def words(layer: type[Layer]) -> Iterator[str]:
    """Give the words that name one kind of layer."""
    yield from get_args(layer.model_fields["layer"].annotation)


def spelled_out(value: object, known: Words) -> object:
    """Turn `relu`, `{linear: 64}` and `{linear: {features: 64}}` into a mapping with `layer`."""
    if isinstance(value, str):
        return {"layer": value}
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((word, options),) = value.items()
    if isinstance(options, dict) and "layer" not in options:
        return {**options, "layer": word}
    if options is None:
        return {"layer": word}
    return {"layer": word, shorthand(word, known): options}


def shorthand(word: object, known: Words) -> str:
    """Return the field that `word: value` sets."""
    layer = known.get(word) if isinstance(word, str) else None
    if layer is not None and layer.short is None:
        options = [name for name in layer.model_fields if name != "layer"]
        cure = f"name what it sets: {', '.join(options)}" if options else "write the word alone"
        raise PydanticCustomError(
            "shorthand", "{word} takes no single value; {cure}", {"word": word, "cure": cure}
        )
    return layer.short if layer is not None and layer.short else "value"
