"""Real servers for sources and targets.

place       one Redis and a cluster in turn, each with a client of the test's own and an `ask` of the server's
single      the one Redis                    cluster      a client of the cluster
client_of   clients of the test's own servers             small        steps so small that a few keys make many
"""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis as PlainRedis
from redis.asyncio import Redis
from redis.cluster import RedisCluster

from models import scanning
from models.connecting import connect
from models.store import Client
from server.batch.sources import found, gathering, named
from server.inference.reading.reads import Ask
from tests.integration.server.conftest import MakeReader
from tests.servers import RedisNodes, RedisServer, start_cluster

Connect = Callable[[RedisServer | RedisNodes], Client]


@dataclass(frozen=True, slots=True)
class Place:
    """One Redis or one cluster."""

    client: Any
    ask: Ask


@pytest.fixture(scope="session")
def nodes(redis_binary: Path) -> Iterator[RedisNodes]:
    cluster = start_cluster(redis_binary)
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
async def single(redis_url: str, reader: MakeReader) -> Any:
    with PlainRedis.from_url(redis_url) as client:
        yield Place(client, reader(redis_url).ask)


@pytest.fixture(params=["one", "cluster"])
async def place(request: pytest.FixtureRequest, reader: MakeReader) -> Any:
    if request.param == "one":
        with PlainRedis.from_url(request.getfixturevalue("redis_url")) as client:
            yield Place(client, reader(request.getfixturevalue("redis_url")).ask)
        return
    url = request.getfixturevalue("nodes").url
    client = RedisCluster.from_url(url)
    try:
        client.flushall(target_nodes=RedisCluster.PRIMARIES)
        yield Place(client, reader(url.replace("redis://", "redis+cluster://")).ask)
    finally:
        client.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of about a hundred keys."""
    for module, name in ((scanning, "SCAN_COUNT"), (named, "SCAN_COUNT"), (found, "READ_COUNT")):
        monkeypatch.setattr(module, name, 50)
    monkeypatch.setattr(gathering, "ENOUGH_ROWS", 100)


@pytest.fixture(scope="module")
def module_cluster(redis_binary: Path) -> Iterator[RedisNodes]:
    """A cluster whose slots may be moved and whose nodes may be restarted."""
    cluster = start_cluster(redis_binary)
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
async def cluster(module_cluster: RedisNodes) -> AsyncIterator[Client]:
    for node in module_cluster.nodes:
        with node.connect() as one:
            one.flushall()
    client = connect(module_cluster.url.replace("redis://", "redis+cluster://"))
    yield client
    await client.aclose()


@pytest.fixture
async def client_of() -> AsyncIterator[Callable[[RedisServer], Redis]]:
    """A factory: a client of a server of the test's own."""
    opened: list[Redis] = []

    def open_one(server: RedisServer) -> Redis:
        client = connect(server.url)
        assert isinstance(client, Redis)
        opened.append(client)
        return client

    yield open_one
    for client in opened:
        await client.aclose()
