"""Stores on real servers: `client` is Redis once and a Redis Cluster once, so every test of it runs on both."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from models.bundle import Bundle
from models.connecting import connect
from models.manifest import Manifest
from models.store import Client, ModelStore
from models.tensors import TensorSpec
from tests.servers import RedisNodes, RedisServer, start_cluster

MakeBundle = Callable[..., Bundle]


@pytest.fixture(scope="session")
def shared_cluster(redis_binary: Path) -> Iterator[RedisNodes]:
    cluster = start_cluster(redis_binary)
    yield cluster
    cluster.close()


@pytest.fixture(params=["redis", "cluster"])
def store_url(request: pytest.FixtureRequest) -> str:
    if request.param == "redis":
        url: str = request.getfixturevalue("redis_url")
        return url
    cluster: RedisNodes = request.getfixturevalue("shared_cluster")
    for node in cluster.nodes:
        with node.connect() as one:
            one.flushall()
    return cluster.url.replace("redis://", "redis+cluster://")


@pytest.fixture
async def client(store_url: str) -> AsyncIterator[Client]:
    connected = connect(store_url)
    yield connected
    await connected.aclose()


@pytest.fixture
async def store(client: Client) -> ModelStore:
    return ModelStore(client)


@pytest.fixture
async def lone_store(redis: Redis) -> ModelStore:
    """A store on one Redis server, for tests of that server's own settings."""
    return ModelStore(redis)


@pytest.fixture
async def shared_server_settings(shared_server: RedisServer) -> AsyncIterator[Callable[[str, object], None]]:
    """Change a setting of the shared server for one test."""
    changed: dict[str, str] = {}
    with shared_server.connect() as server:

        def change(name: str, value: object) -> None:
            changed.setdefault(name, server.config_get(name)[name])
            server.config_set(name, str(value))

        yield change
        for name, value in changed.items():
            server.config_set(name, value)


@pytest.fixture
def bundle() -> MakeBundle:
    """A factory: a bundle of any bytes under any name."""

    def make(onnx: bytes = b"a graph", name: str = "churn", **facts: object) -> Bundle:
        row = TensorSpec(name="x", dtype="float32", shape=("batch", 3))
        answer = TensorSpec(name="y", dtype="float32", shape=("batch", 1))
        fields = {"inputs": (row,), "outputs": (answer,), "task": "regression", "output": "y"} | facts
        return Bundle(Manifest.model_validate({"name": name} | fields), onnx)

    return make
