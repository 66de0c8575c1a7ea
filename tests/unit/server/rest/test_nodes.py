"""How many lists and objects a JSON text has: the same as a parser finds, before anything of it is made."""

import json
import random
from typing import Any

import pytest

from server.rest import wire
from server.rest.nodes import NAMES_MOST, NODE_BYTES, NODES_MOST, most_names, nodes, times_named
from server.rest.refusals import TooManyNames, TooManyNodes

MARKS = '[]{}",:\\\n\t a\u00e9'


def drawn(chance: random.Random, depth: int = 0) -> Any:
    """A JSON value whose texts are full of what its structure is made of."""
    kind = chance.random()
    if depth > 4 or kind < 0.4:
        return "".join(chance.choices(MARKS, k=chance.randrange(9)))
    if kind < 0.7:
        return [drawn(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {drawn(chance, 9): drawn(chance, depth + 1) for _ in range(chance.randrange(4))}


def counted(data: Any) -> int:
    if isinstance(data, list):
        return 1 + sum(map(counted, data))
    return 1 + sum(map(counted, data.values())) if isinstance(data, dict) else 0


@pytest.mark.parametrize("ascii_only", [True, False])
def test_as_many_are_found_as_a_parser_makes(ascii_only: bool) -> None:
    chance = random.Random(1)
    for _ in range(2000):
        data = drawn(chance)
        assert nodes(json.dumps(data, ensure_ascii=ascii_only).encode()) == counted(data)


def named(data: Any) -> int:
    """The names of the object that has the most."""
    inside = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return max(len(data) if isinstance(data, dict) else 0, *map(named, inside), 0)


@pytest.mark.parametrize("ascii_only", [True, False])
def test_as_many_names_are_found_as_an_object_has(ascii_only: bool) -> None:
    chance = random.Random(2)
    for _ in range(1000):
        data = drawn(chance)
        assert most_names(json.dumps(data, ensure_ascii=ascii_only).encode()) == named(data)


def test_an_object_of_too_many_names_is_refused_before_it_is_read() -> None:
    many = b",".join(b'"%d": 0' % name for name in range(1 << 17))
    body = b'{"inputs": [{}], "parameters": {%b}' % many  # no JSON, if it were read

    with pytest.raises(
        TooManyNames, match=f"an object of the body has {1 << 17} names, the limit is {NAMES_MOST}"
    ):
        wire.decode(body)


def test_the_names_of_many_objects_are_no_object_of_many() -> None:
    body = b"[%b]" % b",".join([b'{"a": {"b": 1}, "c": 2}'] * NAMES_MOST)

    assert len(wire.decode(body)) == NAMES_MOST


@pytest.mark.parametrize(
    ("inside", "times"),
    [
        (b'"keys": 1, "keys": 2', 2),
        (b'"keys"\n: 1, "x": {"keys": 2}, "keys" : 3', 2),
        (b'"x": [{"keys": 1}, {"keys": 2}], "keys": 3', 1),
        (rb'"x": "\"keys\": \\", "y": "{[", "keys": ["keys"]', 1),
        (rb'"x": "a \"keys": 1, "keys": 2', 1),
        (rb'"x\\": {"keys": 1}, "y": "]}", "keys": 2', 1),
    ],
)
def test_a_name_is_of_the_outermost_object_or_it_is_not_counted(inside: bytes, times: int) -> None:
    assert times_named(b"{%b}" % inside, "keys") == times


@pytest.mark.parametrize("one", [b"{}", b"[]", b"[0]"])
def test_a_body_of_too_many_is_refused_before_it_is_read(one: bytes) -> None:
    body = b'{"instances": [%b]' % b",".join([one] * NODES_MOST)  # no JSON, if it were read

    with pytest.raises(
        TooManyNodes, match=f"has {NODES_MOST + 2} lists and objects, the limit is {NODES_MOST}"
    ):
        wire.decode(body)


def test_those_in_texts_do_not_count() -> None:
    body = json.dumps({"keys": ["{[" * NODES_MOST]}).encode()

    assert len(wire.decode(body)["keys"][0]) == 2 * NODES_MOST


def test_a_server_that_takes_larger_bodies_takes_more_of_them() -> None:
    many = NODES_MOST + 9
    body = b'{"x": [%b]}' % b",".join([b"[0]".ljust(NODE_BYTES)] * many)

    assert len(wire.decode(body)["x"]) == many
