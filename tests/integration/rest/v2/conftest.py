"""A server process with models for every datatype, which the protocol's own clients ask.

served     the process, one for a module
tritonclient, tritonclient_aio      the modules of NVIDIA's client
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.integration.rest.v2 import stored
from tests.serving import ServeCommand, serving


@pytest.fixture(scope="module")
def served(redis_binary: Path) -> Iterator[ServeCommand]:
    with serving(stored.fill, redis_binary) as server:
        yield server


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
