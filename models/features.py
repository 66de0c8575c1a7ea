"""FeatureView: which keys, which fields, and which tensors they become; data only, no I/O.

    FeatureView > InputView (one graph input) > Source (one key template, or the request itself)

The sources of one input are concatenated along the last axis. `models/assembly.py` turns a view
into Redis commands and their replies into tensors; the trainer and the server both use it, so
what a network is trained on is what it is served.
"""

import json
from collections.abc import Callable
from typing import Annotated, Self, TypeGuard

from pydantic import Field, ValidationError, model_validator

from models.documents import Document
from models.errors import BadFeatureView, BadRecipe, BadRequest
from models.faults import Location, explain, path
from models.sources import (
    FeastField,
    FeastSource,
    HashSource,
    InlineField,
    InlineSource,
    JsonField,
    JsonSource,
    Keyed,
    ListSource,
    SequenceSource,
    Source,
    StreamSource,
    Strict,
    Timed,
    TimedSource,
    VectorSource,
)
from models.tensors import Dtype, Name, Size

SOURCES_LIMIT = 32
INPUTS_LIMIT = 32
VIEW_LIMIT_BYTES = 1 << 20


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
        sequences = (source for source in self.sources if isinstance(source, SequenceSource))
        return any(source.pad == "none" for source in sequences)

    @model_validator(mode="after")
    def _lengths_need_a_sequence(self) -> Self:
        if self.lengths is not None and not self.free_length:
            raise ValueError(f"input {self.name!r} has lengths but no list or stream source with pad: none")
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

    def changed(self, change: Callable[[Source], Source]) -> "FeatureView":
        """Return the view with every source as `change` gives it."""
        inputs = (one.model_copy(update={"sources": tuple(map(change, one.sources))}) for one in self.inputs)
        return self.model_copy(update={"inputs": tuple(inputs)})

    @property
    def timed(self) -> Timed:
        """The first source that carries a time, which says when features were written.

        Raises: BadRequest, none does.
        """
        for source in self.keyed:
            if isinstance(source, StreamSource | FeastSource):
                return source
            if isinstance(source, TimedSource) and source.time_field is not None:
                return source
        raise BadRequest(
            "newer_than needs to know when features were written; give a source of the view `time_field`, "
            "or read a stream or what Feast wrote",
            field="newer_than",
        )

    @classmethod
    def parse(cls, text: str | bytes, where: str = "feature view") -> "FeatureView":
        """Read a view from YAML or JSON, with or without a `features:` level above it.

        Raises: BadFeatureView, naming the place, the value and the rule.
        """
        if len(text) > VIEW_LIMIT_BYTES:
            raise BadFeatureView(f"{where} is over {VIEW_LIMIT_BYTES} bytes", where=where)
        try:
            plain = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        except UnicodeDecodeError as error:
            raise BadFeatureView(f"{where} is not UTF-8 text: {error}", where=where) from error
        data = from_json(plain)
        return cls.read(data, where) if data is not None else cls._parse_yaml(plain, where)

    @classmethod
    def _parse_yaml(cls, text: str, where: str) -> "FeatureView":
        try:
            document = Document(text, where)
        except BadRecipe as error:
            raise BadFeatureView(str(error), **error.details) from error
        above = ("features",) if has_level_above(document.data) else ()
        return cls._validated(
            document.data, where, lambda at: f"line {document.line(above + at)}, {path(at)}"
        )

    @classmethod
    def read(cls, data: object, where: str = "feature view") -> "FeatureView":
        """Validate a view that is already parsed.

        Raises: BadFeatureView, naming the place, the value and the rule.
        """
        return cls._validated(data, where, path)

    @classmethod
    def _validated(cls, data: object, where: str, place: Callable[[Location], str]) -> "FeatureView":
        try:
            return cls.model_validate(data["features"] if has_level_above(data) else data)
        except ValidationError as error:
            raise BadFeatureView(f"{where}: {explain(error, WORDS, place)}", where=where) from error


def has_level_above(data: object) -> TypeGuard[dict[str, object]]:
    """Whether the view lies under a `features:` of its own."""
    return isinstance(data, dict) and set(data) == {"features"}


def from_json(text: str) -> object:
    """Return a JSON object, None for what is none: a view may be written in YAML as well."""
    try:
        return json.loads(text, object_pairs_hook=once_each) if text.lstrip().startswith("{") else None
    except (ValueError, RecursionError):
        return None


def once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object of its members, each named once."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a member is given twice")
    return dict(pairs)


WORDS = sorted(
    {
        field.alias or name
        for model in (
            HashSource,
            JsonSource,
            VectorSource,
            ListSource,
            StreamSource,
            FeastSource,
            InlineSource,
            JsonField,
            FeastField,
            InlineField,
        )
        for name, field in (*model.model_fields.items(), *InputView.model_fields.items())
    }
)
