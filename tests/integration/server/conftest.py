"""The core on a real Redis.

store           models in the test's Redis
engine(...)     a factory: a started engine with these settings, stopped after the test
reader(url)     a factory: a reader of features
serve(url)      a factory: `insitu serve` in a process of its own
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from server.building import build_engine
from server.inference.engine import Engine
from server.inference.reading.reader import Reader
from server.settings import ServerSettings
from tests.integration.conftest import BuildEngine
from tests.serving import ServeCommand

WAIT_SECONDS = 10.0
POLL_SECONDS = 0.01

StartEngine = Callable[..., Awaitable[Engine]]
MakeReader = Callable[..., Reader]
Serve = Callable[..., ServeCommand]


async def until(true: Callable[[], bool]) -> None:
    """Wait until something outside of the test has come true."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not true():  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(POLL_SECONDS)


@pytest.fixture
def store(redis: Redis) -> ModelStore:
    return ModelStore(redis)


@pytest.fixture
async def engine(redis_url: str, built: BuildEngine) -> AsyncIterator[StartEngine]:
    async with AsyncExitStack() as stack:

        async def start(
            wait_seconds: float = WAIT_SECONDS, own_nursery: bool = False, **settings: Any
        ) -> Engine:
            build = build_engine if own_nursery else built
            one = build(ServerSettings(**{"redis_url": redis_url, **settings}))
            stack.push_async_callback(one.stop)
            await one.start(wait_seconds)
            return one

        yield start


@pytest.fixture
async def reader() -> AsyncIterator[MakeReader]:
    async with AsyncExitStack() as stack:

        def make(url: str, timeout_seconds: float = 1.0, **observed: Any) -> Reader:
            one = Reader(url, timeout_seconds, **observed)
            stack.push_async_callback(one.close)
            return one

        yield make


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A factory: `insitu serve` on a Redis; keywords are settings of the environment."""
    started: list[ServeCommand] = []

    def start(redis_url: str, *, fresh: bool = False, **settings: str) -> ServeCommand:
        started.append(ServeCommand(redis_url, settings, fresh))
        return started[-1].start()

    yield start
    for one in started:
        one.close()
