"""The quantize word of a recipe: smaller numbers in the published file, if they are worth it.

quantize: auto      the same as      quantize: {to: auto, max_loss: 0.005}
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from models.layers.layer import Number
from models.recipe_sections import Section


class Quantization(Section):
    """What to try, and how much the score may lose by it."""

    to: Literal["int8", "fp16", "auto"]
    max_loss: Annotated[Number, Field(ge=0, le=1)] = 0.005
    """Of the score on the validation rows: a difference where more is better, a share of it where less is."""


def spelled_out(value: object) -> object:
    """Read one word as what it stands for."""
    return {"to": value} if isinstance(value, str) else value


Quantize = Annotated[Quantization, BeforeValidator(spelled_out)]
