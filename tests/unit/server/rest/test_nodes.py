"""How many lists and objects a JSON text has: the same as a parser finds, before anything of it is made."""

import json
import random
from typing import Any

import pytest

from server.rest import wire
from server.rest.nodes import NODE_BYTES, NODES_MOST, nodes
from server.rest.refusals import TooManyNodes

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
