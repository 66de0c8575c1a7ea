"""Layers that look through a window: convolutions and pools."""

from typing import Annotated, Literal

from pydantic import PlainValidator
from pydantic_core import PydanticCustomError

from models.layers.layer import WINDOW_LIMIT, Count, Layer, Window


def padding(value: object) -> int | str:
    """Read how far a window reaches beyond the edges."""
    if value in ("same", "causal"):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= WINDOW_LIMIT:
        return value
    raise PydanticCustomError(
        "padding",
        "should be a whole number from 0 to {limit}, or `same`; along steps also `causal`",
        {"limit": WINDOW_LIMIT},
    )


Padding = Annotated[int | str, PlainValidator(padding)]


class Conv1d(Layer):
    """A convolution along the steps of a sequence (steps, channels).

    `padding: same` keeps the number of steps, `causal` too and reads no later step.
    """

    short = "channels"
    layer: Literal["conv1d"]
    channels: Count
    kernel: Window = 3
    stride: Window = 1
    padding: Padding = 0
    dilation: Window = 1
    groups: Count = 1


class Conv2d(Layer):
    """A convolution over an image (channels, height, width); (height, width) is one channel."""

    short = "channels"
    layer: Literal["conv2d"]
    channels: Count
    kernel: Window = 3
    stride: Window = 1
    padding: Padding = 0
    dilation: Window = 1
    groups: Count = 1


class Pool(Layer):
    """The largest or mean number of each window; `stride` is `size` when not given."""

    short = "size"
    layer: Literal["max_pool", "avg_pool"]
    size: Window = 2
    stride: Window | None = None


class AdaptivePool(Layer):
    """The largest or mean number of each of `size` equal parts, however long a row is."""

    short = "size"
    layer: Literal["adaptive_max_pool", "adaptive_avg_pool"]
    size: Window


class GlobalPool(Layer):
    """The largest or mean number of each channel over all steps or pixels."""

    layer: Literal["global_max_pool", "global_avg_pool"]
