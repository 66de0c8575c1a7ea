"""Sources of a feature view: one key template each, or the request itself; data only, no I/O.

    Source = HashSource | JsonSource | VectorSource | ListSource | StreamSource | FeastSource | InlineSource

docs/feature-views.md shows each with the writes that fit it.
"""

import json
import re
from math import isfinite
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    field_validator,
    model_validator,
)

from models.errors import BadFeatureView, listed
from models.templates import KeyTemplate
from models.tensors import ELEMENT_LIMIT, Name, NumericDtype, Size, elements

FIELDS_LIMIT = 4096
CATEGORIES_LIMIT = 65_536
STEPS_LIMIT = 65_536
JOIN_KEYS_LIMIT = 16

TEXT_LIMIT = 512
Category = Annotated[str, Field(max_length=TEXT_LIMIT)]
LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
JoinKey = Annotated[str, Field(max_length=TEXT_LIMIT, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
EntityType = Literal["string", "int32", "int64", "unix_timestamp"]


def finite_default(value: object) -> object:
    """Refuse what could stand in for nothing."""
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not isfinite(value)):
        raise ValueError("should be a finite number or text")
    if isinstance(value, str) and (len(value) > TEXT_LIMIT or LONE_SURROGATE.search(value)):
        raise ValueError(f"should be at most {TEXT_LIMIT} characters of text")
    return int(value) if isinstance(value, bool) else value


Default = Annotated[int | float | str, BeforeValidator(finite_default)]


class Strict(BaseModel):
    """Immutable, and a misspelt word is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class FeatureField(Strict):
    """One value of a hash, a JSON document or the request.

    With `categories` the text becomes its number in that list, from 0; `unknown` names the
    category that any other text counts as. A private one is called by an alias wherever somebody looks.
    """

    name: Name
    default: Default | None = None
    categories: Annotated[tuple[Category, ...], Field(max_length=CATEGORIES_LIMIT)] = ()
    unknown: Category | None = None
    # Stored only where it says something: what is stored of other fields stays as it was.
    private: Annotated[bool, Field(exclude_if=lambda private: not private)] = False

    @property
    def width(self) -> int:
        """How many numbers it gives along the last axis."""
        return 1

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.categories)) != len(self.categories):
            raise ValueError(f"field {self.name!r} lists a category twice")
        if self.unknown is not None and self.unknown not in self.categories:
            raise ValueError(f"field {self.name!r}: unknown {self.unknown!r} is no category of it")
        if self.categories and self.default is not None and self.default not in self.categories:
            raise ValueError(f"field {self.name!r}: default {self.default!r} is no category of it")
        return self


AnyField = TypeVar("AnyField", bound=FeatureField)


class JsonField(FeatureField):
    """A field of a JSON document; `path` is a JSONPath, `$.name` when not given."""

    path: str = Field(default="", pattern=r"^(\$.*)?$", max_length=1024)

    @property
    def where(self) -> str:
        """The JSONPath that is read."""
        return self.path or json_path(self.name)


def json_path(name: str) -> str:
    """Return the JSONPath of a member of a document's top level; a path stays what it is."""
    if name.startswith("$"):
        return name
    return f"$.{name}" if PLAIN_NAME.fullmatch(name) else f"$[{json.dumps(name, ensure_ascii=False)}]"


class ArrayField(FeatureField):
    """A value of the request, or a feature of Feast: a scalar, or with `shape` a list."""

    shape: Annotated[tuple[Size, ...], Field(max_length=8)] = ()

    @property
    def width(self) -> int:
        """How many numbers it gives along the last axis."""
        return self.shape[-1] if self.shape else 1

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if elements(self.shape) > ELEMENT_LIMIT:
            raise ValueError(f"field {self.name!r} has more than {ELEMENT_LIMIT} elements")
        if self.shape and self.categories:
            raise ValueError(f"field {self.name!r} has a shape, so it takes no categories")
        return self


class InlineField(ArrayField):
    """A value that the request carries: a scalar, or with `shape` a nested list."""


class FeastField(ArrayField):
    """A feature of Feast: a scalar, or with `shape` a list of as many elements."""


def named(value: object) -> object:
    """Accept `amount` for `{name: amount}`."""
    return {"name": value} if isinstance(value, str) else value


def once(fields: tuple[AnyField, ...]) -> tuple[AnyField, ...]:
    """Refuse a source that lists a field twice."""
    seen: set[str] = set()
    for field in fields:
        if field.name in seen:
            raise ValueError(f"field {field.name!r} is listed twice")
        seen.add(field.name)
    return fields


class KeyedSource(Strict):
    """What every source that reads a key has: the template of that key."""

    key: str = Field(max_length=1024)

    @field_validator("key")
    @classmethod
    def _template(cls, key: str) -> str:
        try:
            KeyTemplate(key)
        except BadFeatureView as error:
            raise ValueError(str(error)) from error
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
        AfterValidator(once),
    ]


class JsonSource(TimedSource):
    """Values of a JSON document (Redis 8, or the JSON module)."""

    kind: Literal["json"] = Field(alias="as")
    fields: Annotated[
        tuple[Annotated[JsonField, BeforeValidator(named)], ...],
        Field(min_length=1, max_length=FIELDS_LIMIT),
        AfterValidator(once),
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


class StreamSource(KeyedSource):
    """The last `last` entries of a stream, oldest first: a sequence for a recurrent network.

    An entry is one step of `fields`: decimal text, or text of a category. Padding and `default` are
    those of a list. The time is in the ids, as XADD gives them: `max_age_seconds` refuses a sequence
    whose newest entry is older.
    """

    kind: Literal["stream"] = Field(alias="as")
    fields: Annotated[
        tuple[Annotated[FeatureField, BeforeValidator(named)], ...],
        Field(min_length=1, max_length=FIELDS_LIMIT),
        AfterValidator(once),
    ]
    last: Annotated[int, Field(ge=1, le=STEPS_LIMIT)]
    pad: Literal["none", "left", "right"] = "none"
    pad_value: FiniteFloat = 0.0
    default: FiniteFloat | None = None
    max_age_seconds: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _time_in_ids(cls, data: object) -> object:
        if isinstance(data, dict) and {"time_field", "time_unit"} & set(data):
            raise ValueError("the time of a stream is in its ids; leave time_field and time_unit out")
        return data

    @property
    def shape(self) -> tuple[int]:
        """The shape of one step: a number a field."""
        return (len(self.fields),)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if len(self.fields) * self.last > ELEMENT_LIMIT:
            raise ValueError(f"last times fields is over {ELEMENT_LIMIT} elements")
        return self


class FeastSource(KeyedSource):
    """Features of one view of Feast, in the hashes that its online store keeps in Redis.

    `entity` has the type of every join key; a view without entities has none. `key` is how a caller
    names an entity: its placeholders are the join keys, of which Feast's own key is made;
    `join_key_map` calls some of them otherwise, where a row has several entities of one kind. The
    time of writing lies beside the features, so `max_age_seconds` needs no field.
    """

    kind: Literal["feast"] = Field(alias="as")
    project: Name
    view: Name
    entity: Annotated[dict[JoinKey, EntityType], Field(max_length=JOIN_KEYS_LIMIT)] = {}
    join_key_map: Annotated[
        dict[JoinKey, JoinKey], Field(max_length=JOIN_KEYS_LIMIT, exclude_if=lambda names: not names)
    ] = {}
    fields: Annotated[
        tuple[Annotated[FeastField, BeforeValidator(named)], ...],
        Field(min_length=1, max_length=FIELDS_LIMIT),
        AfterValidator(once),
    ]
    max_age_seconds: Annotated[float, Field(gt=0)] | None = None
    entity_key_serialization_version: Literal[2, 3] = 3

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: object) -> object:
        """Name an entity by its join keys where the view does not say otherwise."""
        if not isinstance(data, dict) or "key" in data:
            return data
        entity, names = data.get("entity"), data.get("join_key_map")
        names = names if isinstance(names, dict) else {}
        called = [names.get(name, name) for name in entity] if isinstance(entity, dict) else []
        parts = [f"{name}:{{{name}}}" for name in called]
        return {**data, "key": ":".join(parts) or str(data.get("view")).replace("{", "{{").replace("}", "}}")}

    @property
    def placeholders(self) -> dict[str, str]:
        """What each join key is called in a name."""
        return {name: self.join_key_map.get(name, name) for name in self.entity}

    @model_validator(mode="after")
    def _names_the_entity(self) -> Self:
        unknown = [name for name in self.join_key_map if name not in self.entity]
        if unknown:
            raise ValueError(
                f"join_key_map has {listed(unknown)}, no join key of the entity: {listed(self.entity)}"
            )
        given, called = KeyTemplate(self.key).placeholders, [*self.placeholders.values()]
        if sorted(given) != sorted(called):
            raise ValueError(
                f"key {self.key!r} has the placeholders {listed(given)}, the entity the join keys {listed(called)}; "
                "they are the same: leave the key out, or name each of them in it"
            )
        return self


class InlineSource(Strict):
    """Values that the request carries."""

    kind: Literal["inline"] = Field(alias="as", default="inline")
    inline: Literal[True] = True
    fields: Annotated[
        tuple[Annotated[InlineField, BeforeValidator(named)], ...],
        Field(min_length=1, max_length=FIELDS_LIMIT),
        AfterValidator(once),
    ]


SequenceSource = ListSource | StreamSource
Timed = TimedSource | StreamSource | FeastSource  # a time in a field, in the ids, or as Feast writes it
Keyed = HashSource | JsonSource | VectorSource | ListSource | StreamSource | FeastSource


def with_kind(value: object) -> object:
    """Let `{inline: true, fields: ...}` go without `as: inline`."""
    return {"as": "inline", **value} if isinstance(value, dict) and "inline" in value else value


Source = Annotated[
    Annotated[
        HashSource | JsonSource | VectorSource | ListSource | StreamSource | FeastSource | InlineSource,
        Field(discriminator="kind"),
    ],
    BeforeValidator(with_kind),
]
