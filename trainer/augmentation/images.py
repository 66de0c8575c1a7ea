"""Images moved, turned, mirrored and made noisy, each row by numbers of its own."""

from math import radians

import torch
from torch import Tensor
from torch.nn import functional

from models.recipe_augmentation import ImageAugmentation
from trainer.networks.steps import Flow

FILLS = {"edge": "border", "zero": "zeros"}


class Images:
    """What is done to one input of images."""

    def __init__(self, spec: ImageAugmentation, training: Flow) -> None:
        """Measure the deviation of the training pixels, a channel at a time."""
        self.spec = spec
        x = training[0]
        self.moves = bool(spec.shift or spec.rotate or spec.flip != "none")
        axes = (0, 1, 2) if x.ndim == 3 else (0, 2, 3)
        self.deviation = x.std(axes, correction=0, keepdim=True)[0] if spec.noise else None

    def __call__(self, flow: Flow) -> Flow:
        """Shape: (B, H, W) or (B, C, H, W), unchanged."""
        x, lengths = flow
        if self.moves:
            pixels = x if x.ndim == 4 else x[:, None]
            grid = functional.affine_grid(self._places(pixels), list(pixels.shape), align_corners=False)
            moved = functional.grid_sample(
                pixels, grid, "bilinear", FILLS[self.spec.fill], align_corners=False
            )
            x = moved if x.ndim == 4 else moved[:, 0]
        if self.deviation is not None:
            x = x + torch.randn_like(x) * (self.spec.noise * self.deviation)
        return x, lengths

    def _places(self, x: Tensor) -> Tensor:
        """Return where each pixel is read from, from -1 to 1 along a side: (B, 2, 3)."""
        count, (height, width) = len(x), x.shape[-2:]
        angle = radians(self.spec.rotate) * (2 * torch.rand(count, device=x.device) - 1)
        pixels = torch.randint(-self.spec.shift, self.spec.shift + 1, (2, count), device=x.device)
        across, down = self._mirrors(x)
        cos, sin = angle.cos(), angle.sin()
        rows = (
            torch.stack([cos * across, -sin * down * height / width, pixels[0] * 2 / width], -1),
            torch.stack([sin * across * width / height, cos * down, pixels[1] * 2 / height], -1),
        )
        return torch.stack(rows, 1)

    def _mirrors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return -1 for each row that is mirrored, across and upside down."""
        flip = self.spec.flip
        signs = 1 - 2 * torch.randint(0, 2, (2, len(x)), device=x.device).float()
        return (
            signs[0] if flip in ("horizontal", "both") else torch.ones_like(signs[0]),
            signs[1] if flip in ("vertical", "both") else torch.ones_like(signs[1]),
        )
