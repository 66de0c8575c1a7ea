"""Which elements of a row belong to which named feature; the trainer and the server name them alike. Pure.

A field is a feature by its name. What has no names, a vector or the steps of a list, is one by
its place, `digit:{id}[3,4]`, and by blocks of neighbours where it has many elements.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from models.binding import source_shapes
from models.features import FeatureView, InputView
from models.sources import InlineSource, ListSource, Source, StreamSource, VectorSource

BLOCKS_MOST = 64  # features of one source without names
Indices = NDArray[np.int64]
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NamedFeature:
    """Some elements of the row of one input, and the texts that its number stands for.

    `label` is what its name begins with, the field or the key; `source` is where it is read from, and
    `turn` which source of the input that is.
    Shape: places, indices into the flattened row.
    """

    name: str
    input: str
    places: Indices
    categories: tuple[str, ...] = ()
    source: str = ""
    label: str = ""
    turn: int = 0

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
    first = source_shapes(view.sources[0])[0][:-1]
    joined = (
        shape if view.shape is None else (*map(int, first), sum(map(width_of, view.sources)))
    )  # before the view's own `shape`
    places = np.arange(prod(shape)).reshape(joined)
    for turn, (source, own) in enumerate(parted(view, places)):
        for one in of_source(source, view.name, own):
            yield replace(one, turn=turn)


def parted(view: InputView, places: Indices) -> Iterator[tuple[Source, Indices]]:
    """Yield each source of an input with the places of its elements along the last axis."""
    at = 0
    for source in view.sources:
        width = width_of(source)
        yield source, places[..., at : at + width]
        at += width


def width_of(source: Source) -> int:
    """Return how many elements a source adds along the last axis."""
    return sum(int(one[-1]) for one in source_shapes(source))


def of_source(source: Source, name: str, places: Indices) -> Iterator[NamedFeature]:
    """Yield the features of one source; `places` are those of its elements."""
    if isinstance(source, VectorSource):
        yield from blocks(source.key, name, places, source.key)
    elif isinstance(source, ListSource):
        yield from steps(source.key, name, places)
    elif isinstance(source, StreamSource):
        yield from fields_of_steps(source, name, places)
    else:
        whose = "the request" if isinstance(source, InlineSource) else source.key
        at = 0
        for field in source.fields:
            own = places[..., at : at + field.width]
            at += field.width
            if own.size > 1:
                yield from blocks(field.name, name, own, whose)
            else:
                yield NamedFeature(field.name, name, own.reshape(-1), field.categories, whose, field.name)


def steps(label: str, name: str, places: Indices) -> Iterator[NamedFeature]:
    """Yield a feature a step of a sequence, or a block of steps where there are many."""
    whole = places.shape[1:]
    size = -(-len(places) // BLOCKS_MOST)
    return cut(label, name, places, (size, *whole), label)


def fields_of_steps(source: StreamSource, name: str, places: Indices) -> Iterator[NamedFeature]:
    """Yield a feature a field and step of a sequence, or a field and block of steps where there are many."""
    size = -(-len(places) * len(source.fields) // BLOCKS_MOST)
    for at, field in enumerate(source.fields):
        for one in cut(field.name, name, places[:, at], (min(size, len(places)),), source.key):
            yield replace(one, categories=field.categories) if one.single else one


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
        yield NamedFeature(f"{label}{where}", name, places[tuple(spans)].reshape(-1), (), source, label)


def place_text(spans: Sequence[slice], shape: Shape) -> str:
    """Return where a block lies: [3,4], [8-11], with axes that it covers whole left out at the end."""
    words = [
        str(span.start) if span.stop - span.start == 1 else f"{span.start}-{span.stop - 1}" for span in spans
    ]
    while words and spans[len(words) - 1].stop - spans[len(words) - 1].start == shape[len(words) - 1]:
        words.pop()
    return f"[{','.join(words)}]" if words else ""


def told_apart(found: Sequence[NamedFeature]) -> tuple[NamedFeature, ...]:
    """Return the features with names that occur once.

    Where what they are called by has several homes, all of them say where they are read from, then
    which input they are of, then which of its sources they come from: as much as tells the homes apart.
    """
    named = list(found)
    for said in (origin, the_input, the_turn):
        homes: dict[str, set[tuple[str, str, int]]] = {}
        for one in named:
            homes.setdefault(one.label, set()).add((one.source, one.input, one.turn))
        named = [
            replace(one, name=one.name + said(one), label=one.label + said(one))
            if len(homes[one.label]) > 1
            else one
            for one in named
        ]
    return tuple(named)


def origin(one: NamedFeature) -> str:
    """Return where a feature is read from; nothing where it is called by just that."""
    return "" if one.source in ("", one.label) else f" ({one.source})"


def the_input(one: NamedFeature) -> str:
    """Return which input a feature is of."""
    return f" of {one.input}"


def the_turn(one: NamedFeature) -> str:
    """Return which source of its input a feature comes from."""
    return f", source {one.turn + 1}"
