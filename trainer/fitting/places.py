"""Places: whether inputs, fields and categories stand where a version's weights take them; shapes do not tell.

A weight is for a place, whatever is called there. What both know by its name has to stand in one
place; another name in a place may be the same under a new one, or not: that is told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.features import FeatureView, InputView
from models.sources import ListSource, VectorSource


@dataclass(frozen=True, slots=True)
class Moved:
    """A name that both views have, in another place; places are counted from 1."""

    what: str
    there: int
    here: int

    def __str__(self) -> str:
        return f"{self.what} is number {self.there} there, number {self.here} here"


@dataclass(frozen=True, slots=True)
class Renamed:
    """A place that has another name."""

    where: str
    there: str
    here: str

    def __str__(self) -> str:
        return f"{self.where} was {self.there}, is {self.here}"


Names = Sequence[str | None]


def differences(there: FeatureView, here: FeatureView) -> Iterator[Moved | Renamed]:
    """Give what stands elsewhere or is called otherwise: inputs, their fields, the categories of those."""
    names = [[one.name for one in view.inputs] for view in (there, here)]
    yield from (one for one in compared("input", "input {}", *names) if isinstance(one, Moved))
    for old, new in zip(there.inputs, here.inputs, strict=False):
        where = f"field {{}} of {new.name}"
        yield from compared("field", where, field_names(old), field_names(new))
        categories = categories_of(old)
        for name, listed in categories_of(new).items():
            where = f"category {{}} of {name}"
            yield from compared(f"category of {name}", where, categories.get(name, ()), listed)


def compared(what: str, where: str, there: Names, here: Names) -> Iterator[Moved | Renamed]:
    """Give the names of both that moved, and the places that another name has."""
    for at, (old, new) in enumerate(zip(there, here, strict=False), 1):
        if old == new or new is None or old is None:
            continue
        if new in there:
            yield Moved(f"{what} {new}", there.index(new) + 1, at)
        elif old not in here:
            yield Renamed(where.format(at), old, new)


def field_names(view: InputView) -> Names:
    """Return the name of each number of a row, along the axis on which sources are joined; none in vectors."""
    names: list[str | None] = []
    for source in view.sources:
        if isinstance(source, VectorSource | ListSource):
            names += [None] * source.shape[-1]
        else:
            names += [
                field.name if field.width == 1 else None
                for field in source.fields
                for _ in range(field.width)
            ]
    return names


def categories_of(view: InputView) -> dict[str, tuple[str, ...]]:
    """Return the categories of each field that has some."""
    fielded = [source for source in view.sources if not isinstance(source, VectorSource | ListSource)]
    return {field.name: field.categories for source in fielded for field in source.fields if field.categories}
