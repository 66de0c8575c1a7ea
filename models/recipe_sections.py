"""Section: what every part of a recipe has, and the values that several parts share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict, StringConstraints

ROWS_LIMIT = 10_000_000

Rows = Annotated[int, Strict(), Field(ge=1, le=ROWS_LIMIT)]
Whole = Annotated[int, Strict()]
Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class Section(BaseModel):
    """Immutable, a misspelt word is refused, and a field's docstring is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
