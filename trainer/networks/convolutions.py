"""Convolutions over the steps of a sequence or the pixels of an image."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from models.layers.layer import Layer
from models.layers.windows import Conv1d, Conv2d
from trainer.networks.forms import DoesNotFit, Form
from trainer.networks.steps import Each, Flow, Step, padding_as


class StepConvolution(Step):
    """A convolution along steps. A row shorter than the kernel is filled with zeros at its end.

    Zeros stand in the padding too, so a row alone and the same row in a longer batch see the same.
    """

    def __init__(self, spec: Conv1d, form: Form) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(form.channels, spec.channels, spec.kernel, spec.stride)
        shortest = 1 if form.free else form.dims[0] or 1
        self.sides = (spec.padding, spec.padding + max(0, spec.kernel - 2 * spec.padding - shortest))
        self.reach = 2 * spec.padding - spec.kernel
        self.stride = spec.stride

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: (B, T, F) -> (B, T', channels)."""
        columns = padding_as(x, lengths, 0.0).transpose(1, 2)  # (B, F, T)
        result = self.convolution(functional.pad(columns, self.sides)).transpose(1, 2)
        if lengths is not None:
            lengths = (lengths + self.reach).clamp(min=0) // self.stride + 1
        return result, lengths


class Pixels(nn.Module):
    """A convolution over an image; (height, width) gets its one channel first."""

    def __init__(self, convolution: nn.Conv2d, add_channel: bool) -> None:
        super().__init__()
        self.convolution, self.add_channel = convolution, add_channel

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, C, H, W) or (B, H, W) -> (B, channels, H', W')."""
        result: Tensor = self.convolution(x.unsqueeze(1) if self.add_channel else x)
        return result


def conv1d(spec: Conv1d, form: Form) -> tuple[Step, Form]:
    """Build a convolution along steps."""
    if form.rank != 2:
        raise DoesNotFit("(steps, channels)", "`reshape: [steps, channels]` makes a vector one")
    steps = form.dims[0]
    after = None if steps is None else windows(steps, spec.kernel, spec.stride, spec.padding)
    return StepConvolution(spec, form), Form((after, spec.channels))


def conv2d(spec: Conv2d, form: Form) -> tuple[Step, Form]:
    """Build a convolution over pixels."""
    if form.rank == 1 or form.free:
        raise DoesNotFit("(channels, height, width)", "`reshape: [1, height, width]` makes a vector one")
    channels, height, width = form.fixed if form.rank == 3 else (1, *form.fixed)
    size = [windows(side, spec.kernel, spec.stride, spec.padding) for side in (height, width)]
    convolution = nn.Conv2d(channels, spec.channels, spec.kernel, spec.stride, spec.padding)
    return Each(Pixels(convolution, form.rank == 2)), Form((spec.channels, *size))


def windows(side: int, size: int, stride: int, padding: int = 0) -> int:
    """Return how many windows fit along one side.

    Raises: DoesNotFit, when not even one does.
    """
    if side + 2 * padding < size:
        raise DoesNotFit(f"at least {size - 2 * padding} on a side", "take a smaller window or more padding")
    return (side + 2 * padding - size) // stride + 1


BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {Conv1d: conv1d, Conv2d: conv2d}
