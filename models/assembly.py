"""Plan: a feature view compiled; rows -> Redis commands, and replies -> tensors. Pure, no I/O.

    prepared = plan.prepare(instances)        keys filled in, one command a source and row
    replies = ... prepared.commands ...       whoever has a connection sends them, in order
    assembled = plan.assemble(prepared, replies)

A row that cannot be built leaves with its own FeatureError; the others become dense tensors.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import numpy as np

from models.binding import check_sources
from models.encoding import Command, Form
from models.errors import (
    BadFeatureView,
    BadRequest,
    FeatureError,
    InsituError,
    InstanceIncomplete,
    KeyNotAllowed,
    KeysNotEnough,
    listed,
    shown,
)
from models.feast_keys import template_of
from models.features import FeatureView, InputView
from models.inline_source import InlineReader
from models.rows import Column, KeyedReader, Rows, keyed_reader, shaped, stacked
from models.sources import InlineSource, ListSource, Source, StreamSource, VectorSource
from models.templates import KeyTemplate
from models.tensors import Tensor
from models.values import Missing

Instance = Mapping[str, Any]


NO_ERRORS: Mapping[int, FeatureError] = MappingProxyType({})


class Prepared:
    """Rows ready to be read: `live[i]` is the request's row of the i-th block of commands.

    A block has one command a form, in order. Rows that need no values beside their keys have no
    instances; `lone` are those keys where each row has but one. Made once a request: a dataclass
    would cost half as much again.
    """

    __slots__ = ("_keys", "errors", "forms", "instances", "live", "lone")

    def __init__(
        self,
        forms: Sequence[Form],
        live: Sequence[int],
        keys: Sequence[Sequence[str]] = (),
        instances: Sequence[Instance] = (),
        errors: Mapping[int, FeatureError] = NO_ERRORS,
    ) -> None:
        self.forms = forms
        self.live = live
        self._keys = keys
        self.instances = instances
        self.errors = errors
        self.lone: Sequence[str] = ()

    @classmethod
    def of_keys(cls, forms: Sequence[Form], keys: Sequence[str]) -> "Prepared":
        """Return rows that are one key each, which is read by the one form."""
        prepared = cls(forms, range(len(keys)))
        prepared.lone = keys
        return prepared

    @property
    def keys(self) -> Sequence[Sequence[str]]:
        """The keys of each row, one a form."""
        return [*zip(self.lone, strict=True)] if self.lone else self._keys

    @property
    def commands(self) -> list[Command]:
        """The commands as a Redis client takes them."""
        return [form.of(key) for keys in self.keys for form, key in zip(self.forms, keys, strict=True)]

    def encoded(self, forms: Sequence[Form] = ()) -> list[bytes]:
        """Return the commands as Redis takes them, by other forms than the plan's where some are given."""
        forms = forms or self.forms
        if self.lone:
            return forms[0].encoded_for(self.lone)
        return [form.encoded(key) for keys in self.keys for form, key in zip(forms, keys, strict=True)]

    def encoded_rows(self, rows: Sequence[int]) -> list[bytes]:
        """Return the commands of some of the live rows, by their places among them."""
        every = self.keys
        return [form.encoded(key) for row in rows for form, key in zip(self.forms, every[row], strict=True)]


@dataclass(slots=True)
class Group:
    """Rows whose tensors are equal in shape: `feeds[input]` is (len(rows), ...)."""

    rows: Sequence[int]
    feeds: dict[str, Tensor]


@dataclass(slots=True)
class Assembled:
    """What the replies gave: tensors in groups, errors and stand-ins by row of the request.

    Every row of the request is in one group or has an error, never both.

    Units: ages, seconds, of the sources that carry a time and refuse what is too old.
    """

    groups: list[Group]
    errors: dict[int, InsituError]
    filled: dict[int, list[str]]
    ages: Sequence[float] = ()


@dataclass(slots=True)
class InputReader:
    """One input of the graph and the readers of its sources, in order."""

    view: InputView
    readers: list[tuple[int, KeyedReader] | InlineReader]


class Plan:
    """A feature view compiled once and used for every request."""

    def __init__(self, view: FeatureView) -> None:
        """Compile a view; an input without a type is float32.

        Raises: BadFeatureView, sources that cannot be joined or hold what the type does not take.
        """
        self.view = view
        self.templates = [template_of(source) for source in view.keyed]
        self.placeholders = tuple(dict.fromkeys(name for one in self.templates for name in one.placeholders))
        every = [source for one in view.inputs for source in one.sources]
        self.inline = tuple(
            one for source in every if isinstance(source, InlineSource) for one in source.fields
        )
        self.fillable = tuple(dict.fromkeys(name for source in every for name in fillable(source)))
        self.readers: list[KeyedReader] = []
        self._inputs = [self._input(one) for one in view.inputs]
        self.forms = [reader.form for reader in self.readers]
        self._beyond_key = self._needs_beyond_first_key()
        self._key_is_all = len(self.templates) == 1 and not self.inline
        # whether replies of many rows can become tensors at once
        self.columnar = not self.inline and all(reader.columnar for reader in self.readers)

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to other processes as the view, which is compiled there anew."""
        return Plan, (self.view,)

    def _input(self, view: InputView) -> InputReader:
        dtype = view.dtype or "float32"
        check_sources(view, dtype)
        readers: list[tuple[int, KeyedReader] | InlineReader] = []
        for source in view.sources:
            if isinstance(source, InlineSource):
                readers.append(InlineReader(source, dtype))
                continue
            reader = keyed_reader(source, dtype)
            readers.append((len(self.readers), reader))
            self.readers.append(reader)
        return InputReader(view, readers)

    def _needs_beyond_first_key(self) -> tuple[str, ...]:
        first = self.templates[0].placeholders if self.templates else ()
        absent = [name for name in self.placeholders if name not in first]
        return tuple(dict.fromkeys((*absent, *(one.name for one in self.inline if one.default is None))))

    @property
    def template(self) -> KeyTemplate:
        """The template that keys of a request must match.

        Raises: BadFeatureView, when the view reads no key.
        """
        if not self.templates:
            raise BadFeatureView("the feature view of this model reads no key; ask with `instances`")
        return self.templates[0]

    def check_missing(self, missing: Missing) -> None:
        """Refuse a stand-in for what the view does not read: it would never be used.

        Raises: BadRequest, with what may have been meant.
        """
        for name in missing if isinstance(missing, Mapping) else ():
            if name not in self.fillable:
                near = get_close_matches(name, self.fillable, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it reads {listed(self.fillable)}"
                raise BadRequest(f"missing names {shown(name)!r}, which this model does not read; {hint}")

    def instance(self, key: Any) -> Instance:
        """Return the instance that a key stands for.

        Raises: KeyNotAllowed, KeysNotEnough.
        """
        if not isinstance(key, str):
            raise KeyNotAllowed(shown(key), self.template.text)
        values = self.template.read(key)
        if self._beyond_key:
            raise KeysNotEnough(self._beyond_key)
        return values

    def prepare_keys(self, keys: Sequence[str]) -> Prepared:
        """Prepare one row a key; a key that is not allowed is that row's error.

        Raises: BadFeatureView, when the view reads no key.
        """
        if self._key_is_all and self.templates[0].accepts_all(keys):
            return Prepared.of_keys(self.forms, keys)
        return self._prepared(keys, self.instance)

    def prepare(self, instances: Sequence[Instance]) -> Prepared:
        """Prepare one row an instance; one that is incomplete is that row's error."""
        return self._prepared(instances, checked)

    def _prepared(self, rows: Sequence[Any], instance_of: Callable[[Any], Instance]) -> Prepared:
        instances: list[Instance] = []
        live: list[int] = []
        keys: list[list[str]] = []
        errors: dict[int, FeatureError] = {}
        for row, one in enumerate(rows):
            try:
                instance = instance_of(one)
                keys.append([template.fill(instance) for template in self.templates])
            except FeatureError as error:
                errors[row] = error.bare()
                continue
            instances.append(instance)
            live.append(row)
        return Prepared(self.forms, live, keys, instances, errors)

    def columns(self, replies: Sequence[Any]) -> dict[str, Tensor] | None:
        """Make tensors of the replies of any number of requests at once, when every one is regular.

        Shape:  feeds[input] (rows, ...), in the order of the replies.
        """
        if not self.columnar:
            return None
        width = len(self.readers)
        feeds: dict[str, Tensor] = {}
        for one in self._inputs:
            parts: list[Tensor] = []
            for reader in one.readers:
                whole = reader[1].columns(replies[reader[0] :: width]) if isinstance(reader, tuple) else None
                if whole is None:
                    return None
                parts.append(whole)
            feeds[one.view.name] = shaped(
                parts[0] if len(parts) == 1 else np.concatenate(parts, -1), one.view
            )
        return feeds

    def assemble(
        self,
        prepared: Prepared,
        replies: Sequence[Any],
        missing: Missing = None,
        now: float | None = None,
    ) -> Assembled:
        """Make tensors of the replies to `prepared.commands`, one each, in order.

        An `Exception` among the replies is Redis' refusal of that command.

        Units:  now, Unix seconds; the present when not given.
        Raises: ValueError, another number of replies than commands.
        """
        if len(replies) != len(prepared.keys) * len(self.forms):
            raise ValueError(f"{len(replies)} replies to {len(prepared.commands)} commands")
        live = prepared.live
        if not live:
            return Assembled([], {**prepared.errors}, {})
        at = time.time() if now is None else now
        rows = Rows(prepared.instances, prepared.keys, replies, missing, at)
        columns = [self._column(one, rows) for one in self._inputs]
        groups = [
            Group([live[at] for at in members], dict(self._feeds(columns, members)))
            for members in self._alike(columns, rows.good())
        ]
        errors: dict[int, InsituError] = {**prepared.errors} | {
            live[at]: error for at, error in rows.errors.items()
        }
        return Assembled(groups, errors, {live[at]: names for at, names in rows.filled().items()}, rows.ages)

    def _column(self, one: InputReader, rows: Rows) -> Column:
        columns = [
            rows.keyed(*reader) if isinstance(reader, tuple) else rows.inline(reader)
            for reader in one.readers
        ]
        return rows.joined(columns, one.view)

    def _alike(self, columns: Sequence[Column], good: list[int]) -> list[list[int]]:
        """Part good rows by the lengths that the graph cannot pad; one part when there are none."""
        pairs = zip(self._inputs, columns, strict=True)
        free = [column for one, column in pairs if one.view.free_length and one.view.lengths is None]
        if not free:
            return [good] if good else []
        parts: dict[tuple[int, ...], list[int]] = {}
        for at in good:
            lengths = tuple(len(row) for column in free if (row := column[at]) is not None)
            parts.setdefault(lengths, []).append(at)
        return list(parts.values())

    def _feeds(self, columns: Sequence[Column], members: list[int]) -> Iterator[tuple[str, Tensor]]:
        for one, column in zip(self._inputs, columns, strict=True):
            if isinstance(column, np.ndarray):
                yield one.view.name, column if len(members) == len(column) else column[members]
                continue
            arrays = [part for at in members if (part := column[at]) is not None]
            yield one.view.name, stacked(arrays)
            if one.view.lengths is not None:
                yield one.view.lengths, np.array([len(part) for part in arrays], np.int64)


def checked(instance: Any) -> Instance:
    """Return an instance that is one.

    Raises: InstanceIncomplete.
    """
    if not isinstance(instance, Mapping):
        raise InstanceIncomplete(f"an instance is names and values, not {shown(instance)!r}")
    return instance


def fillable(source: Source) -> tuple[str, ...]:
    """Return the names that a request's `missing` may give a stand-in for."""
    if isinstance(source, (VectorSource, ListSource)):
        return (source.key,)
    names = tuple(one.name for one in source.fields)
    return (source.key, *names) if isinstance(source, StreamSource) else names
