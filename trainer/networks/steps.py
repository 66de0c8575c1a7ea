"""Step: what every layer becomes, and how padding is kept out of the answer.

Rows of different lengths share a batch padded at the right; `lengths` says how long each is. A
step that mixes steps of a sequence must never read the padding. Whatever it leaves there is
never read either.
"""

from torch import Tensor, arange, nn, where

Flow = tuple[Tensor, Tensor | None]


class Step(nn.Module):
    """One layer: rows and their lengths in, rows and their lengths out.

    Shape: x (B, ...) as the form says; lengths (B,) int64, or None when all rows are whole.
    `keeps_steps` says whether every row of a sequence keeps its number of steps.
    """

    keeps_steps = True

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Run the layer."""
        raise NotImplementedError


class Each(Step):
    """A module that treats every step, or a row without steps, by itself."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor, lengths: Tensor | None) -> Flow:
        """Run the module on everything, padding included: it cannot reach other steps."""
        return self.module(x), lengths


def is_real(x: Tensor, lengths: Tensor) -> Tensor:
    """Return which steps are no padding: (B, T) bool."""
    return arange(x.shape[1], device=x.device)[None, :] < lengths[:, None]


def padding_as(x: Tensor, lengths: Tensor | None, value: float) -> Tensor:
    """Return a sequence (B, T, F) with `value` in its padding."""
    if lengths is None:
        return x
    return where(is_real(x, lengths)[:, :, None], x, x.new_full((), value))
