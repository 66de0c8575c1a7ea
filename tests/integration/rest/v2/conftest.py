"""A server process with models for every datatype, which the protocol's own clients ask.

served     the process, one for a module
tritonclient, tritonclient_aio      the modules of NVIDIA's client
"""

import asyncio
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.integration.rest.served import ServerProcess
from tests.integration.rest.v2 import stored
from tests.servers import RedisServer


@pytest.fixture(scope="module")
def served(redis_binary: Path) -> Iterator[ServerProcess]:
    redis = RedisServer(redis_binary).start()
    asyncio.run(stored.fill(redis.url))
    server = ServerProcess(redis.url)
    try:
        yield server.start()
    finally:
        server.close()
        redis.close()


def client_module(name: str) -> Any:
    if find_spec(name.partition(".")[0]) is None:
        missing(f"no {name}: pip install 'insitu[clients]'")
    return import_module(name)


@pytest.fixture(scope="session")
def tritonclient() -> Any:
    return client_module("tritonclient.http")


@pytest.fixture(scope="session")
def tritonclient_aio() -> Any:
    return client_module("tritonclient.http.aio")
