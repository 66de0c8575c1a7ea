"""The HTTP door over a running engine on a real Redis, and a client that knows nothing of either.

store       models in the test's Redis
ask(...)    a factory: the API with these settings, as an HTTP client
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from server import app
from server.rest.api import create_api
from server.settings import ServerSettings

HERE = "http://127.0.0.1:8000"
Client = httpx.AsyncClient
StartDoor = Callable[..., Awaitable[Client]]


@pytest.fixture
def store(redis: Redis) -> ModelStore:
    return ModelStore(redis)


@pytest.fixture
async def start(redis_url: str) -> AsyncIterator[StartDoor]:
    """A factory: keywords are settings; the models that are stored by then are loaded."""
    async with AsyncExitStack() as stack:

        async def door(**settings: Any) -> Client:
            chosen = ServerSettings(**{"redis_url": redis_url, **settings})
            engine = app.build_engine(chosen)
            await engine.start()
            stack.push_async_callback(engine.stop)
            transport = httpx.ASGITransport(create_api(engine, app.access(chosen)))
            return await stack.enter_async_context(Client(transport=transport, base_url=HERE))

        yield door


@pytest.fixture
async def client(start: StartDoor) -> Client:
    """The API with its default settings; models are published by the test, and loaded when asked for."""
    return await start()
