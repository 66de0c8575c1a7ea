"""A real server process on a real Redis of the test's own, with a model in it whose answer tells its version."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from models.connecting import connect
from models.manifest import Manifest
from models.store import ModelStore
from tests.graphs import bundle, constant, scaled
from tests.integration.rest.served import ServerProcess
from tests.servers import RedisServer

VIEW = {"inputs": [{"name": "x", "sources": [{"key": "row:{id}", "as": "hash", "fields": ["a", "b"]}]}]}


class Publish(Protocol):
    """publish(name, answer): a version of `name` that answers a constant; without one, twice its input."""

    def __call__(self, name: str, answer: float | None = None) -> Manifest: ...


@pytest.fixture
def own_redis(redis_server: Callable[..., RedisServer]) -> RedisServer:
    """A Redis that keeps its data over a kill, with rows of features."""
    redis = redis_server(aof=True)
    with redis.connect() as client:
        for row in range(20):
            client.hset(f"row:{row}", mapping={"a": row, "b": 1})
    return redis


@pytest.fixture
def publish(own_redis: RedisServer) -> Publish:
    def do(name: str, answer: float | None = None) -> Manifest:
        onnx = scaled(2.0) if answer is None else constant(answer)
        return asyncio.run(published(onnx, name))

    async def published(onnx: bytes, name: str) -> Manifest:
        store = ModelStore(connect(own_redis.url))
        try:
            return await store.publish(bundle(onnx, name, VIEW))
        finally:
            await store.redis.aclose()

    return do


@pytest.fixture
def serve(own_redis: RedisServer) -> Iterator[Callable[..., ServerProcess]]:
    """serve(NAME=value, ...): a server process with those settings."""
    started: list[ServerProcess] = []

    def start(**settings: Any) -> ServerProcess:
        given = {f"INSITU_{name.upper()}": str(setting) for name, setting in settings.items()}
        started.append(ServerProcess(own_redis.url, given))
        return started[-1].start()

    yield start
    for server in started:
        server.close()
