"""A Redis and a cluster, each with a client of the test's own and an `ask` of the server's.

place    both in turn     single    the one Redis
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.cluster import RedisCluster

from server.inference.reading.reads import Ask
from tests.integration.server.conftest import MakeReader
from tests.servers import RedisNodes, start_cluster


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
    with Redis.from_url(redis_url) as client:
        yield Place(client, reader(redis_url).ask)


@pytest.fixture(params=["one", "cluster"])
async def place(request: pytest.FixtureRequest, reader: MakeReader) -> Any:
    if request.param == "one":
        with Redis.from_url(request.getfixturevalue("redis_url")) as client:
            yield Place(client, reader(request.getfixturevalue("redis_url")).ask)
        return
    url = request.getfixturevalue("nodes").url
    client = RedisCluster.from_url(url)
    try:
        client.flushall(target_nodes=RedisCluster.PRIMARIES)
        yield Place(client, reader(url.replace("redis://", "redis+cluster://")).ask)
    finally:
        client.close()
