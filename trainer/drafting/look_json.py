"""Rows that are JSON documents as a draft sees them: the members that hold one value, each at its path."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from models.sources import FIELDS_LIMIT, PLAIN_NAME, json_path
from trainer.datasets.fields import read
from trainer.drafting.facts import Facts
from trainer.errors import BadData

DEPTH_MOST = 8
NUMBERED = {"true": "1", "false": "0"}
PATHS_MOST = 2 * FIELDS_LIMIT


@dataclass(frozen=True, slots=True)
class Held:
    """What the rows hold by name; of documents also where, and what can be no feature with the reason."""

    columns: dict[str, Facts]
    paths: dict[str, str] | None = None
    left_out: list[tuple[str, str]] = field(default_factory=list)
    said: dict[str, Facts] = field(default_factory=dict)
    """The facts of a column as the target, where a feature is read otherwise."""

    def truth(self, name: str) -> Facts:
        """Return the facts of the target."""
        return self.said.get(name, self.columns[name])

    def named(self, target: str) -> str | None:
        """Return the column that is meant, by its name or its path; None where there is none."""
        if target in self.columns:
            return target
        return next((name for name, path in (self.paths or {}).items() if path == target), None)

    def where(self, key: str, name: str) -> dict[str, object]:
        """Return a target as a recipe names it."""
        if self.paths is None:
            return {"key": key, "as": "hash", "field": name}
        path = self.paths[name]
        return {"key": key, "as": "json", "field": name if json_path(name) == path else path}


@dataclass(slots=True)
class Documents:
    """The members of some documents: a column of texts a path, None where a document has no value there."""

    rows: int = 0
    columns: dict[str, list[str | None]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """The name of a member by its path."""
    lists: dict[str, None] = field(default_factory=dict)
    """The names of members that hold lists."""
    truths: dict[str, None] = field(default_factory=dict)
    """The paths of members that are true or false, which a label is and a feature reads as 1 or 0."""

    def add(self, reply: Any) -> None:
        """Take a document in; of what is none the row is empty.

        Raises: BadData, the documents have too many members.
        """
        found = read(reply) if isinstance(reply, bytes | str) else None
        for steps, value in members(found):
            path = path_of(steps)
            name = self.names.setdefault(path, ".".join(steps))
            if isinstance(value, list):
                self.lists[name] = None
                continue
            column = self.columns.setdefault(path, [])
            column += [None] * (self.rows - len(column))
            if isinstance(value, bool):
                self.truths[path] = None
                column.append(json.dumps(value))
            else:
                column.append(value)
        self.rows += 1
        if len(self.columns) > PATHS_MOST:
            raise BadData(
                f"the documents have more than {PATHS_MOST:,} different members, the names of some seem to be values; "
                "write a recipe with those to learn from, docs/recipes.md says how"
            )

    def held(self) -> Held:
        """Return the facts of every member by its name; of two of one name the second is called by its path."""
        found: dict[str, Facts] = {}
        paths: dict[str, str] = {}
        said: dict[str, Facts] = {}
        for path, texts in self.columns.items():
            name = self.names[path] if self.names[path] not in found else path
            column = texts + [None] * (self.rows - len(texts))
            found[name], paths[name] = facts_of(name, column), path
            if path in self.truths:
                said[name] = found[name]
                found[name] = facts_of(name, [NUMBERED.get(one or "", one) for one in column])
        left_out = [(name, "it is a list; a path such as $.NAME[0] reads one entry") for name in self.lists]
        return Held(found, paths, left_out, said)


def facts_of(name: str, column: Sequence[str | None]) -> Facts:
    """Return the facts of a column of texts."""
    facts = Facts(name, stored=True)
    facts.add(pa.array(column, pa.string()))
    return facts


def members(document: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give the members of a document that hold a value or a list, and the names that lead to each."""
    if not isinstance(document, dict):
        return
    for name, value in document.items():
        steps = (*before, name)
        if isinstance(value, dict):
            if len(steps) < DEPTH_MOST:
                yield from members(value, steps)
        else:
            yield steps, value


def path_of(steps: Sequence[str]) -> str:
    """Return the JSONPath of a member."""
    if len(steps) == 1 and not steps[0].startswith("$"):
        return json_path(steps[0])
    named = (
        f".{one}" if PLAIN_NAME.fullmatch(one) else f"[{json.dumps(one, ensure_ascii=False)}]"
        for one in steps
    )
    return "$" + "".join(named)
