"""Commands are written as Redis' own clients write them."""

from typing import Any

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import PythonRespSerializer

from models.assembly import Plan
from models.encoding import Form, Setting, encoded, pieces
from models.features import FeatureView
from tests.unit.models.views import plan

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ARGUMENTS = TEXT | st.binary(max_size=40) | st.integers()
NAMES = st.sampled_from(["GET", "HMGET", "JSON.GET"])
SERIALIZER = PythonRespSerializer(
    6000, lambda value: value if isinstance(value, bytes) else str(value).encode()
)


def by_redis_py(command: tuple[Any, ...]) -> bytes:
    return b"".join(SERIALIZER.pack(*command))


@given(name=NAMES, key=TEXT, after=st.lists(ARGUMENTS, max_size=12))
def test_a_form_writes_what_redis_clients_write(name: str, key: str, after: list[Any]) -> None:
    form = Form(name, *after)

    assert form.of(key) == (name, key, *after)
    assert form.encoded(key) == encoded(form.of(key))
    assert form.encoded(key) == by_redis_py(form.of(key))
    packed: Any = hiredis.pack_command
    assert form.encoded(key) == packed(form.of(key))


@given(name=NAMES, arguments=st.lists(ARGUMENTS, max_size=12))
def test_any_command_is_written_as_redis_clients_write_it(name: str, arguments: list[Any]) -> None:
    assert encoded((name, *arguments)) == by_redis_py((name, *arguments))


@pytest.mark.parametrize("key", ["p:1", "p:é", "p:日本", "p:😀", "p:a b", "p:a\r\nGET x", "p:" + "x" * 1000])
def test_the_length_of_a_key_is_that_of_its_bytes(key: str) -> None:
    written = Form("GET").encoded(key)

    assert written == b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key.encode()), key.encode())


SOURCES: list[dict[str, Any]] = [
    {"key": "p:{id}", "as": "hash", "fields": ["a", "ü", "a b"]},
    {"key": "v:{id}", "as": "vector", "shape": [2]},
    {"key": "u:{id}", "as": "list", "shape": [2], "last": 4},
    {"key": "d:{id}", "as": "json", "fields": ["a", {"name": "b", "path": "$.ü[0]"}]},
]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_plan_writes_the_commands_that_it_names(count: int) -> None:
    prepared = plan(*SOURCES[:count][:2]).prepare([{"id": "1"}, {"id": "日本"}, {"id": 3}])
    every = Plan(
        FeatureView.read({"inputs": [{"name": one["key"], "sources": [one]} for one in SOURCES[:count]]})
    ).prepare([{"id": "1"}, {"id": "ü"}])

    for one in (prepared, every):
        assert one.encoded() == [by_redis_py(command) for command in one.commands]
    assert len(every.encoded()) == 2 * count


@pytest.mark.parametrize("ttl", [None, 60])
@pytest.mark.parametrize("long", [("", b""), ("k" * 127, b"v" * 1023), ("k" * 128, b"v"), ("k", b"v" * 1024)])
def test_values_are_set_as_redis_clients_set_them(ttl: int | None, long: tuple[str, bytes]) -> None:
    keys, values = ["score:1", "score:\u00e9\u20ac", long[0]], [b'{"value":1}', b"", long[1]]

    written = Setting(ttl).encoded_for(keys, values)

    after = () if ttl is None else ("EX", ttl)
    assert written == [encoded(("SET", key, value, *after)) for key, value in zip(keys, values, strict=True)]


@given(commands=st.lists(st.lists(ARGUMENTS, min_size=1, max_size=6), max_size=6))
def test_commands_in_pieces_are_the_same_bytes(commands: list[list[Any]]) -> None:
    assert b"".join(pieces(commands)) == b"".join(map(encoded, commands))


def test_what_is_in_parts_is_not_joined() -> None:
    long, trailer = bytes(1000), b"trailer"

    sent = pieces([("MSET", "k", (long, trailer), "l", b"short"), ("PING",)])

    assert sent[1] is long
    whole = encoded(("MSET", "k", long + trailer, "l", b"short")) + encoded(("PING",))
    assert b"".join(sent) == whole
