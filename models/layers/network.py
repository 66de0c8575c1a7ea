"""Every layer by its words, and how one is read as it is written."""

from collections.abc import Iterator
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from models.layers.activations import Activation, Elu, LeakyRelu, Maxout, Prelu
from models.layers.dense import ChannelDropout, Dropout, Embedding, Flatten, Linear, Reshape
from models.layers.layer import Layer
from models.layers.scaling import Clip, Fitted, GroupNorm, Log1p, Normalisation, Scale
from models.layers.sequences import Attention, Recurrent
from models.layers.windows import AdaptivePool, Conv1d, Conv2d, GlobalPool, Pool


class Residual(Layer):
    """What its layers give, added to what they get; where the shapes differ, to a projection of it."""

    short = "layers"
    layer: Literal["residual"]
    layers: Annotated[tuple["NetworkLayer", ...], Field(min_length=1, max_length=64)]


AnyLayer = (
    Activation
    | LeakyRelu
    | Elu
    | Prelu
    | Maxout
    | Linear
    | Conv1d
    | Conv2d
    | Pool
    | AdaptivePool
    | GlobalPool
    | Recurrent
    | Attention
    | Residual
    | Normalisation
    | GroupNorm
    | Dropout
    | ChannelDropout
    | Embedding
    | Flatten
    | Reshape
    | Fitted
    | Scale
    | Log1p
    | Clip
)


def words(layer: type[Layer]) -> Iterator[str]:
    """Give the words that name one kind of layer."""
    yield from get_args(layer.model_fields["layer"].annotation)


LAYERS: dict[str, type[Layer]] = {word: layer for layer in get_args(AnyLayer) for word in words(layer)}


def spelled_out(value: object) -> object:
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
    return {"layer": word, shorthand(word): options}


def shorthand(word: object) -> str:
    """Return the field that `word: value` sets."""
    layer = LAYERS.get(word) if isinstance(word, str) else None
    if layer is not None and layer.short is None:
        known = [name for name in layer.model_fields if name != "layer"]
        cure = f"name what it sets: {', '.join(known)}" if known else "write the word alone"
        raise PydanticCustomError(
            "shorthand", "{word} takes no single value; {cure}", {"word": word, "cure": cure}
        )
    return layer.short if layer is not None and layer.short else "value"


NetworkLayer = Annotated[Annotated[AnyLayer, Field(discriminator="layer")], BeforeValidator(spelled_out)]
Residual.model_rebuild()
