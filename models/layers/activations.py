"""Activations: functions of each number, maxout and prelu included."""

from typing import Annotated, Literal

from pydantic import Field, Strict

from models.layers.layer import Count, Layer, Number


class Activation(Layer):
    """A function of each number; `softmax` and `log_softmax` of each step's features; `none` changes nothing."""

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
        "none",
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
