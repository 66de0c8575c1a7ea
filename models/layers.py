"""The layers a recipe's network is written in and the numbers each may take; no torch.

A layer is a word (`relu`), a word with its one number (`linear: 64`) or a word with a mapping
(`conv2d: {channels: 16, kernel: 3}`). `trainer/networks/` builds what is described here.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

WIDTH_LIMIT = 65_536
WINDOW_LIMIT = 1_024
VOCABULARY_LIMIT = 1 << 24  # float32 holds every whole number up to here


def no_bool(value: object) -> object:
    """Refuse yes and no where a number is meant; Python counts them as 1 and 0."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "should be a number, not yes or no")
    return value


Number = Annotated[float, BeforeValidator(no_bool), Field(allow_inf_nan=False)]
Count = Annotated[int, Strict(), Field(ge=1, le=WIDTH_LIMIT)]
Window = Annotated[int, Strict(), Field(ge=1, le=WINDOW_LIMIT)]
Padding = Annotated[int, Strict(), Field(ge=0, le=WINDOW_LIMIT)]
Share = Annotated[Number, Field(ge=0, lt=1)]


class Layer(BaseModel):
    """One layer; `short` is the field that `word: value` sets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    short: ClassVar[str | None] = None
    layer: str

    @model_serializer(mode="plain")
    def _as_written(self) -> str | dict[str, Any]:
        options = {name: getattr(self, name) for name in type(self).model_fields if name != "layer"}
        changed = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in options.items()
            if value != type(self).model_fields[name].default
        }
        return {self.layer: changed} if changed else self.layer


class Activation(Layer):
    """A function of each number; `softmax` and `log_softmax` of each step's features."""

    layer: Literal[
        "sigmoid",
        "relu",
        "relu6",
        "selu",
        "gelu",
        "tanh",
        "softmax",
        "log_softmax",
        "silu",
        "swish",
        "softplus",
        "softsign",
        "mish",
        "hard_sigmoid",
        "hard_swish",
        "hard_tanh",
    ]


class LeakyRelu(Layer):
    """x where positive, `slope` times x elsewhere."""

    short = "slope"
    layer: Literal["leaky_relu"]
    slope: Number = 0.01


class Elu(Layer):
    """x where positive, alpha (exp(x) - 1) elsewhere."""

    short = "alpha"
    layer: Literal["elu"]
    alpha: Number = 1.0


class Prelu(Layer):
    """A leaky relu whose slope is learned, one for the layer or one a channel."""

    short = "slope"
    layer: Literal["prelu"]
    slope: Number = 0.25
    each_channel: bool = False


class Maxout(Layer):
    """The largest of `pieces` linear functions, for each of `features` outputs."""

    short = "features"
    layer: Literal["maxout"]
    features: Count
    pieces: Annotated[int, Strict(), Field(ge=2, le=64)] = 2


class Linear(Layer):
    """A weighted sum of all features; on a sequence, of each step's."""

    short = "features"
    layer: Literal["linear"]
    features: Count
    bias: bool = True


class Conv1d(Layer):
    """A convolution along the steps of a sequence (steps, channels)."""

    short = "channels"
    layer: Literal["conv1d"]
    channels: Count
    kernel: Window = 3
    stride: Window = 1
    padding: Padding = 0


class Conv2d(Layer):
    """A convolution over an image (channels, height, width); (height, width) is one channel."""

    short = "channels"
    layer: Literal["conv2d"]
    channels: Count
    kernel: Window = 3
    stride: Window = 1
    padding: Padding = 0


class Pool(Layer):
    """The largest or mean number of each window; `stride` is `size` when not given."""

    short = "size"
    layer: Literal["max_pool", "avg_pool"]
    size: Window = 2
    stride: Window | None = None


class GlobalPool(Layer):
    """The largest or mean number of each channel over all steps or pixels."""

    layer: Literal["global_max_pool", "global_avg_pool"]


class Recurrent(Layer):
    """A recurrent layer over (steps, features); gives the last step or all of them."""

    short = "hidden"
    layer: Literal["rnn", "lstm", "gru"]
    hidden: Count
    layers: Annotated[int, Strict(), Field(ge=1, le=16)] = 1
    bidirectional: bool = False
    dropout: Share = 0.0
    output: Literal["last", "all"] = "last"


class Normalisation(Layer):
    """`batch_norm` over the rows, `layer_norm` over each row's (or step's) features."""

    layer: Literal["batch_norm", "layer_norm"]


class Dropout(Layer):
    """Sets a share of the numbers to zero while training."""

    short = "share"
    layer: Literal["dropout"]
    share: Share = 0.5


class Embedding(Layer):
    """A learned vector of `size` numbers for each of `count` whole numbers from 0."""

    layer: Literal["embedding"]
    count: Annotated[int, Strict(), Field(ge=1, le=VOCABULARY_LIMIT)]
    size: Count


class Flatten(Layer):
    """Every axis of a row in one."""

    layer: Literal["flatten"]


class Reshape(Layer):
    """The same numbers in another shape, the batch axis left out."""

    short = "shape"
    layer: Literal["reshape"]
    shape: Annotated[tuple[Count, ...], Field(min_length=1, max_length=3)]


class Fitted(Layer):
    """Scaling whose numbers are measured on the training rows.

    `standardize` brings each channel to mean 0 and deviation 1, `min_max` into 0 to 1.
    """

    layer: Literal["standardize", "min_max"]


class Scale(Layer):
    """Divides every number."""

    short = "divide_by"
    layer: Literal["scale"]
    divide_by: Annotated[Number, Field(gt=0)]


class Log1p(Layer):
    """log(1 + x), mirrored for negative x."""

    layer: Literal["log1p"]


class Clip(Layer):
    """Holds every number between `low` and `high`."""

    layer: Literal["clip"]
    low: Number
    high: Number

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise PydanticCustomError("order", "low is at or above high; swap them")
        return self


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
    | GlobalPool
    | Recurrent
    | Normalisation
    | Dropout
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
