"""The privacy section of a training: how little one row may show in the weights."""

from typing import Annotated

from pydantic import Field

from models.layers.layer import Number
from models.recipe_sections import Section


class Privacy(Section):
    """Differentially private training: gradients are clipped a row at a time, and noise is added."""

    epsilon: Annotated[Number, Field(gt=0, le=1000)]
    """How much one row may change what is learned; below 1 is strong, above 10 hardly any protection."""
    delta: Annotated[Number, Field(gt=0, lt=1)] = 1e-5
    """Chance that it may be more; take less than one over the rows."""
    clip: Annotated[Number, Field(gt=0)] = 1.0
    """Largest norm of one row's gradient."""
