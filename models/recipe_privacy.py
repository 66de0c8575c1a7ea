"""The privacy section of a training: how little one row may show in the weights."""

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from models.layers.layer import Number
from models.recipe_faults import fault
from models.recipe_sections import Section
from models.sources import FIELDS_LIMIT

Range = tuple[Number, Number]


def listed_ranges(value: object) -> object:
    """Read one range as a list of one."""
    one = isinstance(value, list) and len(value) == 2 and not any(isinstance(end, list) for end in value)
    return [value] if one else value


Ranges = Annotated[tuple[Range, ...], BeforeValidator(listed_ranges), Field(max_length=FIELDS_LIMIT)]


class Privacy(Section):
    """Differentially private training: gradients are clipped a row at a time, and noise is added."""

    epsilon: Annotated[Number, Field(gt=0, le=1000)]
    """How much one row may change what is learned; below 1 is strong, above 10 hardly any protection."""
    delta: Annotated[Number, Field(gt=0, lt=1)] = 1e-5
    """Chance that it may be more; take less than one over the rows."""
    clip: Annotated[Number, Field(gt=0)] = 1.0
    """Largest norm of one row's gradient."""
    within: Ranges = ()
    """Of a regression: from where to where values lie, as is known without the rows; one range a value."""

    @field_validator("within")
    @classmethod
    def _ascending(cls, within: tuple[Range, ...]) -> tuple[Range, ...]:
        for low, high in within:
            if not low < high:
                raise fault(f"goes from {low:g} to {high:g}; write the lower end first")
        return within
