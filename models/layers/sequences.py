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
