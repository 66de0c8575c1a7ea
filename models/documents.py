"""A YAML file as data that remembers the line of everything in it; knows no recipe.

Stricter than YAML: a key given twice, an alias (`*name`), deep nesting and a size over the limit
are refused, because each of them hides a mistake or an attack in a file of settings.
"""

from collections.abc import Sequence
from typing import Any, NoReturn

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from models.errors import BadRecipe, shown

DOCUMENT_LIMIT_BYTES = 1 << 20
DEPTH_LIMIT = 32
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
# A value with an explicit tag that it does not have, `!!bool maybe`, ends in whatever PyYAML trips over.
UNREADABLE = (yaml.YAMLError, ValueError, KeyError, AttributeError, IndexError, TypeError)

Path = Sequence[str | int]


def refuse(where: str, line: int, problem: str) -> NoReturn:
    """Raise BadRecipe for one line of a file."""
    raise BadRecipe(f"{where}, line {line}: {problem}", where=where, line=line)


class Document:
    """One YAML document: `data`, and the line on which each part of it begins."""

    def __init__(self, text: str, where: str) -> None:
        """Read the document.

        Raises: BadRecipe, no YAML, or YAML that is refused here; it names the line.
        """
        if len(text) > DOCUMENT_LIMIT_BYTES:
            refuse(where, 1, f"the file has more than {DOCUMENT_LIMIT_BYTES:,} characters")
        try:
            check_events(text, where)
            loader = Loader(text)
            self._root = loader.get_single_node()
            check_keys(self._root, where)
            self.data = None if self._root is None else loader.construct_document(self._root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            refuse(where, mark.line + 1 if mark else 1, f"no YAML: {error.problem}")
        except UNREADABLE as error:
            refuse(where, 1, f"no YAML: {shown(error)}")

    def line(self, path: Path) -> int:
        """Return the line of a part; steps of `path` that the file does not have are passed over.

        A validator's path also names what is no key of the file, such as the kind of a layer.
        """
        node, line = self._root, 1
        for step in path:
            found = child(node, step)
            if found is not None:
                line, node = found
        return line


def line_of(node: Node) -> int:
    """Return the line on which a node begins, from 1."""
    return int(node.start_mark.line) + 1


def child(node: Node | None, step: str | int) -> tuple[int, Node] | None:
    """Return one step down, with the line of its key or entry."""
    if isinstance(node, MappingNode):
        pairs = ((key, value) for key, value in node.value if key.value == str(step))
        return next(((line_of(key), value) for key, value in pairs), None)
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return line_of(node.value[step]), node.value[step]
    return None


def check_events(text: str, where: str) -> None:
    """Refuse aliases and deep nesting before anything is built from them."""
    depth = 0
    for event in yaml.parse(text, Loader=Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            refuse(where, line, f"the alias *{event.anchor} is not followed; write it out")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH_LIMIT:
            refuse(where, line, f"nested deeper than {DEPTH_LIMIT} levels")


def check_keys(node: Node | None, where: str) -> None:
    """Refuse a key that is given twice: YAML would keep the last one in silence."""
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                refuse(where, line_of(key), "a key is plain text; quote it if it has braces")
            if key.value in seen:
                refuse(where, line_of(key), f"the key {shown(key.value)!r} is given twice")
            seen.add(key.value)
            check_keys(value, where)
    if isinstance(node, SequenceNode):
        for value in node.value:
            check_keys(value, where)
