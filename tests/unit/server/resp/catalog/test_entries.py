"""Every command there is can be told of, in the shapes that clients read."""

from typing import Any

import hiredis
import pytest

from server.resp.catalog.entries import docs, entry
from server.resp.commands.command import Command
from server.resp.wire.replies import RESP2, RESP3
from tests.unit.server.resp.families import every_command

EVERY = pytest.mark.parametrize("command", every_command(), ids=lambda one: one.name)


def read(reply: bytes) -> Any:
    reader: Any = hiredis.Reader(encoding="utf-8")
    reader.feed(reply)
    found = reader.gets()
    assert not reader.has_data()
    return found


def names_in(arguments: list[dict[str, Any]]) -> set[str]:
    """Tokens and names of arguments, as they are typed."""
    found: set[str] = set()
    for one in arguments:
        inner = one.get("arguments", [])
        found |= (
            names_in(inner) if inner else {one["name"].lower(), *([one["token"]] if "token" in one else [])}
        )
    return found


def test_names_are_given_once() -> None:
    names = [one.name for one in every_command()]

    assert len(names) >= 5
    assert sorted(names) == sorted(set(names))
    assert all(name == name.upper() for name in names)


@EVERY
def test_an_entry_says_name_arity_flags_and_keys(command: Command) -> None:
    three, two = read(entry(RESP3, command)), read(entry(RESP2, command))

    assert three[:2] == two[:2] == [command.name.lower(), command.told_arity]
    assert set(three[2]) == set(two[2]) == {*command.flags, "module"}
    assert tuple(three[3:6]) == command.keys
    assert len(three[8]) == (1 if command.keys[0] else 0)


@EVERY
def test_documents_name_every_word_of_the_synopsis(command: Command) -> None:
    told = read(docs(RESP3, command))
    words = {word.strip("[]") for word in command.synopsis.split()} - {"", "|", "..."}

    assert told["summary"]
    assert told["group"] == "module"
    assert told["module"] == "ai"
    assert names_in(told.get("arguments", [])) >= words
