"""What a door asks of an explanation beside its rows, and the bounds of it; no transport, no wire."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.errors import BadRequest, shown

ROWS_MOST = 64  # of one request
SAMPLES = 2048
SAMPLES_LEAST = 64
SAMPLES_MOST = 16_384
REFERENCES_MOST = 64
SEED_MOST = 2**32


@dataclass(frozen=True, slots=True)
class Wish:
    """How rows shall be explained.

    `label` names the probability that is explained, the predicted label's when not given; `output`
    and `element` name a number of any output of the graph. `reference` holds tensors by input to
    compare with, those of the version when not given. At most `samples` rows are run for each row
    that is explained; None takes what its features need.
    """

    label: str | None = None
    output: str | None = None
    element: int | None = None
    reference: Mapping[str, Any] | None = None
    samples: int | None = None
    seed: int = 0

    def check(self) -> None:
        """Refuse what is out of bounds.

        Raises: BadRequest, naming the field, its value and the cure.
        """
        within("samples", self.samples, SAMPLES_LEAST, SAMPLES_MOST)
        within("seed", self.seed, 0, SEED_MOST - 1)
        within("element", self.element, 0, SEED_MOST)
        if self.label is not None and (self.output is not None or self.element is not None):
            raise BadRequest("label goes without output and element: a label's probability is one number")


def within(name: str, value: int | None, low: int, high: int) -> None:
    """Refuse a number out of its bounds.

    Raises: BadRequest.
    """
    if value is not None and not low <= value <= high:
        raise BadRequest(f"{name} is {shown(value)}; send a whole number of {low} to {high}", field=name)
