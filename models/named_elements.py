"""Which elements of a row belong to which named feature; the trainer and the server name them alike. Pure.

A field is a feature by its name. What has no names, a vector or the steps of a list, is one by
its place, `digit:{id}[3,4]`, and by blocks of neighbours where it has many elements.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from models.binding import source_shapes
from models.features import FeatureView, InputView
from models.sources import InlineField, InlineSource, ListSource, Source, VectorSource

BLOCKS_MOST = 64  # features of one source without names
Indices = NDArray[np.int64]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NamedFeature:
    """Some elements of the row of one input, and the texts that its number stands for.

    Shape: places, indices into the flattened row.
    """

    name: str
    input: str
    places: Indices
    categories: tuple[str, ...] = ()
    source: str = ""

    @property
    def single(self) -> bool:
        """Whether it is one number."""
        return len(self.places) == 1


def features_of(shapes: Mapping[str, Shape], view: FeatureView | None) -> tuple[NamedFeature, ...]:
    """Return the features of one row, each by a name of its own; every element belongs to one.

    An input that only says how long another one is has none.
    Shape: shapes, of one row of each input, without the batch axis.
    """
    views = {one.name: one for one in view.inputs} if view else {}
    lengths = {one.lengths for one in views.values()}
    found: list[NamedFeature] = []
    for name, shape in shapes.items():
        if name in views:
            found += of_view(views[name], shape)
        elif name not in lengths:
            found += blocks(name, name, np.arange(prod(shape)).reshape(shape))
    return told_apart(found)


def of_view(view: InputView, shape: Shape) -> Iterator[NamedFeature]:
    """Yield the features of one input, source by source."""
    widths = [sum(int(one[-1]) for one in source_shapes(source)) for source in view.sources]
    first = source_shapes(view.sources[0])[0][:-1]
    joined = shape if view.shape is None else (*map(int, first), sum(widths))  # before the view's own `shape`
    places = np.arange(prod(shape)).reshape(joined)
    at = 0
    for source, width in zip(view.sources, widths, strict=True):
        yield from of_source(source, view.name, places[..., at : at + width])
        at += width


def of_source(source: Source, name: str, places: Indices) -> Iterator[NamedFeature]:
    """Yield the features of one source; `places` are those of its elements."""
    if isinstance(source, VectorSource):
        yield from blocks(source.key, name, places, source.key)
    elif isinstance(source, ListSource):
        yield from steps(source.key, name, places)
    else:
        whose = "the request" if isinstance(source, InlineSource) else source.key
        at = 0
        for field in source.fields:
            width = field.shape[-1] if isinstance(field, InlineField) and field.shape else 1
            own = places[..., at : at + width]
            at += width
            if own.size > 1:
                yield from blocks(field.name, name, own, whose)
            else:
                yield NamedFeature(field.name, name, own.reshape(-1), field.categories, whose)


def steps(label: str, name: str, places: Indices) -> Iterator[NamedFeature]:
    """Yield a feature a step of a sequence, or a block of steps where there are many."""
    whole = places.shape[1:]
    size = -(-len(places) // BLOCKS_MOST)
    return cut(label, name, places, (size, *whole), label)


def blocks(label: str, name: str, places: Indices, source: str = "") -> Iterator[NamedFeature]:
    """Yield a feature an element, or a block of neighbours where there are many."""
    size = [1] * places.ndim
    while prod(counts := [-(-dim // one) for dim, one in zip(places.shape, size, strict=True)]) > BLOCKS_MOST:
        size[counts.index(max(counts))] *= 2
    return cut(label, name, places, size, source)


def cut(
    label: str, name: str, places: Indices, size: Sequence[int], source: str = ""
) -> Iterator[NamedFeature]:
    """Yield the blocks of that size, each named by where it lies."""
    ranges = [range(0, dim, one) for dim, one in zip(places.shape, size, strict=True)]
    for start in product(*ranges):
        spans = [
            slice(at, min(at + one, dim)) for at, one, dim in zip(start, size, places.shape, strict=True)
        ]
        where = place_text(spans, places.shape)
        yield NamedFeature(f"{label}{where}", name, places[tuple(spans)].reshape(-1), (), source)


def place_text(spans: Sequence[slice], shape: Shape) -> str:
    """Return where a block lies: [3,4], [8-11], with axes that it covers whole left out at the end."""
    words = [
        str(span.start) if span.stop - span.start == 1 else f"{span.start}-{span.stop - 1}" for span in spans
    ]
    while words and spans[len(words) - 1].stop - spans[len(words) - 1].start == shape[len(words) - 1]:
        words.pop()
    return f"[{','.join(words)}]" if words else ""


def told_apart(found: Sequence[NamedFeature]) -> tuple[NamedFeature, ...]:
    """Return the features with names that occur once: where two share one, their sources are named, or inputs."""
    twice = {name for name, count in Counter(one.name for one in found).items() if count > 1}
    named = [
        replace(one, name=f"{one.name} ({one.source or one.input})") if one.name in twice else one
        for one in found
    ]
    again = {name for name, count in Counter(one.name for one in named).items() if count > 1}
    return tuple(
        replace(one, name=f"{one.name} of {one.input}") if one.name in again else one for one in named
    )
