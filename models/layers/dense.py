"""Layers over whole rows or single steps: linear, dropout, embedding, flatten, reshape."""

from typing import Annotated, Literal

from pydantic import Field, Strict

from models.layers.layer import VOCABULARY_LIMIT, Count, Layer, Share


class Linear(Layer):
    """A weighted sum of all features; on a sequence, of each step's."""

    short = "features"
    layer: Literal["linear"]
    features: Count
    bias: bool = True


class Dropout(Layer):
    """Sets a share of the numbers to zero while training."""

    short = "share"
    layer: Literal["dropout"]
    share: Share = 0.5


class ChannelDropout(Layer):
    """Sets whole channels to zero while training: `dropout1d` of a sequence, `dropout2d` of an image."""

    short = "share"
    layer: Literal["dropout1d", "dropout2d"]
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
