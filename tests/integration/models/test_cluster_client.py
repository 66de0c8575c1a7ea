"""A client of a cluster asks another primary where the first is away."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import ConnectionError as RedisConnectionError

from models.cluster_client import CommandsOfAny, cluster_client
from tests.servers import RedisServer, free_port


@asynccontextmanager
async def of(*ports: int) -> AsyncIterator[tuple[CommandsOfAny, Any]]:
    """What asks the primaries at some ports, and what knows them."""
    options = cluster_client(f"redis://127.0.0.1:{ports[0]}").nodes_manager.connection_kwargs
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
