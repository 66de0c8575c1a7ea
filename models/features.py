"""FeatureView: which keys, which fields, and which tensors they become; data only, no I/O.

    FeatureView > InputView (one graph input) > Source (one key template, or the request itself)

The sources of one input are concatenated along the last axis. `models/assembly.py` turns a view
into Redis commands and their replies into tensors; the trainer and the server both use it, so
what a network is trained on is what it is served.
"""

from typing import Annotated, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
    model_validator,
)

from models.errors import BadFeatureView, shown
from models.templates import KeyTemplate
from models.tensors import ELEMENT_LIMIT, Dtype, NumericDtype, Size, elements

FIELDS_LIMIT = 4096
SOURCES_LIMIT = 32
INPUTS_LIMIT = 32
STEPS_LIMIT = 65_536
VIEW_LIMIT_BYTES = 1 << 20

Name = Annotated[str, Field(min_length=1, max_length=512)]
Default = FiniteFloat | str


class Strict(BaseModel):
    """Immutable, and a misspelt word is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class FeatureField(Strict):
    """One value of a hash, a JSON document or the request.

    With `categories` the text becomes its number in that list, from 0; `unknown` names the
    category that any other text counts as.
    """

    name: Name
    default: Default | None = None
    categories: Annotated[tuple[str, ...], Field(max_length=65_536)] = ()
    unknown: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.categories)) != len(self.categories):
            raise ValueError(f"field {self.name!r} lists a category twice")
        if self.unknown is not None and self.unknown not in self.categories:
            raise ValueError(f"field {self.name!r}: unknown {self.unknown!r} is no category of it")
        if self.categories and self.default is not None and self.default not in self.categories:
            raise ValueError(f"field {self.name!r}: default {self.default!r} is no category of it")
        return self


class JsonField(FeatureField):
    """A field of a JSON document; `path` is a JSONPath, `$.name` when not given."""

    path: str = Field(default="", pattern=r"^(\$.*)?$", max_length=1024)

    @property
    def where(self) -> str:
        """The JSONPath that is read."""
        return self.path or f"$.{self.name}"


class InlineField(FeatureField):
    """A value that the request carries: a scalar, or with `shape` a nested list."""

    shape: Annotated[tuple[Size, ...], Field(max_length=8)] = ()

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if elements(self.shape) > ELEMENT_LIMIT:
            raise ValueError(f"field {self.name!r} has more than {ELEMENT_LIMIT} elements")
        if self.shape and self.categories:
            raise ValueError(f"field {self.name!r} has a shape, so it takes no categories")
        return self


def named(value: object) -> object:
    """Accept `amount` for `{name: amount}`."""
    return {"name": value} if isinstance(value, str) else value


class KeyedSource(Strict):
    """What every source that reads a key has: the template of that key."""

    key: str = Field(max_length=1024)

    @field_validator("key")
    @classmethod
    def _template(cls, key: str) -> str:
        KeyTemplate(key)
        return key


class TimedSource(KeyedSource):
    """A source with a time in it: `max_age_seconds` refuses what is older.

    The time is a Unix time in `time_unit`, or ISO 8601 text (UTC where it names no zone).
    """

    time_field: Name | None = None
    time_unit: Literal["s", "ms"] = "s"
    max_age_seconds: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _age_needs_time(self) -> Self:
        if self.max_age_seconds is not None and self.time_field is None:
            raise ValueError("max_age_seconds needs time_field, the field that holds the time")
        return self


class HashSource(TimedSource):
    """Fields of a hash: decimal text, or text of a category."""

    kind: Literal["hash"] = Field(alias="as")
    fields: Annotated[
        tuple[Annotated[FeatureField, BeforeValidator(named)], ...],
        Field(min_length=1, max_length=FIELDS_LIMIT),
    ]


class JsonSource(TimedSource):
    """Values of a JSON document (Redis 8, or the JSON module)."""

    kind: Literal["json"] = Field(alias="as")
    fields: Annotated[
        tuple[Annotated[JsonField, BeforeValidator(named)], ...],
        Field(min_length=1, max_length=FIELDS_LIMIT),
    ]


class VectorSource(KeyedSource):
    """A string of raw little-endian numbers, row-major: exactly `shape` of `dtype`.

    This is what vector search in Redis stores too. `default` fills every element when the key is
    not there.
    """

    kind: Literal["vector"] = Field(alias="as")
    dtype: NumericDtype = "float32"
    shape: Annotated[tuple[Size, ...], Field(min_length=1, max_length=8)]
    default: FiniteFloat | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if elements(self.shape) > ELEMENT_LIMIT:
            raise ValueError(f"shape has {elements(self.shape)} elements, over {ELEMENT_LIMIT}")
        return self


class ListSource(KeyedSource):
    """The last `last` entries of a list, oldest first: a sequence for a recurrent network.

    An entry is one step: raw little-endian numbers, or with `encoding: text` decimal numbers
    separated by commas or spaces. `pad` left or right fills up to `last` steps with `pad_value`;
    `none` leaves the length free. `default` fills one step when the list is not there.
    """

    kind: Literal["list"] = Field(alias="as")
    dtype: NumericDtype = "float32"
    shape: Annotated[tuple[Size, ...], Field(min_length=1, max_length=8)]
    last: Annotated[int, Field(ge=1, le=STEPS_LIMIT)]
    encoding: Literal["raw", "text"] = "raw"
    pad: Literal["none", "left", "right"] = "none"
    pad_value: FiniteFloat = 0.0
    default: FiniteFloat | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if elements(self.shape) * self.last > ELEMENT_LIMIT:
            raise ValueError(f"last times shape is over {ELEMENT_LIMIT} elements")
        return self


class InlineSource(Strict):
    """Values that the request carries."""

    kind: Literal["inline"] = Field(alias="as", default="inline")
    inline: Literal[True]
    fields: Annotated[
        tuple[Annotated[InlineField, BeforeValidator(named)], ...],
        Field(min_length=1, max_length=FIELDS_LIMIT),
    ]


Keyed = HashSource | JsonSource | VectorSource | ListSource


def with_kind(value: object) -> object:
    """Let `{inline: true, fields: ...}` go without `as: inline`."""
    return {"as": "inline", **value} if isinstance(value, dict) and "inline" in value else value


Source = Annotated[
    Annotated[
        HashSource | JsonSource | VectorSource | ListSource | InlineSource,
        Field(discriminator="kind"),
    ],
    BeforeValidator(with_kind),
]


class InputView(Strict):
    """One input of the graph and where its values come from.

    `dtype` is the graph's and may be left out: publishing fills it in. `lengths` names a graph
    input that takes the true length of each row (int64, one a row); rows of different lengths
    are then padded at the right and share a batch. `shape` is the shape of one row where the
    graph wants another than the sources give, with as many elements.
    """

    name: Name
    dtype: Dtype | None = None
    shape: Annotated[tuple[Size, ...], Field(max_length=8)] | None = None
    sources: Annotated[tuple[Source, ...], Field(min_length=1, max_length=SOURCES_LIMIT)]
    lengths: Name | None = None

    @property
    def free_length(self) -> bool:
        """Whether rows of this input may differ in their number of steps."""
        lists = (source for source in self.sources if isinstance(source, ListSource))
        return any(source.pad == "none" for source in lists)

    @model_validator(mode="after")
    def _lengths_need_a_list(self) -> Self:
        if self.lengths is not None and not self.free_length:
            raise ValueError(f"input {self.name!r} has lengths but no list source with pad: none")
        if self.shape is not None and self.free_length:
            raise ValueError(f"input {self.name!r} has a free length, so it takes no shape")
        return self


class FeatureView(Strict):
    """How keys become the input tensors of one model."""

    inputs: Annotated[tuple[InputView, ...], Field(min_length=1, max_length=INPUTS_LIMIT)]

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        names = [view.name for view in self.inputs]
        names += [view.lengths for view in self.inputs if view.lengths is not None]
        if len(set(names)) != len(names):
            raise ValueError("an input is named twice")
        return self

    @property
    def keyed(self) -> tuple[Keyed, ...]:
        """Every source that reads a key, in order; the first decides which keys are allowed."""
        every = (source for view in self.inputs for source in view.sources)
        return tuple(source for source in every if not isinstance(source, InlineSource))

    @classmethod
    def parse(cls, text: str | bytes, where: str = "feature view") -> "FeatureView":
        """Read a view from YAML or JSON, with or without a `features:` level above it.

        Raises: BadFeatureView, naming the place, the value and the rule.
        """
        if len(text) > VIEW_LIMIT_BYTES:
            raise BadFeatureView(f"{where} is over {VIEW_LIMIT_BYTES} bytes", where=where)
        try:
            data = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise BadFeatureView(f"{where} is no YAML: {error}", where=where) from error
        return cls.read(data, where)

    @classmethod
    def read(cls, data: object, where: str = "feature view") -> "FeatureView":
        """Validate a view that is already parsed.

        Raises: BadFeatureView, naming the place, the value and the rule.
        """
        if isinstance(data, dict) and set(data) == {"features"}:
            data = data["features"]
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise BadFeatureView(f"{where}: {explain(error)}", where=where) from error


def explain(error: ValidationError, most: int = 3) -> str:
    """Return a validation error as one line: place, rule and value of the first few faults."""
    every = error.errors(include_url=False)
    deeper = [fault["loc"] for fault in every]
    faults = [fault for fault in every if not any(is_above(fault["loc"], loc) for loc in deeper)]
    lines = [
        f"{'.'.join(map(str, fault['loc'])) or 'top level'}: {fault['msg']} "
        f"(got {shown(repr(fault['input']))})"
        for fault in faults[:most]
    ]
    more = f"; and {len(faults) - most} more" if len(faults) > most else ""
    return "; ".join(lines) + more


def is_above(place: tuple[int | str, ...], other: tuple[int | str, ...]) -> bool:
    """Whether a fault at `place` only repeats one at `other`, inside it."""
    return len(place) < len(other) and other[: len(place)] == place
