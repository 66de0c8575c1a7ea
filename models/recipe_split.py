"""The split section of a recipe: which rows may share a part, and how often all is done again."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from models.recipe_data import checked_template
from models.recipe_faults import fault
from models.recipe_sections import Section, Text, Whole


class Split(Section):
    """How rows are parted, beside the shares that `training` names; by chance when nothing is said."""

    group: Text | None = None
    """Field or column of a group: no two parts have rows of the same one."""
    time: Text | None = None
    """Field or column of a time: the newest rows are held out, those before them validate."""
    part: Text | None = None
    """Field or column that says it for each row: train, validation or test."""
    key: Text | None = None
    """For rows in Redis: the hash that has the field; the target's own when not given."""

    folds: Annotated[Whole, Field(ge=2, le=50)] | None = None
    """Parts of a cross-validation over the rows that are not held out."""

    @field_validator("key")
    @classmethod
    def _template(cls, key: str | None) -> str | None:
        return None if key is None else checked_template(key)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        given = [name for name in ("group", "time", "part") if getattr(self, name) is not None]
        if len(given) > 1:
            raise fault(f"parts rows by {' and by '.join(given)}; choose one")
        if self.key is not None and not given:
            raise fault("names a hash but no field of it; add group, time or part", "key")
        return self

    @property
    def field(self) -> str | None:
        """The field or column that parts the rows."""
        return self.group or self.time or self.part
