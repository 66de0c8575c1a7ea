"""JobSpec: what a scoring job reads, what it does with bad rows and where its answers go; data only.

JobSpec > RowSource (which rows) + Target (where to), as JSON in Redis and over HTTP

{"model": "churn", "rows": {"kind": "match", "pattern": "txn:*"}, "to": [{"kind": "string", "key": "score:{key}"}]}
"""

import os
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    model_validator,
)

from models.errors import BadRequest, shown
from models.faults import explain
from models.json_values import is_number
from models.keys import Keys, check_job

KEY_LIMIT = 1024
PATH_LIMIT = 4096
TARGETS_LIMIT = 8
SLOWEST = 0.001  # rows a second: a job that hardly moves keeps others from their turn
DIGEST_CHARACTERS = 10
PATH_CHARACTERS = 240
STANDARD_STREAM = "-"
IN_REDIS = "redis:"  # and a key: where errors are listed
HOW = {"ttl_seconds", "max_entries"}  # of a target: what says nothing of the place

Key = Annotated[str, Field(min_length=1, max_length=KEY_LIMIT)]
FilePath = Annotated[str, Field(min_length=1, max_length=PATH_LIMIT)]
Column = Annotated[str, Field(min_length=1, max_length=512)]


def stand_ins(value: Any) -> Any:
    """Refuse what stands in for no absent value, as a prediction does: neither truth values nor texts are numbers.

    Raises: ValueError.
    """
    if value is None or is_number(value):
        return value
    if isinstance(value, Mapping):
        odd = [name for name, one in value.items() if not is_number(one) and not isinstance(one, str)]
        if not odd:
            return value
        raise ValueError(f"should have a number or a text for {shown(odd[0])!r}")
    raise ValueError('should be a number, or values by field such as {"age": 0}')


class Strict(BaseModel):
    """Immutable, and a misspelt word is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Matching(Strict):
    """Every key of Redis that matches a glob and has the type the model reads."""

    kind: Literal["match"] = "match"

    pattern: Key | None = None
    """A glob of SCAN; every key the model can read when not given."""


class Named(Strict):
    """Keys named in Redis: the members of a set, a sorted set or a list, or a field of a stream's entries."""

    kind: Literal["redis"] = "redis"

    key: Key
    """The set, sorted set, list or stream."""

    field: Column | None = None
    """The field of a stream's entries that holds the key; `key` when not given."""


class Found(Strict):
    """Keys that an index of Redis' search finds."""

    kind: Literal["query"] = "query"

    index: Key
    """The index, as in FT.SEARCH."""

    query: Annotated[str, Field(min_length=1, max_length=4096)] = "*"
    """The query, as in FT.SEARCH."""


class FromFile(Strict):
    """Keys in a file: a line each, or a column of a CSV or Parquet file; `-` is standard input."""

    kind: Literal["file"] = "file"

    path: FilePath
    """The file, or `-`."""

    column: Column | None = None
    """The column that holds the keys; needed where the file has columns."""


class FromInstances(Strict):
    """Rows as placeholder and inline values: the columns of a CSV or Parquet file."""

    kind: Literal["instances"] = "instances"

    path: FilePath
    """The file."""


RowSource = Annotated[Matching | Named | Found | FromFile | FromInstances, Field(discriminator="kind")]


class ToStrings(Strict):
    """A string a row: the answer as JSON, with model, version, key and time."""

    kind: Literal["string"] = "string"

    key: Key = "score:{key}"
    """Key of each answer; `{key}` is the row's key, other placeholders those of the view."""

    ttl_seconds: Annotated[int, Field(ge=1, le=2**40)] | None = None
    """Seconds an answer is kept; for good when not given."""


class ToField(Strict):
    """Fields of the hash that was read: NAME, NAME_version and NAME_time."""

    kind: Literal["field"] = "field"

    field: Column
    """The field's name."""


class ToHash(Strict):
    """One hash for all: the row's key -> its answer as JSON."""

    kind: Literal["hash"] = "hash"

    key: Key
    """The hash."""


class ToSortedSet(Strict):
    """One sorted set for all: the row's key, ranked by its number."""

    kind: Literal["zset"] = "zset"

    key: Key
    """The sorted set."""


class ToStream(Strict):
    """One stream for all: an entry a row, with its key and its answer as JSON."""

    kind: Literal["stream"] = "stream"

    key: Key
    """The stream."""

    max_entries: Annotated[int, Field(ge=1)] | None = None
    """About how many entries are kept; all when not given."""


class ToParquet(Strict):
    """A Parquet file: key, label, number, version, time."""

    kind: Literal["parquet"] = "parquet"

    path: FilePath
    """The file."""


class ToCsv(Strict):
    """A CSV file of the same columns."""

    kind: Literal["csv"] = "csv"

    path: FilePath
    """The file."""


class ToOutput(Strict):
    """Standard output: a line of JSON a row."""

    kind: Literal["output"] = "output"


Target = Annotated[
    ToStrings | ToField | ToHash | ToSortedSet | ToStream | ToParquet | ToCsv | ToOutput,
    Field(discriminator="kind"),
]
SILENT = (ToStream, ToParquet, ToCsv, ToOutput)  # what does not tell which rows have an answer there
LOCAL = (FromFile, FromInstances, ToParquet, ToCsv, ToOutput)  # what lies on one machine


class JobSpec(Strict):
    """One scoring job.

    The number of a row, by which it is ranked and counted, is its value, its anomaly score, or the
    probability of `label`.
    """

    model: Annotated[str, Field(min_length=1, max_length=128)]
    """Name of the model."""

    version: StrictInt | str | None = None
    """Version number or alias; production when not given. A job keeps the version it began with."""

    rows: RowSource = Matching()
    """Which rows."""

    to: Annotated[tuple[Target, ...], Field(min_length=1, max_length=TARGETS_LIMIT)] = (ToStrings(),)
    """Where the answers go; each row goes to all of them."""

    label: Annotated[str, Field(max_length=512)] | None = None
    """The label whose probability is a row's number; the second of two, or the likeliest, when not given."""

    missing: Annotated[float | dict[str, float | str] | None, BeforeValidator(stand_ins)] = None
    """What stands in for absent values: one number for all, or a value by name."""

    outputs: bool = False
    """Write the graph's output tensors in place of labels and values."""

    only_missing: bool = False
    """Pass over rows that have an answer of this version where the first target puts it."""

    newer_than: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Pass over rows written before; Unix seconds. The view has a `time_field`, a stream or Feast."""

    max_errors: Annotated[int, Field(ge=0)] | None = None
    """Stop when more rows than this cannot be scored."""

    errors_to: FilePath | None = None
    """Where rows that cannot be scored are listed: a file of JSON lines, or `redis:KEY`, a stream."""

    max_rate: Annotated[float, Field(ge=SLOWEST, allow_inf_nan=False)] | None = None
    """Rows a second each process scores at the most."""

    pause_above_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Milliseconds Redis may take to answer a PING; above that the job rests."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        places = [target.model_dump_json(exclude=HOW) for target in self.to]
        if len(set(places)) != len(places):
            raise ValueError("a target is named twice")
        if isinstance(self.rows, Named) and self.rows.key in self._shared_keys():
            raise ValueError(f"the rows come from {self.rows.key!r}, and answers or errors would go there")
        return self

    def _shared_keys(self) -> set[str]:
        """Every key of Redis that all rows of the job go to."""
        return {key for key, _ in self._keys()}

    def check_places(self, keys: Keys) -> None:
        """Refuse places that are one or do not tell what they are asked, and any among what the product itself keeps.

        Raises: BadRequest.
        """
        self._check_keys()
        self._check_files()
        if self.only_missing and isinstance(self.to[0], SILENT):
            raise BadRequest(
                f"only_missing: a {self.to[0].kind} does not tell which rows have an answer there; name first where "
                "answers go as strings, into a field, a hash or a sorted set",
                field="only_missing",
            )
        templates = {one.key for one in self.to if isinstance(one, ToStrings)}
        own = next((key for key in sorted(self._shared_keys() | templates) if keys.owns(key)), None)
        if own is not None:
            raise BadRequest(
                f"answers or errors would go to {shown(own)!r}, where Insitu keeps models, jobs and events; "
                "choose another key"
            )

    def _check_keys(self) -> None:
        """Refuse one key for two types; a stream may have answers and errors.

        Raises: BadRequest.
        """
        kinds: dict[str, str] = {}
        for key, kind in self._keys():
            before = kinds.setdefault(key, kind)
            if before != kind:
                raise BadRequest(
                    f"{shown(key)!r} is to be a {before} and a {kind}; give one of them another key",
                    field="to",
                )

    def _keys(self) -> list[tuple[str, str]]:
        """Every key of Redis that all rows of the job go to, and of which kind it is."""
        shared = [one for one in self.to if isinstance(one, ToHash | ToSortedSet | ToStream)]
        errors = [] if self.errors_key is None else [(self.errors_key, "stream")]
        return [*[(one.key, str(one.kind)) for one in shared], *errors]

    def _check_files(self) -> None:
        """Refuse one file for two things: one would be written over the other.

        Raises: BadRequest.
        """
        uses: dict[str, str] = {}
        for path, use in self._files():
            whole = os.path.realpath(path)
            if whole in uses:
                raise BadRequest(
                    f"{shown(path, PATH_CHARACTERS)!r} is named for {uses[whole]} and for {use}; "
                    "give each a file of its own"
                )
            uses[whole] = use

    def _files(self) -> list[tuple[str, str]]:
        """Every file of the job, and what it is for."""
        rows = self.rows.path if isinstance(self.rows, FromFile | FromInstances) else STANDARD_STREAM
        named = [] if rows == STANDARD_STREAM else [(rows, "the rows")]
        named += [
            (one.path, f"answers as {one.kind}") for one in self.to if isinstance(one, ToParquet | ToCsv)
        ]
        if self.errors_to is not None and self.errors_key is None:
            named.append((self.errors_to, "errors"))
        return named

    @property
    def errors_key(self) -> str | None:
        """The stream where errors are listed; None where that is a file, or nowhere."""
        if self.errors_to is None or not self.errors_to.startswith(IN_REDIS):
            return None
        return self.errors_to.removeprefix(IN_REDIS)

    @property
    def local(self) -> bool:
        """Whether anything of it lies on one machine, so that no server can do it."""
        errors_in_file = self.errors_to is not None and self.errors_key is None
        return errors_in_file or any(isinstance(one, LOCAL) for one in (self.rows, *self.to))

    @property
    def own_name(self) -> str:
        """The name of a job that was given none: the same for the same job, whatever is new by now."""
        digest = sha256(self.model_dump_json(exclude={"newer_than"}).encode()).hexdigest()
        return check_job(f"{self.model}-{digest[:DIGEST_CHARACTERS]}")

    @classmethod
    def parse(cls, data: str | bytes) -> "JobSpec":
        """Read a job from JSON.

        Raises: BadRequest, naming the place, the value and the rule.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise BadRequest(f"the job: {explain(error, WORDS)}") from error


WORDS = sorted(
    {
        name
        for model in (
            JobSpec,
            *LOCAL,
            Matching,
            Named,
            Found,
            ToStrings,
            ToField,
            ToHash,
            ToSortedSet,
            ToStream,
        )
        for name in model.model_fields
    }
)
