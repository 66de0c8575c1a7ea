"""Commands over a running engine on a real Redis, with a door and without.

store            models in the test's Redis
engine(...)      a factory: a started engine with these settings, stopped after the test
make_caller(...) a factory: a caller with a connection of its own, of the engine given or a usual one
caller           one of them, in RESP2
open_door(...)   a factory: a door with these settings on a free port; `commands` beside those of the product;
                 `clients_url` sends its clients elsewhere than its engine
door             one with the usual settings and the commands of own_commands.py
certificates     for TLS
"""

import shutil
from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import uvloop
from redis.asyncio import Redis

from models.store import ModelStore
from server import app
from server.inference.engine import Engine
from server.resp.caller import Caller
from server.resp.commands.command import Command
from server.resp.commands.table import COMMANDS
from server.resp.door import Door
from server.resp.reaching import Redis as Reached
from server.resp.wire.replies import RESP2, Encoder
from server.settings import ServerSettings
from server.workers.listeners import Held
from server.workers.opening import Listening
from tests.certificates import Certificates, make_certificates
from tests.conftest import missing
from tests.integration.conftest import BuildEngine
from tests.integration.resp.callers import connected
from tests.integration.resp.doors import OpenedDoor
from tests.integration.resp.own_commands import OWN

WAIT_SECONDS = 10.0

StartEngine = Callable[..., Awaitable[Engine]]
MakeCaller = Callable[..., Awaitable[Caller]]
OpenDoor = Callable[..., Awaitable[OpenedDoor]]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Run the door on the event loop of `server.app.run`."""
    return {"uvloop": uvloop.new_event_loop}


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


@pytest.fixture
async def open_door(redis_url: str, built: BuildEngine) -> AsyncIterator[OpenDoor]:
    async with AsyncExitStack() as stack:

        async def opened(
            *, commands: Mapping[bytes, Command] = OWN, clients_url: str = "", **settings: Any
        ) -> OpenedDoor:
            chosen = ServerSettings(**{"redis_url": redis_url, "shutdown_seconds": 1, **settings})
            engine = built(chosen)
            stack.push_async_callback(engine.stop)
            await engine.start()
            held = Held(chosen.host, {"resp": 0})
            stack.callback(held.close)
            listening = Listening(
                chosen.host, held.ports["resp"], chosen.shutdown_seconds, chosen.tls_cert, chosen.tls_key
            )
            reached = Reached(clients_url or chosen.redis_url, chosen.redis_timeout_ms / 1000)
            door = await Door.open(engine, app.access(chosen), listening, reached, {**COMMANDS, **commands})
            stack.push_async_callback(door.close)
            return OpenedDoor(door, engine, stack)

        yield opened


@pytest.fixture
async def door(open_door: OpenDoor) -> OpenedDoor:
    return await open_door()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    if shutil.which("openssl") is None:
        missing("no openssl to make certificates with")
    return make_certificates(tmp_path_factory.mktemp("certificates"))
