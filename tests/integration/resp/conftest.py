"""Commands over a running engine on a real Redis, without a door.

store            models in the test's Redis
engine(...)      a factory: a started engine with these settings, stopped after the test
make_caller(...) a factory: a caller with a connection of its own, of the engine given or a usual one
caller           one of them, in RESP2
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from server.inference.engine import Engine
from server.resp.caller import Caller
from server.resp.wire.replies import RESP2, Encoder
from server.settings import ServerSettings
from tests.integration.conftest import BuildEngine
from tests.integration.resp.callers import connected

WAIT_SECONDS = 10.0

StartEngine = Callable[..., Awaitable[Engine]]
MakeCaller = Callable[..., Awaitable[Caller]]


@pytest.fixture
def store(redis: Redis) -> ModelStore:
    return ModelStore(redis)


@pytest.fixture
async def engine(redis_url: str, built: BuildEngine) -> AsyncIterator[StartEngine]:
    async with AsyncExitStack() as stack:

        async def start(**settings: Any) -> Engine:
            one = built(ServerSettings(**{"redis_url": redis_url, **settings}))
            stack.push_async_callback(one.stop)
            await one.start(WAIT_SECONDS)
            return one

        yield start


@pytest.fixture
async def make_caller(redis_url: str, engine: StartEngine) -> AsyncIterator[MakeCaller]:
    async with AsyncExitStack() as stack:

        async def make(running: Engine | None = None, wire: Encoder = RESP2, db: int = 0) -> Caller:
            one = asynccontextmanager(connected)(running or await engine(), redis_url, wire, db)
            return await stack.enter_async_context(one)

        yield make


@pytest.fixture
async def caller(make_caller: MakeCaller) -> Caller:
    return await make_caller()
