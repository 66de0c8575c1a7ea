"""Convolutions over the steps of a sequence or the pixels of an image."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from models.layers.layer import Layer
from models.layers.windows import Conv1d, Conv2d
from trainer.networks.forms import DoesNotFit, Form
from trainer.networks.steps import Each, Flow, Step, padding_as


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows along one side: how far one reaches, how far they are apart, what is added at both ends."""

    reach: int
    stride: int = 1
    sides: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, spec: Conv1d | Conv2d) -> "Windows":
        """Return the windows of a convolution."""
        reach = spec.dilation * (spec.kernel - 1) + 1
        if spec.padding == "causal":
            return cls(reach, spec.stride, (reach - 1, 0))
        if spec.padding == "same":
            return cls(reach, spec.stride, ((reach - 1) // 2, reach // 2))
        return cls(reach, spec.stride, (int(spec.padding), int(spec.padding)))

    @property
    def keep(self) -> bool:
        """Whether there are as many windows as there were numbers."""
        return self.stride == 1 and sum(self.sides) == self.reach - 1

    def count(self, side: int) -> int:
        """Return how many windows fit along one side.

        Raises: DoesNotFit, when not even one does.
        """
        added = sum(self.sides)
        if side + added < self.reach:
            raise DoesNotFit(
                f"at least {self.reach - added} on a side", "take a smaller window or more padding"
            )
        return (side + added - self.reach) // self.stride + 1


class StepConvolution(Step):
    """A convolution along steps. A row shorter than the kernel is filled with zeros at its end.

    Zeros stand in the padding too, so a row alone and the same row in a longer batch see the same.
    """

    def __init__(self, spec: Conv1d, form: Form) -> None:
        super().__init__()
        channels = (form.channels, spec.channels)
        self.convolution = nn.Conv1d(
            *channels, spec.kernel, spec.stride, dilation=spec.dilation, groups=spec.groups
        )
        self.windows = Windows.of(spec)
        left, right = self.windows.sides
        shortest = 1 if form.free else form.dims[0] or 1
        self.sides = (left, right + max(0, self.windows.reach - left - right - shortest))
        self.keeps_steps = self.windows.keep

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Shape: (B, T, F) -> (B, T', channels)."""
        columns = padding_as(x, lengths, 0.0).transpose(1, 2)  # (B, F, T)
        result = self.convolution(functional.pad(columns, self.sides)).transpose(1, 2)
        if lengths is not None and not self.windows.keep:
            spare = sum(self.windows.sides) - self.windows.reach
            lengths = (lengths + spare).clamp(min=0) // self.windows.stride + 1
        return result, lengths


class Pixels(nn.Module):
    """A convolution over an image; (height, width) gets its one channel first."""

    def __init__(self, convolution: nn.Conv2d, sides: tuple[int, int], add_channel: bool) -> None:
        super().__init__()
        self.convolution, self.add_channel = convolution, add_channel
        self.sides = (*sides, *sides) if any(sides) else None

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, C, H, W) or (B, H, W) -> (B, channels, H', W')."""
        image = x.unsqueeze(1) if self.add_channel else x
        result: Tensor = self.convolution(functional.pad(image, self.sides) if self.sides else image)
        return result


def conv1d(spec: Conv1d, form: Form) -> tuple[Step, Form]:
    """Build a convolution along steps."""
    if form.rank != 2:
        raise DoesNotFit("(steps, channels)", "`reshape: [steps, channels]` makes a vector one")
    check_groups(spec, form.channels)
    steps = form.dims[0]
    after = None if steps is None else Windows.of(spec).count(steps)
    return StepConvolution(spec, form), Form((after, spec.channels))


def conv2d(spec: Conv2d, form: Form) -> tuple[Step, Form]:
    """Build a convolution over pixels."""
    if form.rank == 1 or form.free:
        raise DoesNotFit("(channels, height, width)", "`reshape: [1, height, width]` makes a vector one")
    if spec.padding == "causal":
        raise DoesNotFit("padding `same` or a number", "`causal` is for conv1d")
    channels, height, width = form.fixed if form.rank == 3 else (1, *form.fixed)
    check_groups(spec, channels)
    windows = Windows.of(spec)
    size = [windows.count(side) for side in (height, width)]
    # PyTorch pads both ends alike by itself, which ONNX runs without a node of its own.
    alike = windows.sides[0] if windows.sides[0] == windows.sides[1] else 0
    convolution = nn.Conv2d(
        channels, spec.channels, spec.kernel, spec.stride, alike, dilation=spec.dilation, groups=spec.groups
    )
    sides = (0, 0) if alike else windows.sides
    return Each(Pixels(convolution, sides, form.rank == 2)), Form((spec.channels, *size))


def check_groups(spec: Conv1d | Conv2d, channels: int) -> None:
    """Refuse groups that do not part the channels evenly."""
    if channels % spec.groups or spec.channels % spec.groups:
        raise DoesNotFit(
            f"channels that part into {spec.groups} groups, as its own {spec.channels} must too",
            "take a number of groups that divides both",
        )


BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {Conv1d: conv1d, Conv2d: conv2d}
