"""Layers that look through a window: convolutions and pools."""

from typing import Literal

from models.layers.layer import Count, Layer, Padding, Window


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
