"""The HTTP door over a running engine on a real Redis, and a client that knows nothing of either.

store         models in the test's Redis
frozen        a Redis of the test's own, stocked, to be paused
road          how requests get to the door: every test of a client runs on both
start(...)    a factory: the API with these settings, as an HTTP client
client        the API with its default settings
untouched     the same for all tests of a module, for what no model and no key changes
listen(...)   a factory: a server on a port, to talk to in bytes
serve(...)    a factory: a server process of its own; keywords are variables of its environment
"""

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvloop
from redis.asyncio import Redis

from models.store import ModelStore
from server import app
from server.batch.places import check_fits
from server.inference.engine import Engine
from server.rest.api import create_api
from server.settings import ServerSettings
from tests.integration.conftest import BuildEngine
from tests.integration.rest import stock
from tests.integration.rest.wired import Wire, wired
from tests.servers import RedisServer
from tests.serving import ServeCommand

HERE = "http://127.0.0.1:8000"
ROADS = ("asgi", "wire")
on_one_server = pytest.mark.asyncio(loop_scope="module")
PATIENCE_SECONDS = 30.0  # httpx's own 5 may pass where others use the processors
NO_TLS = SSLContext(PROTOCOL_TLS_CLIENT)  # httpx would read every certificate of the machine for each client
Client = httpx.AsyncClient
StartDoor = Callable[..., Awaitable[Client]]
Listen = Callable[..., Awaitable[Wire]]
Serve = Callable[..., ServeCommand]


@pytest.fixture
async def frozen(redis_server: Callable[..., RedisServer]) -> AsyncIterator[RedisServer]:
    """A Redis of the test's own, to be paused."""
    server = redis_server()
    async with Redis.from_url(server.url) as client:
        await stock.fill(client, ModelStore(client))
    yield server
    server.resume()


@pytest.fixture
def store(redis: Redis) -> ModelStore:
    return ModelStore(redis)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    """Run the door on the event loop of `server.app.run`."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=ROADS)
def road(request: pytest.FixtureRequest) -> str:
    """asgi: the application is called as a function; wire: uvicorn on a port, and its protocol class."""
    return str(request.param)


async def opened(stack: AsyncExitStack, engine: Engine, settings: ServerSettings, road: str) -> Client:
    """Return a client of the API over an engine; the stack closes both."""
    await engine.start()
    stack.push_async_callback(engine.stop)
    api = create_api(engine, app.access(settings), check_fits)
    transport: httpx.AsyncBaseTransport
    if road == "asgi":
        there, transport = HERE, httpx.ASGITransport(api)
    else:
        wire = await stack.enter_async_context(wired(app.http_config(api, settings)))
        there, transport = wire.url, httpx.AsyncHTTPTransport(verify=NO_TLS)
    client = Client(transport=transport, base_url=there, timeout=PATIENCE_SECONDS)
    return await stack.enter_async_context(client)


@pytest.fixture
async def start(redis_url: str, road: str, built: BuildEngine) -> AsyncIterator[StartDoor]:
    """A factory: keywords are settings; the models that are stored by then are loaded."""
    async with AsyncExitStack() as stack:

        async def door(**settings: Any) -> Client:
            chosen = ServerSettings(**{"redis_url": redis_url, **settings})
            return await opened(stack, built(chosen), chosen, road)

        yield door


@pytest.fixture
async def client(start: StartDoor) -> Client:
    """The API with its default settings; models are published by the test, and loaded when asked for."""
    return await start()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ROADS)
async def untouched(
    request: pytest.FixtureRequest, redis_binary: Path, built: BuildEngine
) -> AsyncIterator[Client]:
    """The API with its default settings over an empty Redis; a test that takes it is `on_one_server`."""
    async with AsyncExitStack() as stack:
        server = RedisServer(redis_binary).start()
        stack.callback(server.close)
        settings = ServerSettings(redis_url=server.url)
        yield await opened(stack, built(settings), settings, request.param)


@pytest.fixture
async def listen(redis_url: str, built: BuildEngine) -> AsyncIterator[Listen]:
    """A factory: keywords are settings; `idle_seconds` is how long a connection may say nothing.

    With `plain` it is uvicorn's own protocol class, not ours.
    """
    async with AsyncExitStack() as stack:

        async def start(
            idle_seconds: float = app.KEEP_ALIVE_SECONDS, plain: bool = False, **settings: Any
        ) -> Wire:
            chosen = ServerSettings(**{"redis_url": redis_url, **settings})
            engine = built(chosen)
            await engine.start()
            stack.push_async_callback(engine.stop)
            config = app.http_config(create_api(engine, app.access(chosen), check_fits), chosen)
            config.timeout_keep_alive = idle_seconds  # type: ignore[assignment]  # uvicorn says int, takes either
            if plain:
                config.http = "httptools"
            return await stack.enter_async_context(wired(config))

        yield start


@pytest.fixture
def serve(redis_url: str) -> Iterator[Serve]:
    started: list[ServeCommand] = []

    def start(redis: str = redis_url, **settings: str) -> ServeCommand:
        started.append(ServeCommand(redis, settings))
        return started[-1].start()

    yield start
    for one in started:
        one.stop()


@pytest.fixture
async def stocked(redis: Redis, store: ModelStore) -> None:
    """Models and keys, whole and broken."""
    await stock.fill(redis, store)
