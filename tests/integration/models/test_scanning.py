"""Scanning finds every key of a pattern and type, on one Redis and on every node of a cluster."""

from collections.abc import Callable, Iterator

import pytest

from models import scanning
from models.connecting import connect
from models.errors import RedisUnavailable
from models.features import FeatureView
from models.scanning import Search, redis_type, scan
from models.store import Client
from tests import feast_store
from tests.servers import RedisNodes, RedisServer, free_port

Rights = Callable[[str], str]
FEAST = {
    "as": "feast",
    "project": "probe_repo",
    "view": "driver_profile",
    "entity": {"driver_id": "int64"},
    "fields": ["rating"],
}


@pytest.fixture
def server_rights(request: pytest.FixtureRequest) -> Iterator[Rights]:
    """A factory: the URL of a Redis for somebody who may read, as docs/redis-keys.md has it, and no more."""
    changed: list[RedisServer] = []

    def permit(url: str) -> str:
        cluster = url.startswith("redis+cluster")
        shared = request.getfixturevalue("shared_cluster" if cluster else "shared_server")
        changed.extend(shared.nodes if cluster else [shared])
        for server in changed:
            with server.connect() as one:
                rights = ("~*", "-@all", "+@read", "+@connection", "+cluster|slots")
                one.execute_command("ACL", "SETUSER", "reader", "on", ">secret", *rights)
        return url.replace("://", "://reader:secret@")

    yield permit
    for server in changed:
        with server.connect() as one:
            one.execute_command("ACL", "DELUSER", "reader")


async def test_every_key_of_the_pattern_is_found(client: Client) -> None:
    wanted = {f"patient:{number}".encode() for number in range(3000)}
    for key in wanted:
        await client.hset(key, "age", 1)
    await client.hset("other:1", "age", 1)

    parts = [part async for part in scan(client, "patient:*", "hash")]

    assert {key for part in parts for key in part.keys} == wanted
    assert len(parts) > 1


async def test_keys_of_another_type_are_passed_over(client: Client) -> None:
    await client.set("patient:1", b"\x00\x00\x80?")
    await client.hset("patient:2", "age", 1)
    await client.rpush("patient:3", "1")

    found = {
        kind: [key async for part in scan(client, "patient:*", kind) for key in part.keys]
        for kind in ("string", "hash", "list")
    }

    assert found == {"string": [b"patient:1"], "hash": [b"patient:2"], "list": [b"patient:3"]}


async def test_entities_of_feast_are_found_by_their_names(client: Client) -> None:
    await feast_store.written(client)
    await client.hset("driver_id:1001", "rating", 1)
    view = FeatureView.read({"inputs": [{"name": "x", "sources": [FEAST]}]})
    search = Search(view.keyed[0], "driver_id:100*")

    names = [
        name async for part in scan(client, search.pattern, search.type) for name in search.names(part.keys)
    ]

    assert sorted(names) == [b"driver_id:1001", b"driver_id:1002", b"driver_id:1003", b"driver_id:1004"]


async def test_the_share_grows_to_one(client: Client) -> None:
    for number in range(5000):
        await client.set(f"k:{number}", b"")

    shares = [part.share async for part in scan(client, "k:*", "string")]

    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert all(0 < share <= 1 for share in shares)


async def test_an_empty_redis_is_walked_in_one_part_a_node(client: Client) -> None:
    parts = [part async for part in scan(client, "*", "hash")]

    assert [part.keys for part in parts] == [[]] * len(parts)
    assert parts[-1].share == 1.0


async def test_redis_that_is_away_is_named() -> None:
    client = connect(f"redis://127.0.0.1:{free_port()}")

    with pytest.raises(RedisUnavailable, match="does not answer"):
        await anext(aiter(scan(client, "*", "hash")))
    await client.aclose()


async def test_a_walk_goes_on_from_a_position(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "SCAN_COUNT", 20)
    monkeypatch.setattr(scanning, "CHECK_SECONDS", 0.0)
    wanted = {f"k:{number}".encode() for number in range(500)}
    for key in wanted:
        await client.set(key, b"")

    parts = [part async for part in scan(client, "k:*", "string")]
    rest = [part async for part in scan(client, "k:*", "string", parts[5].position)]

    assert {key for part in parts[:6] + rest for key in part.keys} == wanted
    assert not any(part.anew for part in rest)
    assert [part async for part in scan(client, "k:*", "string", parts[-1].position)] == []


async def test_keys_are_found_without_the_right_to_ask_who_redis_is(
    store_url: str, client: Client, server_rights: Rights
) -> None:
    await client.set("k:1", b"")
    reader = connect(server_rights(store_url))

    parts = [part async for part in scan(reader, "k:*", "string")]
    await reader.aclose()

    assert [key for part in parts for key in part.keys] == [b"k:1"]
    assert {part.position for part in parts} == {""}


async def test_nodes_that_do_not_agree_are_waited_for(redis_cluster: RedisNodes) -> None:
    client = connect(redis_cluster.url.replace("redis://", "redis+cluster://"))
    first, second, _ = redis_cluster.nodes
    with first.connect() as one, second.connect() as other:
        other.execute_command("CLUSTER", "FORGET", one.execute_command("CLUSTER", "MYID"))

    with pytest.raises(RedisUnavailable, match="do not agree yet on who has which slots"):
        await anext(aiter(scan(client, "*", "hash")))
    await client.aclose()


def test_each_source_that_reads_a_key_has_a_redis_type() -> None:
    view = FeatureView.read(
        {
            "inputs": [
                {
                    "name": "a",
                    "sources": [
                        {"key": "a:{i}", "as": "hash", "fields": ["x"]},
                        {"key": "b:{i}", "as": "json", "fields": ["x"]},
                        {"key": "c:{i}", "as": "vector", "shape": [2]},
                    ],
                },
                {"name": "b", "sources": [{"key": "d:{i}", "as": "list", "shape": [2], "last": 3}]},
                {"name": "c", "sources": [FEAST]},
            ]
        }
    )

    assert [redis_type(source) for source in view.keyed] == ["hash", "ReJSON-RL", "string", "list", "hash"]
