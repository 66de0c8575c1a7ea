"""Plan: a feature view compiled; rows -> Redis commands, and replies -> tensors. Pure, no I/O.

    prepared = plan.prepare(instances)        keys filled in, one command a source and row
    replies = ... prepared.commands ...       whoever has a connection sends them, in order
    assembled = plan.assemble(prepared, replies)

A row that cannot be built leaves with its own FeatureError; the others become dense tensors.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.decoding import Cell, Command, InlineReader, KeyedReader, keyed_reader
from models.errors import BadFeatureView, FeatureError, KeysNotEnough, WrongLength
from models.features import FeatureView, InlineSource, InputView
from models.templates import KeyTemplate
from models.tensors import Tensor
from models.values import Fills, Missing

Instance = Mapping[str, Any]


@dataclass(slots=True)
class Prepared:
    """Rows ready to be read: `live[i]` is the request's row of the i-th block of commands."""

    count: int
    instances: list[Instance] = field(default_factory=list)
    live: list[int] = field(default_factory=list)
    keys: list[list[str]] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    errors: dict[int, FeatureError] = field(default_factory=dict)


@dataclass(slots=True)
class Group:
    """Rows whose tensors are equal in shape: `feeds[input]` is (len(rows), ...)."""

    rows: list[int]
    feeds: dict[str, Tensor]


@dataclass(slots=True)
class Assembled:
    """What the replies gave: tensors in groups, errors and stand-ins by row of the request."""

    groups: list[Group]
    errors: dict[int, FeatureError]
    filled: dict[int, list[str]]


@dataclass(slots=True)
class InputReader:
    """One input of the graph and the readers of its sources, in order."""

    view: InputView
    readers: list[tuple[int, KeyedReader] | InlineReader]


class Plan:
    """A feature view compiled once and used for every request."""

    def __init__(self, view: FeatureView) -> None:
        self.view = view
        self.templates = [KeyTemplate(source.key) for source in view.keyed]
        self._readers: list[KeyedReader] = []
        self._inputs = [self._input(one) for one in view.inputs]
        self.placeholders = tuple(dict.fromkeys(name for one in self.templates for name in one.placeholders))
        self.inline = tuple(
            one
            for view_input in view.inputs
            for source in view_input.sources
            if isinstance(source, InlineSource)
            for one in source.fields
        )
        self._key_gives_all = self._needs_beyond_first_key()

    def _input(self, view: InputView) -> InputReader:
        dtype = view.dtype or "float32"
        readers: list[tuple[int, KeyedReader] | InlineReader] = []
        for source in view.sources:
            if isinstance(source, InlineSource):
                readers.append(InlineReader(source, dtype))
                continue
            reader = keyed_reader(source, dtype)
            readers.append((len(self._readers), reader))
            self._readers.append(reader)
        return InputReader(view, readers)

    def _needs_beyond_first_key(self) -> tuple[str, ...]:
        first = self.templates[0].placeholders if self.templates else ()
        absent = [name for name in self.placeholders if name not in first]
        return (*absent, *(one.name for one in self.inline if one.default is None))

    @property
    def template(self) -> KeyTemplate:
        """The template that keys of a request must match.

        Raises: BadFeatureView, when the view reads no key.
        """
        if not self.templates:
            raise BadFeatureView("the feature view of this model reads no key; ask with `instances`")
        return self.templates[0]

    def instance(self, key: str) -> Instance:
        """Return the instance that a key stands for.

        Raises: KeyNotAllowed, KeysNotEnough.
        """
        values = self.template.read(key)
        if self._key_gives_all:
            raise KeysNotEnough(self._key_gives_all)
        return values

    def prepare_keys(self, keys: Sequence[str]) -> Prepared:
        """Prepare one row a key; a key that is not allowed is that row's error."""
        prepared = Prepared(len(keys))
        for row, key in enumerate(keys):
            try:
                self._add(prepared, row, self.instance(key))
            except FeatureError as error:
                prepared.errors[row] = error
        return prepared

    def prepare(self, instances: Sequence[Instance]) -> Prepared:
        """Prepare one row an instance; one that is incomplete is that row's error."""
        prepared = Prepared(len(instances))
        for row, instance in enumerate(instances):
            try:
                self._add(prepared, row, instance)
            except FeatureError as error:
                prepared.errors[row] = error
        return prepared

    def _add(self, prepared: Prepared, row: int, instance: Instance) -> None:
        keys = [template.fill(instance) for template in self.templates]
        prepared.live.append(row)
        prepared.instances.append(instance)
        prepared.keys.append(keys)
        for reader, key in zip(self._readers, keys, strict=True):
            prepared.commands.append(reader.command(key))

    def assemble(
        self,
        prepared: Prepared,
        replies: Sequence[Any],
        missing: Missing = None,
        now: float | None = None,
    ) -> Assembled:
        """Make tensors of the replies to `prepared.commands`.

        An `Exception` among the replies is Redis' refusal of that command.

        Units: now, Unix seconds; the present when not given.
        """
        rows = Rows(prepared, replies, missing, time.time() if now is None else now)
        columns = {one.view.name: self._column(one, rows) for one in self._inputs}
        return Assembled(self._groups(columns, rows), rows.errors, rows.filled())

    def _column(self, one: InputReader, rows: "Rows") -> "Tensor | list[Tensor | None]":
        if len(one.readers) == 1 and isinstance(one.readers[0], tuple):
            source, reader = one.readers[0]
            whole = reader.columns(rows.replies_of(source))
            if whole is not None:
                return shaped(whole, one.view)
        return [self._row(one, rows, at) for at in range(len(rows.fills))]

    def _row(self, one: InputReader, rows: "Rows", at: int) -> Tensor | None:
        if rows.failed(at):
            return None
        try:
            parts = [
                reader[1].row(rows.cell(at, reader[0]))
                if isinstance(reader, tuple)
                else reader.row(rows.prepared.instances[at], rows.fills[at])
                for reader in one.readers
            ]
            row: Tensor = shaped(joined(parts, rows.prepared.keys[at])[None], one.view)[0]
            return row
        except FeatureError as error:
            rows.fail(at, error)
            return None

    def _groups(self, columns: "Mapping[str, Tensor | list[Tensor | None]]", rows: "Rows") -> list[Group]:
        good = [at for at in range(len(rows.fills)) if not rows.failed(at)]
        if not good:
            return []
        return [
            Group(
                [rows.prepared.live[at] for at in members],
                dict(self._feeds(columns, members)),
            )
            for members in self._alike(columns, good)
        ]

    def _alike(
        self, columns: "Mapping[str, Tensor | list[Tensor | None]]", good: list[int]
    ) -> list[list[int]]:
        """Part rows by the lengths that the graph cannot pad; one part when there are none."""
        free = [
            columns[one.view.name]
            for one in self._inputs
            if one.view.free_length and one.view.lengths is None
        ]
        parts: dict[tuple[int, ...], list[int]] = {}
        for at in good:
            parts.setdefault(tuple(len(column[at]) for column in free), []).append(at)  # type: ignore[arg-type]  # good rows are never None
        return list(parts.values())

    def _feeds(
        self, columns: "Mapping[str, Tensor | list[Tensor | None]]", members: list[int]
    ) -> Iterator[tuple[str, Tensor]]:
        for one in self._inputs:
            column = columns[one.view.name]
            if isinstance(column, np.ndarray):
                yield one.view.name, column if len(members) == len(column) else column[members]
                continue
            arrays = [part for at in members if (part := column[at]) is not None]
            if one.view.lengths is None:
                yield one.view.name, np.stack(arrays)
                continue
            yield one.view.name, right_padded(arrays)
            yield one.view.lengths, np.array([len(part) for part in arrays], np.int64)


class Rows:
    """The live rows of one request while they are assembled."""

    def __init__(self, prepared: Prepared, replies: Sequence[Any], missing: Missing, now: float) -> None:
        self.prepared = prepared
        self.fills = [Fills(missing) for _ in prepared.live]
        self.errors = dict(prepared.errors)
        self._replies = replies
        self._width = len(prepared.commands) // len(prepared.live) if prepared.live else 0
        self._now = now

    def replies_of(self, source: int) -> Sequence[Any]:
        """Every row's reply of one source."""
        return self._replies[source :: self._width]

    def cell(self, at: int, source: int) -> Cell:
        """One row's reply of one source."""
        key = self.prepared.keys[at][source]
        return Cell(key, self._replies[at * self._width + source], self.fills[at], self._now)

    def failed(self, at: int) -> bool:
        """Whether a live row already has its error."""
        return self.prepared.live[at] in self.errors

    def fail(self, at: int, error: FeatureError) -> None:
        """Give a live row its error."""
        self.errors[self.prepared.live[at]] = error

    def filled(self) -> dict[int, list[str]]:
        """Names of the values that were stood in for, by row of the request."""
        pairs = zip(self.prepared.live, self.fills, strict=True)
        return {row: fills.names for row, fills in pairs if fills.names and row not in self.errors}


def joined(parts: list[Tensor], keys: list[str]) -> Tensor:
    """Join the sources of one input along the last axis.

    Raises: WrongLength, when two sequences differ in their number of steps.
    """
    if len(parts) == 1:
        return parts[0]
    steps = {len(part) for part in parts if part.ndim > 1}
    if len(steps) > 1:
        found = " and ".join(f"{count} steps" for count in sorted(steps))
        raise WrongLength(", ".join(keys), found, "sequences of one length")
    return np.concatenate(parts, axis=-1)


def shaped(rows: Tensor, view: InputView) -> Tensor:
    """Give rows the shape the view states, when it states one."""
    return rows if view.shape is None else rows.reshape(len(rows), *view.shape)


def right_padded(arrays: list[Tensor]) -> Tensor:
    """Stack sequences of different lengths, zeros after the shorter: (B, longest, ...)."""
    longest = max(len(part) for part in arrays)
    result = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
    for row, part in enumerate(arrays):
        result[row, : len(part)] = part
    return result
