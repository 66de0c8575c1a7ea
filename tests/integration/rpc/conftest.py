"""The gRPC door over a running engine on a real Redis, and calls by name, through no client of anybody's.

store         models in the test's Redis
open_door(...) a factory: a door with these settings, on a free port
door          the door with its default settings, over an empty Redis
"""

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop
from redis.asyncio import Redis

from models.store import ModelStore
from server import app
from server.settings import ServerSettings
from server.workers.listeners import Held
from tests.integration.conftest import BuildEngine
from tests.integration.rpc.calling import Caller

OpenDoor = Callable[..., Awaitable[Caller]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Run the door on the event loop of `server.app.run`."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def store(redis: Redis) -> ModelStore:
    return ModelStore(redis)


@pytest.fixture
async def open_door(redis_url: str, built: BuildEngine) -> AsyncIterator[OpenDoor]:
    """A factory: keywords are settings; the models that are stored by then are loaded."""
    async with AsyncExitStack() as stack:

        async def opened(**settings: Any) -> Caller:
            chosen = ServerSettings(**{"redis_url": redis_url, "grpc_port": 0, **settings})
            engine = built(chosen)
            stack.push_async_callback(engine.stop)
            await engine.start()
            held = Held(chosen.host, {"grpc": chosen.grpc_port or 0})
            stack.callback(held.close)
            doors: dict[str, Any] = {}
            await app.open_beside(chosen.model_copy(update={"resp_port": -1}), engine, held, doors)
            door = doors["grpc"]
            stack.push_async_callback(door.close)
            caller = Caller(door, engine)
            stack.push_async_callback(caller.close)
            return caller

        yield opened


@pytest.fixture
async def door(open_door: OpenDoor) -> Caller:
    """The door with its default settings; models are published by the test, and loaded when asked for."""
    return await open_door()
