"""The data section of a recipe: where rows are, and where the truth of each is."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, field_validator

from models.errors import BadFeatureView
from models.layers.layer import Number
from models.recipe_faults import fault
from models.recipe_sections import Rows, Section, Text, Whole
from models.sources import FIELDS_LIMIT
from models.templates import KeyTemplate
from models.tensors import NumericDtype, Size


class KeyedTarget(Section):
    """A key that holds what the network shall predict."""

    key: Text

    @field_validator("key")
    @classmethod
    def _template(cls, key: str) -> str:
        try:
            KeyTemplate(key)
        except BadFeatureView as error:
            raise fault(str(error)) from error
        return key


class HashTarget(KeyedTarget):
    """The field of a hash that holds what the network shall predict, or several fields.

    With `separator` one field holds any number of labels.
    """

    as_: Annotated[Literal["hash"], Field(alias="as")] = "hash"
    field: Text | None = None
    fields: Annotated[tuple[Text, ...], Field(max_length=FIELDS_LIMIT)] = ()
    separator: Annotated[str, StringConstraints(min_length=1, max_length=16)] | None = None

    @field_validator("fields")
    @classmethod
    def _once(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(fields)) < len(fields):
            raise fault("names a field twice")
        return fields


class VectorTarget(KeyedTarget):
    """A vector of the steps to come: (steps) or (steps, channels), little-endian."""

    as_: Annotated[Literal["vector"], Field(alias="as")]
    dtype: NumericDtype = "float32"
    shape: Annotated[tuple[Size, ...], Field(min_length=1, max_length=2)]


class FollowingTarget(Section):
    """The last `steps` of a row's own list, which the network is not shown.

    Up to `windows` such ends are taken from each list, `every` so many steps apart, the newest
    first; `channels` are those of an entry that are forecast, all when none is named.
    """

    as_: Annotated[Literal["following"], Field(alias="as")]
    steps: Annotated[Whole, Field(ge=1, le=4096)]
    windows: Annotated[Whole, Field(ge=1, le=65_536)] = 1
    every: Annotated[Whole, Field(ge=1, le=65_536)] = 1
    channels: Annotated[tuple[Annotated[Whole, Field(ge=0)], ...], Field(max_length=4096)] = ()


def with_kind(value: object) -> object:
    """Let a target go without `as: hash`."""
    return {"as": "hash", **value} if isinstance(value, dict) and "as" not in value else value


Target = Annotated[
    Annotated[HashTarget | VectorTarget | FollowingTarget, Field(discriminator="as_")],
    BeforeValidator(with_kind),
]


class RedisRows(Section):
    """Rows that lie in Redis, read through the recipe's own feature view."""

    source: Literal["redis"]
    match: Text
    """SCAN pattern of the keys that are rows; other keys it finds are passed over."""
    target: Target | None = None
    """What is true of each row; an anomaly score needs none."""
    max_rows: Rows = 100_000
    """When more keys match, this many are taken, always the same ones."""
    max_bad_share: Annotated[Number, Field(ge=0, le=1)] = 0.01
    """Share of the rows that may be unusable; more is an error."""
    dataset: Text | None = None
    """The ready data set that fills these keys."""
