"""Form: the shape of one row between two layers, the batch axis left out.

(features)                  a vector
(steps, features)           a sequence; the number of steps may be free
(channels, height, width)   an image
"""

from dataclasses import dataclass
from math import prod

FREE = "?"  # as models/binding.py writes a dimension that rows may differ in


@dataclass(frozen=True, slots=True)
class Form:
    """The shape of one row; None is a free number of steps."""

    dims: tuple[int | None, ...]

    def __str__(self) -> str:
        return "(" + ", ".join("steps" if dim is None else str(dim) for dim in self.dims) + ")"

    @property
    def rank(self) -> int:
        """1 for a vector, 2 for a sequence, 3 for an image."""
        return len(self.dims)

    @property
    def free(self) -> bool:
        """Whether rows may differ in their number of steps."""
        return None in self.dims

    @property
    def channels(self) -> int:
        """How many numbers each step or pixel has; for a vector all of them."""
        return self.fixed[0] if self.rank == 3 else self.fixed[-1]

    @property
    def fixed(self) -> tuple[int, ...]:
        """The dimensions that every row shares."""
        return tuple(dim for dim in self.dims if dim is not None)

    @property
    def elements(self) -> int:
        """How many numbers a row has; a step's where steps are free."""
        return prod(self.fixed)

    def with_channels(self, channels: int) -> "Form":
        """Return the same steps or pixels with another number of channels."""
        if self.rank == 3:
            return Form((channels, *self.dims[1:]))
        return Form((*self.dims[:-1], channels))


@dataclass(frozen=True, slots=True)
class Column:
    """One number of a vector and what the view says of it; `name` is None where it is no field's.

    `categories` counts those of the field, 0 for a number; `default` stands in for an absent one.
    """

    name: str | None = None
    categories: int = 0
    default: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One input of a network: its name, the form that its rows have, and a vector's columns."""

    name: str
    form: Form
    columns: tuple[Column, ...] = ()


class DoesNotFit(Exception):
    """A layer cannot take a form: what it takes instead, and the cure."""

    def __init__(self, takes: str, cure: str) -> None:
        super().__init__(takes, cure)
        self.takes, self.cure = takes, cure
