"""Layers over whole rows or single steps: linear, dropout, embedding, flatten, reshape."""

from collections.abc import Callable
from math import prod

from torch import Tensor, nn

from models.layers.dense import ChannelDropout, Dropout, Embedding, Flatten, Linear, Reshape
from models.layers.layer import Layer
from trainer.networks.forms import DoesNotFit, Form
from trainer.networks.steps import Each, Step


class Lookup(nn.Module):
    """A vector for each whole number; a number outside counts as the nearest one inside.

    Clamping is part of the graph, so that one row's bad number never fails its batch.
    """

    def __init__(self, count: int, size: int, squeeze: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(count, size)
        self.squeeze = squeeze

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, N) or, squeezed, (B, T, 1) -> (B, N or T, size)."""
        numbers = x.squeeze(-1) if self.squeeze else x
        result: Tensor = self.table(numbers.long().clamp(0, self.table.num_embeddings - 1))
        return result


class NewShape(nn.Module):
    """The same numbers in another shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (B, ...) -> (B, *shape)."""
        return x.reshape(x.shape[0], *self.shape)


def linear(spec: Linear, form: Form) -> tuple[Step, Form]:
    """Build a weighted sum over the last axis."""
    if form.rank == 3:
        raise DoesNotFit("(features) or (steps, features)", "put `flatten` or `global_avg_pool` before it")
    return Each(nn.Linear(form.channels, spec.features, spec.bias)), form.with_channels(spec.features)


def dropout(spec: Dropout, form: Form) -> tuple[Step, Form]:
    """Build dropout; it does nothing outside training."""
    return Each(nn.Dropout(spec.share)), form


class StepChannelDropout(nn.Module):
    """Whole channels of a sequence set to zero."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout1d(share)

    def forward(self, x: Tensor) -> Tensor:
        """Shape: unchanged, (B, T, F)."""
        result: Tensor = self.dropout(x.transpose(1, 2)).transpose(1, 2)
        return result


def channel_dropout(spec: ChannelDropout, form: Form) -> tuple[Step, Form]:
    """Build dropout of whole channels."""
    if spec.layer == "dropout1d":
        if form.rank != 2:
            raise DoesNotFit("(steps, channels)", "take `dropout`, or `dropout2d` for images")
        return Each(StepChannelDropout(spec.share)), form
    if form.rank != 3:
        raise DoesNotFit("(channels, height, width)", "take `dropout`, or `dropout1d` for sequences")
    return Each(nn.Dropout2d(spec.share)), form


def embedding(spec: Embedding, form: Form) -> tuple[Step, Form]:
    """Build a table of vectors over whole numbers."""
    single = form.rank == 2 and form.channels == 1
    if form.rank != 1 and not single:
        raise DoesNotFit("(numbers) or (steps, 1)", "read the numbers as an input of their own")
    shape = (form.dims[0], spec.size)
    return Each(Lookup(spec.count, spec.size, squeeze=single)), Form(shape)


def flatten(_spec: Flatten, form: Form) -> tuple[Step, Form]:
    """Build one axis of all."""
    if form.free:
        raise DoesNotFit(
            "rows of one size", "rows differ in their steps: put `gru`, `global_avg_pool` or such before it"
        )
    return Each(NewShape((form.elements,))), Form((form.elements,))


def reshape(spec: Reshape, form: Form) -> tuple[Step, Form]:
    """Build another shape of the same numbers."""
    if form.free or prod(spec.shape) != form.elements:
        raise DoesNotFit(
            f"{prod(spec.shape)} numbers for the shape {Form(spec.shape)}",
            "name a shape with as many numbers as the row has",
        )
    return Each(NewShape(spec.shape)), Form(spec.shape)


BUILDERS: dict[type[Layer], Callable[..., tuple[Step, Form]]] = {
    Linear: linear,
    Dropout: dropout,
    ChannelDropout: channel_dropout,
    Embedding: embedding,
    Flatten: flatten,
    Reshape: reshape,
}
