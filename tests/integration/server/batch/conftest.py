"""Sources on real servers, with steps so small that a few keys make many."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from models import scanning
from models.connecting import connect
from models.store import Client
from server.batch.sources import found, gathering, named
from tests.servers import RedisNodes, RedisServer, start_cluster

Connect = Callable[[RedisServer | RedisNodes], Client]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of about a hundred keys."""
    for module, name in ((scanning, "SCAN_COUNT"), (named, "SCAN_COUNT"), (found, "READ_COUNT")):
        monkeypatch.setattr(module, name, 50)
    monkeypatch.setattr(gathering, "ENOUGH_ROWS", 100)


@pytest.fixture(scope="module")
def module_cluster(redis_binary: Path) -> Iterator[RedisNodes]:
    cluster = start_cluster(redis_binary)
    yield cluster
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
