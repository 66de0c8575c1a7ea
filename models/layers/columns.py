"""Columns: the fields of a vector treated one by one, by name, before anything is learned.

    columns: {age: [missing, log1p, standardize], "amount_*": robust, plan: one_hot, rest: standardize}

A name may end several by `*`; the first that fits counts, a full name before all. What no name
fits is the rest: as `rest` says, or else numbers standardized and categories one-hot.
"""

from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_serializer
from pydantic_core import PydanticCustomError

from models.layers.activations import Activation
from models.layers.layer import VOCABULARY_LIMIT, Count, Layer, Number, written
from models.layers.reading import by_word, spelled_out
from models.layers.scaling import Clip, Fitted, Log1p, Quantile, Scale

REST = "rest"
ENDS = ("one_hot", "embedding")


class OneHot(Layer):
    """One column for each category, 1 in that of the row and 0 in the others."""

    layer: Literal["one_hot"]


class ColumnEmbedding(Layer):
    """A learned vector of `size` numbers for each category; `count` where the field lists none."""

    short = "size"
    layer: Literal["embedding"]
    size: Count
    count: Annotated[int, Strict(), Field(ge=1, le=VOCABULARY_LIMIT)] | None = None


class Missing(Layer):
    """A column more, 1 where the stand-in stands; `fill` takes its place among the numbers.

    The stand-in is `value`, or the field's `default` in the view.
    """

    short = "fill"
    layer: Literal["missing"]
    fill: Literal["mean", "median"] = "mean"
    value: Number | None = None


AnyColumnLayer = Fitted | Quantile | Scale | Log1p | Clip | Activation | OneHot | ColumnEmbedding | Missing


COLUMN_LAYERS = by_word(AnyColumnLayer)
COLUMN_WORDS = ("one_hot", "missing")  # these have no meaning for a whole row


def read_column_layer(value: object) -> object:
    """Read one layer of a treatment as it is written."""
    return spelled_out(value, COLUMN_LAYERS)


def listed(value: object) -> object:
    """Let one layer go without a list."""
    return [value] if isinstance(value, str | dict) else value


def in_order(treatment: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Refuse a treatment whose layers cannot follow one another."""
    words = [layer.layer for layer in treatment]
    if "missing" in words[1:]:
        raise PydanticCustomError("order", "`missing` comes first: later the stand-in is not known any more")
    if any(word in ENDS for word in words[:-1]):
        raise PydanticCustomError("order", "`one_hot` and `embedding` come last: they make several columns")
    return treatment


ColumnLayer = Annotated[
    Annotated[AnyColumnLayer, Field(discriminator="layer")], BeforeValidator(read_column_layer)
]
Treatment = Annotated[
    tuple[ColumnLayer, ...], Field(max_length=16), AfterValidator(in_order), BeforeValidator(listed)
]


class Columns(Layer):
    """Every column of a vector treated by the name of its field."""

    layer: Literal["columns"]
    fields: dict[str, Treatment] = Field(default={})
    rest: Treatment | None = None

    def treatment(self, name: str | None) -> tuple[Layer, ...] | None:
        """Return what is done with a field, None when nothing says so; a column may have no name."""
        if name is None or name in self.fields:
            return self.rest if name is None else self.fields[name]
        fitting = (layers for pattern, layers in self.fields.items() if fnmatchcase(name, pattern))
        return next(fitting, self.rest)

    @model_serializer(mode="plain")
    def _as_written(self) -> str | dict[str, Any]:
        fields = {**self.fields, **({} if self.rest is None else {REST: self.rest})}
        return {self.layer: written(fields)} if fields else self.layer


def by_field(options: object) -> object:
    """Turn `{age: log1p, rest: standardize}` into fields and the rest."""
    if options is None:
        return {"layer": "columns"}
    if not isinstance(options, dict):
        raise PydanticCustomError("columns", "columns takes a mapping {field: layers, rest: layers}")
    fields = {name: layers for name, layers in options.items() if name != REST}
    return {"layer": "columns", "fields": fields, REST: options.get(REST)}
