"""The data section of a recipe: where rows are, and where the truth of each is.

    Data = RedisRows | CsvRows | ParquetRows | NumpyRows | FunctionRows

Rows in Redis are read through the feature view; anywhere else the view's fields name the columns.
"""

from math import prod
from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, StringConstraints, Tag, field_validator

from models.errors import BadFeatureView
from models.layers.layer import Number
from models.recipe_faults import AS_COLUMNS, fault
from models.recipe_sections import Rows, Section, Text, Whole
from models.sources import FIELDS_LIMIT
from models.templates import KeyTemplate
from models.tensors import NumericDtype, Size

COLUMNS_LIMIT = 65_536


class KeyedTarget(Section):
    """A key that holds what the network shall predict."""

    key: Text

    @field_validator("key")
    @classmethod
    def _template(cls, key: str) -> str:
        return checked_template(key)


def checked_template(key: str) -> str:
    """Return a key template that is one."""
    try:
        KeyTemplate(key)
    except BadFeatureView as error:
        raise fault(str(error)) from error
    return key


class FieldTarget(KeyedTarget):
    """The field that holds what the network shall predict, or several fields.

    With `separator` one field holds any number of labels.
    """

    field: Text | None = None
    fields: Annotated[tuple[Text, ...], Field(max_length=FIELDS_LIMIT)] = ()
    separator: Annotated[str, StringConstraints(min_length=1, max_length=16)] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every field that is read."""
        return self.fields or ((self.field,) if self.field is not None else ())

    @field_validator("fields")
    @classmethod
    def _once(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(fields)) < len(fields):
            raise fault("names a field twice")
        return fields


class HashTarget(FieldTarget):
    """Fields of a hash."""

    as_: Annotated[Literal["hash"], Field(alias="as")] = "hash"


class JsonTarget(FieldTarget):
    """Fields of a JSON document; one is a member of it, or a JSONPath such as `$.about.left`."""

    as_: Annotated[Literal["json"], Field(alias="as")]


class VectorTarget(KeyedTarget):
    """A vector of the steps to come: (steps) or (steps, channels), little-endian."""

    as_: Annotated[Literal["vector"], Field(alias="as")]
    dtype: NumericDtype = "float32"
    shape: Annotated[tuple[Size, ...], Field(min_length=1, max_length=2)]

    @property
    def steps(self) -> tuple[int, int]:
        """How many steps there are, and numbers in each."""
        return self.shape[0], prod(self.shape[1:])


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
    Annotated[HashTarget | JsonTarget | VectorTarget | FollowingTarget, Field(discriminator="as_")],
    BeforeValidator(with_kind),
]


def listed_columns(value: object) -> object:
    """Read one column, or a pattern of columns, as a list of one."""
    return (value,) if isinstance(value, str) else value


class ColumnTarget(Section):
    """The column, or array, that holds what the network shall predict, or several.

    With `separator` one column holds any number of labels. With `shape` it holds the steps to come,
    (steps) or (steps, channels), as do several columns in their order; `next_*` is every column that
    begins so.
    """

    column: Text | None = None
    columns: Annotated[tuple[Text, ...], BeforeValidator(listed_columns), Field(max_length=FIELDS_LIMIT)] = ()
    separator: Annotated[str, StringConstraints(min_length=1, max_length=16)] | None = None
    shape: Annotated[tuple[Size, ...], Field(max_length=2)] = ()

    @property
    def field(self) -> str | None:
        """The only column."""
        return self.column

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns, where they are several."""
        return self.columns

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that is read."""
        return self.columns or ((self.column,) if self.column is not None else ())

    @property
    def steps(self) -> tuple[int, int]:
        """How many steps to come there are, and numbers in each."""
        return (self.shape[0], prod(self.shape[1:])) if self.shape else (max(1, len(self.columns)), 1)


def kind_of_target(value: object) -> str:
    """Return which target of rows in columns is written, or is there."""
    kind = value.get("as") if isinstance(value, dict) else getattr(value, "as_", None)
    return "following" if kind == "following" else AS_COLUMNS


FileTarget = Annotated[
    Annotated[ColumnTarget, Tag(AS_COLUMNS)] | Annotated[FollowingTarget, Tag("following")],
    Discriminator(kind_of_target),
]
Fielded = FieldTarget | ColumnTarget


class RedisRows(Section):
    """Rows that lie in Redis, read through the recipe's own feature view."""

    source: Literal["redis"]
    match: Text
    """SCAN pattern of the keys that are rows; other keys it finds are passed over."""
    target: Target | None = None
    """What is true of each row; an anomaly score needs none."""
    max_rows: Rows = 1_000_000
    """When more keys match, this many are taken, always the same ones."""
    max_bad_share: Annotated[Number, Field(ge=0, le=1)] = 0.01
    """Share of the rows that may be unusable; more is an error."""
    dataset: Text | None = None
    """The ready data set that fills these keys."""

    @property
    def place(self) -> str:
        """Where the rows are, in a word."""
        return self.match


Columns = Annotated[
    tuple[Text, ...], BeforeValidator(listed_columns), Field(min_length=1, max_length=COLUMNS_LIMIT)
]


class Columnar(Section):
    """Rows whose features lie in columns, or arrays, named as the view's fields and inputs are."""

    target: FileTarget | None = None
    """What is true of each row; an anomaly score needs none."""
    columns: Annotated[dict[Text, Columns], Field(max_length=64)] = Field(default={})
    """Key of a vector or list -> the column of lists that holds it, or the columns of its numbers in
    their order; `pixel_*` is every column that begins so. Its input's name when not given."""
    missing: Annotated[tuple[Text, ...], Field(max_length=64)] = ()
    """Texts that mean that there is no value; an empty cell always does."""
    max_rows: Rows | None = None
    """Only the first so many rows are read."""
    max_bad_share: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Share of the rows that may be unusable; more is an error."""

    @property
    def dataset(self) -> None:
        """No ready data set fills a file."""


class InFile(Columnar):
    """Rows in a file; a path is seen from the recipe's own folder."""

    path: Text

    @property
    def place(self) -> str:
        """Where the rows are, in a word."""
        return self.path


class CsvRows(InFile):
    """A text file of columns, the first line their names; `.gz` is unpacked."""

    source: Literal["csv"]
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","


class ParquetRows(InFile):
    """A Parquet file."""

    source: Literal["parquet"]


class NumpyRows(InFile):
    """An .npz file: an array for each input, or for each field."""

    source: Literal["numpy"]


class FunctionRows(Columnar):
    """What a Python function returns: arrays by name, as an .npz file holds them, or `(x, y)`.

    Code that is run: only for a recipe in a local file, which may be trusted as any program there.
    """

    source: Literal["python"]
    function: Annotated[str, Field(max_length=512)]

    @field_validator("function")
    @classmethod
    def _named(cls, function: str) -> str:
        module, colon, name = function.partition(":")
        if not colon or not name.isidentifier() or not all(part.isidentifier() for part in module.split(".")):
            raise fault(f"is {function!r}; write package.module:function")
        return function

    @property
    def place(self) -> str:
        """Where the rows are, in a word."""
        return self.function


File = CsvRows | ParquetRows | NumpyRows
Arrays = File | FunctionRows
Data = Annotated[RedisRows | CsvRows | ParquetRows | NumpyRows | FunctionRows, Field(discriminator="source")]
