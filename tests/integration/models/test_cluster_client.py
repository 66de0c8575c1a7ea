"""A client of a cluster asks another node where the first is away, and does not wait for one that is silent."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio.cluster import ClusterNode
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError

from models.cluster_client import CommandsOfAny, cluster_client
from models.connecting import connect
from models.errors import RedisUnavailable
from models.redis_failures import connected
from tests.servers import RedisNodes, RedisServer, free_port


@asynccontextmanager
async def of(*ports: int) -> AsyncIterator[tuple[CommandsOfAny, Any]]:
    """What asks the primaries at some ports, and what knows them."""
    options = cluster_client([f"redis://127.0.0.1:{ports[0]}"]).nodes_manager.connection_kwargs
    nodes = [ClusterNode("127.0.0.1", port, **options) for port in ports]
    known: Any = SimpleNamespace(default_node=nodes[0], get_nodes_by_server_type=lambda _: nodes)
    yield CommandsOfAny(known), known
    for one in nodes:
        await one.disconnect()


async def test_a_primary_that_answers_is_the_one_for_what_has_no_key(
    redis_server: Callable[..., RedisServer],
) -> None:
    server = redis_server(port=free_port())
    async with of(free_port(), server.port) as (parser, known):
        away, there = known.get_nodes_by_server_type(None)

        await parser.initialize(away)
        first = known.default_node
        known.default_node = away
        await parser.initialize(away)

        assert (first, known.default_node) == (there, there)
        assert "get" in parser.commands


async def test_where_no_primary_answers_the_first_says_why() -> None:
    ports = free_port(), free_port()
    async with of(*ports) as (parser, known):
        with pytest.raises(RedisConnectionError, match=f"{ports[0]}"):
            await parser.initialize(known.default_node)


async def test_any_node_of_the_url_leads_to_the_cluster(redis_cluster: RedisNodes) -> None:
    away, silent, there = free_port(), *(node.port for node in redis_cluster.nodes[:2])
    url = f"redis+cluster://127.0.0.1:{away},127.0.0.1:{silent},127.0.0.1:{there}"
    key = next(key for key in map("k:{}".format, range(99)) if 5461 < key_slot(key.encode()) < 10922)
    redis_cluster.nodes[0].pause()
    client: Any = connect(url, 60)

    async with connected(client):
        await client.set(key, "1")
    value = await client.get(key)

    assert value == b"1"
    await client.aclose()


async def test_the_nodes_of_the_url_lead_to_a_cluster_that_has_moved(redis_cluster: RedisNodes) -> None:
    client: Any = connect(redis_cluster.url.replace("redis://", "redis+cluster://"))
    name = f"127.0.0.1:{redis_cluster.nodes[0].port}"
    await client.initialize()
    await client.nodes_manager.nodes_cache.pop(name).disconnect()

    await client.nodes_manager.initialize()

    assert name in client.nodes_manager.nodes_cache
    await client.aclose()


async def test_where_no_node_of_the_url_answers_the_first_is_named() -> None:
    ports = free_port(), free_port()
    client = connect("redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports))

    with pytest.raises(RedisUnavailable, match=rf"{ports[0]}.* \(no node of the Redi"):
        async with connected(client):
            pass
    await client.aclose()


async def test_a_client_that_lost_a_node_closes_its_connections_to_the_others(
    redis_cluster: RedisNodes,
) -> None:
    client: Any = connect(redis_cluster.url.replace("redis://", "redis+cluster://"))
    keys = {key_slot(key.encode()) * 3 // 16384: key for key in map("k:{}".format, range(99))}
    for key in keys.values():
        await client.set(key, "1")
    redis_cluster.nodes[2].kill()
    with pytest.raises(RedisConnectionError):
        await client.get(keys[2])

    await client.aclose()

    nodes = [*client.nodes_manager.nodes_cache.values(), *client.nodes_manager.startup_nodes.values()]
    held = [one for node in nodes for one in node._connections]  # noqa: SLF001  # redis-py tells them nowhere else
    assert held
    assert not any(one.is_connected for one in held)
