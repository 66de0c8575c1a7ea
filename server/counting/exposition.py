"""Exposition: series as Prometheus text; it knows their names and shapes, not what counts them.

prometheus_client takes 7 us a line, holding the interpreter's lock: a second for the series of a
thousand versions. A template a family takes a twentieth of that.
"""

import io
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TypeVar

from prometheus_client.utils import floatToGoString

# The event loop waits for at most so long to go on, instead of for the interpreter's 5 ms; the pause must be a
# real one, or the thread that waits does not win the lock.
WORK_SECONDS = 0.0002
PAUSE_SECONDS = 20e-6


T = TypeVar("T")


def head(name: str, kind: str, text: str) -> str:
    """Return the lines that open a family."""
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def labelled(names: Sequence[str], values: Sequence[str]) -> str:
    """Return labels as they stand between braces."""
    pairs = zip(names, values, strict=True)
    return ",".join(f'{name}="{escaped(value)}"' for name, value in pairs)


def escaped(value: str) -> str:
    """Return a label value as the text format wants it."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@dataclass(frozen=True, slots=True)
class Single:
    """A family of one number a series, a counter or a gauge, `at` its place in a block."""

    name: str
    text: str
    at: int = 0
    kind: str = "counter"

    def head(self) -> str:
        """Return the lines that open the family."""
        return head(self.name, self.kind, self.text)

    def lines(self, labels: str, values: Sequence[float]) -> str:
        """Return the line of a series."""
        return (
            f"{self.name}{{{labels}}} {values[self.at]}\n" if labels else f"{self.name} {values[self.at]}\n"
        )


@dataclass(frozen=True, slots=True)
class Histogram:
    """A family of histograms: a count for each bound and one above, then the sum, from `at` in a block.

    Units: bounds, in the unit of the name.
    """

    name: str
    text: str
    bounds: tuple[float, ...]
    at: int = 0
    parts: list[str] = field(init=False, repr=False)  # of a template; the labels go in between
    plain: str = field(init=False, repr=False)  # the template of a series without labels

    def __post_init__(self) -> None:
        edges = [*map(floatToGoString, self.bounds), "+Inf"]
        buckets = [f'{self.name}_bucket{{le="{edge}"' for edge in edges]
        ends = [f"{self.name}_count", f"{self.name}_sum"]
        marked = [f"{one},\0}} %s\n" for one in buckets] + [f"{one}{{\0}} %s\n" for one in ends]
        object.__setattr__(self, "parts", "".join(marked).split("\0"))
        object.__setattr__(self, "plain", "".join(marked).replace(",\0", "").replace("{\0}", ""))

    @property
    def total(self) -> int:
        """The place of the sum."""
        return self.at + len(self.bounds) + 1

    @property
    def end(self) -> int:
        """The place after the last one."""
        return self.total + 1

    def count(self, values: Sequence[float]) -> float:
        """Return how often something was observed."""
        return sum(values[self.at : self.total])

    def head(self) -> str:
        """Return the lines that open the family."""
        return head(self.name, "histogram", self.text)

    def lines(self, labels: str, values: Sequence[float]) -> str:
        """Return the lines of a series; none before its first observation: a version may read nothing at all."""
        counts = list(accumulate(values[self.at : self.total]))
        if not counts[-1]:
            return ""
        template = labels.replace("%", "%%").join(self.parts) if labels else self.plain
        return template % (*counts, counts[-1], values[self.total])


@dataclass(frozen=True, slots=True)
class Count:
    """A counter of how often a histogram was observed."""

    name: str
    text: str
    histogram: Histogram

    def head(self) -> str:
        """Return the lines that open the family."""
        return head(self.name, "counter", self.text)

    def lines(self, labels: str, values: Sequence[float]) -> str:
        """Return the line of a series."""
        return Single(self.name, self.text).lines(labels, [self.histogram.count(values)])


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A counter of labelled series that follows from several numbers of a block."""

    name: str
    text: str
    reckon: Callable[[Sequence[float]], float]

    def head(self) -> str:
        """Return the lines that open the family."""
        return head(self.name, "counter", self.text)

    def lines(self, labels: str, values: Sequence[float]) -> str:
        """Return the line of a series, which has labels."""
        return f"{self.name}{{{labels}}} {self.reckon(values)}\n"


Family = Single | Histogram | Count | Reckoned


def gently(items: Iterable[T]) -> Iterator[T]:
    """Go through items, letting other threads run in between."""
    begun = time.perf_counter()
    for item in items:
        yield item
        if time.perf_counter() - begun > WORK_SECONDS:
            time.sleep(PAUSE_SECONDS)
            begun = time.perf_counter()


def written(pieces: Iterable[str]) -> bytes:
    """Return pieces as one text, grown piece by piece: joining megabytes holds the lock for milliseconds."""
    whole = io.BytesIO()
    for piece in gently(pieces):
        whole.write(piece.encode())
    return whole.getvalue()
