"""What each number of an answer with several is, and which of them is meant where none is named. Pure.

regression    a value, its quantiles, several values by name
forecasting   the steps to come, and the numbers of each
"""

from collections.abc import Iterator, Sequence
from math import prod

from models.answers import MEDIAN, AnswerSpec

Shape = Sequence[int]


def usual_element(task: str, spec: AnswerSpec | None, shape: Shape) -> int | None:
    """Return the number of an answer that stands for it, counted over the row; None where several could.

    It is the only one, the median of a value's quantiles, or the first step to come.
    Shape: shape, of one row of the output.
    """
    size = prod(shape)
    if size == 1 or (task == "forecasting" and size):
        return 0
    medians = [] if task != "regression" or spec is None else [*median_elements(spec, size)]
    return medians[0] if len(medians) == 1 else None


def median_elements(spec: AnswerSpec, size: int) -> Iterator[int]:
    """Yield the element of each value of a regression; none where an output has another width."""
    if spec.width == size:
        width = max(1, len(spec.quantiles))
        at = spec.quantiles.index(MEDIAN) if spec.quantiles else 0
        yield from range(at, size, width)


def part_of(task: str, spec: AnswerSpec | None, shape: Shape, element: int) -> str:
    """Return what one number of an answer is in words; empty where there is nothing to tell apart."""
    size = prod(shape)
    if size == 1:
        return ""
    if task == "forecasting" and shape:
        step, number = divmod(element, size // shape[0])
        within = "" if size == shape[0] else f", number {number + 1} of {size // shape[0]}"
        return f"step {step + 1} of {shape[0]}{within}"
    if task != "regression" or spec is None or spec.width != size:
        return ""
    value, quantile = divmod(element, max(1, len(spec.quantiles)))
    named = spec.values[value : value + 1]
    return ", ".join((*named, *(f"quantile {one:g}" for one in spec.quantiles[quantile : quantile + 1])))
