"""Names of the numbers that one row is made of, as a person knows them from the feature view."""

import numpy as np

from models.binding import FREE, row_shape
from models.features import InputView
from models.sources import (
    FeatureField,
    ListSource,
    VectorSource,
)

STATISTICS = ("mean", "deviation", "least", "most")  # of each channel of a sequence, in this order


def column_names(view: InputView) -> tuple[str, ...]:
    """Return a name for each number of a row in order; for steps of free length each channel's statistics."""
    shape = row_shape(view)
    if FREE in shape:
        return tuple(f"{statistic} of {channel}" for statistic in STATISTICS for channel in last_axis(view))
    sizes = [int(dim) for dim in shape]
    if len(sizes) == 1 and view.shape is None:
        return tuple(last_axis(view))
    return tuple(f"{view.name}[{','.join(map(str, at))}]" for at in np.ndindex(*sizes))


def last_axis(view: InputView) -> list[str]:
    """Return names along the axis on which the sources are joined: a field's own, else input and number."""
    names: list[str] = []
    for source in view.sources:
        if not isinstance(source, VectorSource | ListSource):
            names += [name for field in source.fields for name in field_columns(field)]
        else:
            names += [f"{view.name}[{len(names) + at}]" for at in range(source.shape[-1])]
    return names


def field_columns(field: FeatureField) -> list[str]:
    """Return the name of a field, or of each of its numbers along the last axis."""
    return [field.name] if field.width == 1 else [f"{field.name}[{at}]" for at in range(field.width)]


def defaults(view: InputView) -> dict[str, float]:
    """Return the number that stands in for each field of numbers that may be missing, by the field's name."""
    return {
        field.name: float(field.default)
        for source in view.sources
        if not isinstance(source, VectorSource | ListSource)
        for field in source.fields
        if isinstance(field.default, int | float) and not field.categories
    }
