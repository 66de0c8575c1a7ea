"""Fields of rows that are read beside the features: of a hash, or of a JSON document where one lies at the key."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.encoding import Form
from models.recipe import Recipe
from models.recipe_data import FieldTarget, JsonTarget
from models.sources import JsonSource, json_path
from models.text_sources import first


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields by name, and what reads them of one key; `paths` of a document, None of a hash."""

    names: tuple[str, ...]
    paths: tuple[str, ...] | None = None

    @property
    def form(self) -> Form:
        """What to ask for one key."""
        return Form("HMGET", *self.names) if self.paths is None else Form("JSON.GET", *self.paths)

    def texts(self, reply: Any) -> list[str | None]:
        """Return each field as a text, None where a row has none; a number is the digits that are stored.

        A reply that is neither a hash's nor a document's holds nothing.
        """
        if self.paths is not None:
            return matches(reply, self.paths)
        if not isinstance(reply, list):
            return [None] * len(self.names)
        return [None if raw is None else raw.decode("utf-8", "backslashreplace") for raw in reply]


def matches(reply: Any, paths: Sequence[str]) -> list[str | None]:
    """Return the first match of each path in a reply to JSON.GET as a text, None without one."""
    found = read(reply) if isinstance(reply, bytes | str) else {}
    found = {paths[0]: found} if isinstance(found, list) else found
    return [text_of(first(found.get(path))) for path in paths]


def read(reply: bytes | str) -> Any:
    """Return JSON as Python has it, numbers as the texts that are stored; of what cannot be read nothing."""
    try:
        return json.loads(reply, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return {}


def text_of(value: Any) -> str | None:
    """Return a value of a document as a text, None for none."""
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def fields_of(target: FieldTarget) -> Fields:
    """Return the fields of a target; of a document they are members or paths, whatever the view calls its own."""
    return Fields(
        target.names, tuple(map(json_path, target.names)) if isinstance(target, JsonTarget) else None
    )


def fields_at(recipe: Recipe, key: str, names: tuple[str, ...]) -> Fields:
    """Return fields at keys of a template, of a document where the view or the target reads one there.

    In a document a name is that of a field that the view reads there, of a member, or a path.
    """
    target = recipe.data.target
    documents = [one for one in recipe.features.keyed if isinstance(one, JsonSource) and one.key == key]
    if not documents and not (isinstance(target, JsonTarget) and target.key == key):
        return Fields(names)
    known = {one.name: one.where for source in documents for one in source.fields}
    return Fields(names, tuple(known.get(name) or json_path(name) for name in names))
