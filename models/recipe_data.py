"""The data section of a recipe: where rows are, and where the truth of each is."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from models.errors import BadFeatureView
from models.layers.layer import Number
from models.recipe_faults import fault
from models.recipe_sections import Rows, Section, Text
from models.templates import KeyTemplate


class HashTarget(Section):
    """The field of a hash that holds what the network shall predict."""

    key: Text
    as_: Annotated[Literal["hash"], Field(alias="as")] = "hash"
    field: Text

    @field_validator("key")
    @classmethod
    def _template(cls, key: str) -> str:
        try:
            KeyTemplate(key)
        except BadFeatureView as error:
            raise fault(str(error)) from error
        return key


class RedisRows(Section):
    """Rows that lie in Redis, read through the recipe's own feature view."""

    source: Literal["redis"]
    match: Text
    """SCAN pattern of the keys that are rows; other keys it finds are passed over."""
    target: HashTarget
    max_rows: Rows = 100_000
    """When more keys match, this many are taken, always the same ones."""
    max_bad_share: Annotated[Number, Field(ge=0, le=1)] = 0.01
    """Share of the rows that may be unusable; more is an error."""
    dataset: Text | None = None
    """The ready data set that fills these keys."""
