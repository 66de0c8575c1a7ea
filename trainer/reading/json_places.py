"""Where a field lies in a JSON document, and documents made of fields: what JSON.GET finds again by its path.

A path that names one place is members and the first or the last entry of lists, `$.address.city`,
`$["a b"][0]`, `$.orders[-1].total`; any other finds what it finds, and says no place to write to.
"""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any

from trainer.errors import BadData

INTEGERS = (-(2**63), 2**64 - 1)  # that Redis gives back digit by digit; others become float64
Steps = tuple[str | None, ...]  # names of members; None is the only entry of a list
STEP = re.compile(r"""\.([^.\[\]*?@()'"\s]+)|\[("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\]|\[(0|-1)\]""")


def steps_of(path: str, field: str) -> Steps:
    """Return the steps of a path from the top of a document.

    Raises: BadData, it names no single place.
    """
    steps: list[str | None] = []
    at = 1
    while at < len(path):
        found = STEP.match(path, at)
        if found is None:
            raise BadData(
                f"field {field!r} is read at {path!r}, which names no one place in a document; rows are written "
                "where a path has members and first or last entries alone, as $.orders[-1].total",
                path=path,
            )
        member, quoted, entry = found.groups()
        steps.append(None if entry is not None else member if member is not None else unquoted(quoted))
        at = found.end()
    if not steps or steps[0] is None:
        raise BadData(
            f"field {field!r} is read at {path!r}, which is no member of a document; name one", path=path
        )
    return tuple(steps)


def unquoted(text: str) -> str:
    """Return the name of a member that is written in quotes."""
    if text.startswith("'"):
        text = '"' + text[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
    name: str = json.loads(text)
    return name


def check_apart(places: Mapping[str, Steps]) -> None:
    """Refuse fields of which one lies where another does, or within it.

    Raises: BadData, naming both.
    """
    named = sorted((tuple(step or "" for step in steps), name) for name, steps in places.items())
    for (steps, name), (others, other) in pairwise(named):
        if others[: len(steps)] == steps:
            raise BadData(
                f"fields {name!r} and {other!r} lie in one another in a document; read them at paths of "
                "their own, or from one column",
                fields=[name, other],
            )


def with_value(document: Any, steps: Sequence[str | None], value: Any) -> Any:
    """Return a document with a value at its place, with the members and lists that it takes."""
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if step is None:
        return [with_value(document[0] if isinstance(document, list) else None, rest, value)]
    members = document if isinstance(document, dict) else {}
    return {**members, step: with_value(members.get(step), rest, value)}


def number_or_text(text: str) -> int | float | bool | str:
    """Return what a cell's text is in JSON; what JSON would write otherwise stays a text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    kept = isinstance(value, int) and INTEGERS[0] <= value <= INTEGERS[1]
    plain = kept or (isinstance(value, float) and isfinite(value))
    return value if plain else text
