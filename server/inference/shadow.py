"""Shadow: what production was asked is asked of another version too, and what differs is counted.

A shadow answers nobody. It is asked after the answer was given, left out when it would have to
wait for long, and bounded, so that a slow or failing one costs nothing but the time it runs.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from models.tensors import Tensor, is_float
from server.inference.asking import Answer, Ask
from server.inference.loading import Serving

TOLERANCE = 1e-5  # of the larger number, or of 1: float32 has seven digits and loses one or two on the way
FULL = 0.5  # the share of its queue that may be taken
ROWS_UNDER_WAY = 8192  # their requests and answers are kept until the shadow has answered
ANSWER_SECONDS = 5.0

Outcome = Answer | Exception
Submit = Callable[[Ask, Callable[[Outcome], None]], object]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two answers of one request: rows that both answered, those that differ, the largest difference."""

    rows: int
    different: int
    largest: float


class Shadows:
    """Asks shadows, and counts what they answer."""

    def __init__(self, submit: Submit) -> None:
        """Take what answers a request: it never raises, and its second argument hears once."""
        self._submit = submit
        self._rows = 0

    def beside(self, ask: Ask, shadow: Serving, answer: Answer) -> None:
        """Ask a shadow what production has answered just now; return at once."""
        rows = len(answer.rows)
        busy = self._rows and self._rows + rows > ROWS_UNDER_WAY
        if busy or shadow.batcher.load > FULL:
            shadow.metrics.skipped(rows)
            return
        self._rows += rows
        asyncio.get_running_loop().call_soon(self._ask, ask, shadow, answer)  # the answer leaves first

    def _ask(self, ask: Ask, shadow: Serving, answer: Answer) -> None:
        if shadow.left:  # it would be loaded again for this
            self._rows -= len(answer.rows)
            shadow.metrics.skipped(len(answer.rows))
            return
        now = time.monotonic()
        shadow.used_at = now
        version, deadline = shadow.manifest.version, now + ANSWER_SECONDS
        again = Ask(
            ask.model,
            version,
            ask.keys,
            instances=ask.instances,
            inputs=ask.inputs,
            missing=ask.missing,
            raw=ask.raw,
            deadline=deadline,
            callers=ask.callers,
            tensors=ask.tensors,
        )
        self._submit(again, partial(self._count, shadow, answer))

    def _count(self, shadow: Serving, answer: Answer, outcome: Outcome) -> None:
        """Count what a shadow answered; its errors were counted as those of its version."""
        self._rows -= len(answer.rows)
        if isinstance(outcome, Answer):
            found = compared(answer, outcome)
            if found.rows:
                shadow.metrics.shadowed(found.rows, found.different, found.largest)


def compared(answer: Answer, beside: Answer) -> Comparison:
    """Compare the rows that two versions both answered; a row that failed in one is an error, no difference."""
    if answer.outputs is not None and beside.outputs is not None:
        return compared_tensors(answer.outputs, beside.outputs, len(answer.rows))
    rows = different = 0
    largest = 0.0
    for one, other in zip(answer.rows, beside.rows, strict=False):
        if one.error is None and other.error is None:
            differs, distance = difference(one.body, other.body)
            rows += 1
            different += differs
            largest = max(largest, distance)
    return Comparison(rows, different, largest)


def compared_tensors(one: Mapping[str, Tensor], other: Mapping[str, Tensor], rows: int) -> Comparison:
    """Compare outputs row by row; where they differ in name, kind or shape, every row differs without end."""
    differs, largest = np.zeros(rows, bool), 0.0
    for name, tensor in one.items():
        beside = other.get(name)
        if beside is None or beside.shape != tensor.shape or beside.dtype.kind != tensor.dtype.kind:
            return Comparison(rows, rows, math.inf)
        count = rows if tensor.ndim and len(tensor) == rows else 1  # of a graph that sees all rows as one
        gaps, far = gaps_of(tensor.reshape(count, -1), beside.reshape(count, -1))
        differs |= far.any(axis=1)
        largest = max(largest, float(gaps.max(initial=0.0)))
    return Comparison(rows, int(differs.sum()), largest)


def gaps_of(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far the values of two tensors are apart, and which are so by more than rounding.

    Shape: (rows, values) each.
    """
    if not is_float(one.dtype):
        differ = np.asarray(one != other, bool)
        return np.where(differ, math.inf, 0.0), differ
    first, second = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gaps = np.abs(first - second)
    gaps[(first == second) | (np.isnan(first) & np.isnan(second))] = 0.0
    gaps[np.isnan(gaps)] = math.inf
    return gaps, gaps > TOLERANCE * np.maximum(1.0, np.maximum(np.abs(first), np.abs(second)))


def difference(one: Any, other: Any) -> tuple[bool, float]:
    """Whether two values of an answer differ, and how far their numbers are apart at the most.

    What differs and has no numbers, such as labels alone, is apart without end.
    """
    if one == other:
        return False, 0.0
    found = Found()
    compare(one, other, found)
    return found.differs, found.largest if found.numbers or not found.differs else math.inf


@dataclass(slots=True)
class Found:
    """What a comparison has come upon so far."""

    differs: bool = False
    numbers: bool = False
    largest: float = 0.0


def compare(one: Any, other: Any, found: Found) -> None:
    """Note how each number of two values differs, and each text that does."""
    if is_number(one) and is_number(other):
        found.numbers = True
        if one != other:
            gap, far = apart(float(one), float(other))
            found.differs |= far
            found.largest = max(found.largest, gap)
    elif isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name, value in one.items():
            compare(value, other[name], found)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for value, beside in zip(one, other, strict=True):
            compare(value, beside, found)
    elif one != other:
        found.differs = True


def is_number(value: Any) -> bool:
    """Whether a value is a number; a truth value is none."""
    return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool))


def apart(one: float, other: float) -> tuple[float, bool]:
    """Return how far two numbers are apart, and whether that is more than rounding."""
    if math.isnan(one) and math.isnan(other):
        return 0.0, False
    gap = abs(one - other)
    if not math.isfinite(gap):
        return math.inf, True
    return gap, gap > TOLERANCE * max(1.0, abs(one), abs(other))
