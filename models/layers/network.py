"""Every layer by its words, and how one is read as it is written."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from models.layers.activations import Activation, Elu, LeakyRelu, Maxout, Prelu
from models.layers.columns import COLUMN_WORDS, Columns, by_field
from models.layers.dense import ChannelDropout, Dropout, Embedding, Flatten, Linear, Reshape
from models.layers.layer import Layer
from models.layers.reading import by_word, spelled_out
from models.layers.scaling import Clip, Fitted, GroupNorm, Log1p, Normalisation, Quantile, Scale, Whiten
from models.layers.sequences import Attention, LastStep, Recurrent
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
    | LastStep
    | Residual
    | Normalisation
    | GroupNorm
    | Dropout
    | ChannelDropout
    | Embedding
    | Flatten
    | Reshape
    | Fitted
    | Quantile
    | Whiten
    | Columns
    | Scale
    | Log1p
    | Clip
)


LAYERS: dict[str, type[Layer]] = by_word(AnyLayer)


def read_layer(value: object) -> object:
    """Read one layer of a network as it is written."""
    if isinstance(value, dict) and list(value) == ["columns"]:
        return by_field(value["columns"])
    word = next(iter(value), None) if isinstance(value, dict) else value
    if word in COLUMN_WORDS:
        cure = f"write `- columns: {{FIELD: {word}}}`"
        raise PydanticCustomError(
            "column", "{word} is for single columns; {cure}", {"word": word, "cure": cure}
        )
    return spelled_out(value, LAYERS)


NetworkLayer = Annotated[Annotated[AnyLayer, Field(discriminator="layer")], BeforeValidator(read_layer)]
Residual.model_rebuild()
