"""A recipe as what its network is built from: the form of every input and the columns of a vector."""

from collections.abc import Iterator

from models.binding import row_shape
from models.features import InputView
from models.recipe import Recipe
from models.sources import SequenceSource, Source, VectorSource
from models.tensors import elements
from trainer.networks.building import Blueprint
from trainer.networks.forms import FREE, Column, Entry, Form
from trainer.tasks.task import outputs_of


def blueprint_of(recipe: Recipe) -> Blueprint:
    """Return what a recipe's network is built from."""
    entries = tuple(Entry(one.name, form_of(one), columns_of(one)) for one in recipe.features.inputs)
    return Blueprint(entries, recipe.branches, recipe.then, outputs_of(recipe))


def form_of(view: InputView) -> Form:
    """Return the form of one row of an input as the view gives it."""
    return Form(tuple(None if dim == FREE else int(dim) for dim in row_shape(view)))


def columns_of(view: InputView) -> tuple[Column, ...]:
    """Return what the view says of each number of a vector; nothing where it gives the input a shape."""
    if view.shape is not None or len(row_shape(view)) > 1:
        return ()
    return tuple(column for source in view.sources for column in columns_of_source(source))


def columns_of_source(source: Source) -> Iterator[Column]:
    """Give the columns of one source."""
    if isinstance(source, VectorSource | SequenceSource):
        yield from [Column()] * elements(source.shape)
        return
    for field in source.fields:
        if field.width > 1:
            yield from [Column()] * field.width
            continue
        default = float(field.default) if isinstance(field.default, int | float) else None
        yield Column(field.name, len(field.categories), default)
