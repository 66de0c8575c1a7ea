"""Layers that mix the steps of a sequence."""

from typing import Annotated, Literal

from pydantic import Field, Strict

from models.layers.layer import Count, Layer, Share


class Recurrent(Layer):
    """A recurrent layer over (steps, features); gives the last step or all of them."""

    short = "hidden"
    layer: Literal["rnn", "lstm", "gru"]
    hidden: Count
    layers: Annotated[int, Strict(), Field(ge=1, le=16)] = 1
    bidirectional: bool = False
    dropout: Share = 0.0
    output: Literal["last", "all"] = "last"


class Attention(Layer):
    """One encoder block: every step looks at every other, then a small network on each step.

    `positions` adds where each step stands to what it says; `feedforward` is the width of the
    small network, in widths of a step.
    Source: Vaswani et al. 2017, Attention Is All You Need; normalised before each half, as in
    Xiong et al. 2020, On Layer Normalization in the Transformer Architecture.
    """

    short = "heads"
    layer: Literal["attention"]
    heads: Annotated[int, Strict(), Field(ge=1, le=256)] = 4
    feedforward: Annotated[int, Strict(), Field(ge=1, le=64)] = 2
    dropout: Share = 0.0
    positions: bool = False


class LastStep(Layer):
    """The last step of each row."""

    layer: Literal["last_step"]
