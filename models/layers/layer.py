"""Layer: what every layer of a recipe has, and the numbers they may take."""

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_serializer
from pydantic_core import PydanticCustomError

WIDTH_LIMIT = 65_536
WINDOW_LIMIT = 1_024
VOCABULARY_LIMIT = 1 << 24  # float32 holds every whole number up to here


def no_bool(value: object) -> object:
    """Refuse yes and no where a number is meant; Python counts them as 1 and 0."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "should be a number, not yes or no")
    return value


Number = Annotated[float, BeforeValidator(no_bool), Field(allow_inf_nan=False)]
Count = Annotated[int, Strict(), Field(ge=1, le=WIDTH_LIMIT)]
Window = Annotated[int, Strict(), Field(ge=1, le=WINDOW_LIMIT)]
Share = Annotated[Number, Field(ge=0, lt=1)]


class Layer(BaseModel):
    """One layer; `short` is the field that `word: value` sets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    short: ClassVar[str | None] = None
    layer: str

    @model_serializer(mode="plain")
    def _as_written(self) -> str | dict[str, Any]:
        options = {name: getattr(self, name) for name in type(self).model_fields if name != "layer"}
        changed = {
            name: written(value)
            for name, value in options.items()
            if value != type(self).model_fields[name].default
        }
        return {self.layer: changed} if changed else self.layer


def written(value: Any) -> Any:
    """Return an option as a file has it."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, tuple):
        return [written(one) for one in value]
    return {name: written(one) for name, one in value.items()} if isinstance(value, dict) else value
