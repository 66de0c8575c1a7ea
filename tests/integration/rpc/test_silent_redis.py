"""A Redis that is silent holds no call about a model up for long: what is loaded is told from memory."""

import time
from collections.abc import Callable

import grpc
import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from server.rpc.messages import message
from tests.graphs import bundle, scaled
from tests.integration.rpc.calling import Caller, refused
from tests.integration.rpc.conftest import OpenDoor
from tests.servers import RedisServer

A_FEW_SECONDS = 8.0


@pytest.fixture
async def silent(redis_server: Callable[..., RedisServer], open_door: OpenDoor) -> Caller:
    """A server that has loaded `churn`, and not `late`, when its Redis falls silent."""
    server = redis_server()
    async with Redis.from_url(server.url) as redis:
        await ModelStore(redis).publish(bundle(scaled(), "churn"), alias="production")
        door = await open_door(redis_url=server.url)
        assert (await door.call("ModelReady", message("ModelReadyRequest")(name="churn"))).ready
        await ModelStore(redis).publish(bundle(scaled(), "late"), alias="production")
    server.pause()
    return door


@pytest.mark.parametrize(("name", "there"), [("churn", True), ("late", False)])
async def test_readiness_of_a_model_is_told_soon(silent: Caller, name: str, there: bool) -> None:
    asked = time.monotonic()

    told = await silent.call("ModelReady", message("ModelReadyRequest")(name=name))

    assert told.ready is there
    assert time.monotonic() - asked < A_FEW_SECONDS


async def test_metadata_of_what_is_not_loaded_are_unavailable_soon(silent: Caller) -> None:
    asked = time.monotonic()

    error = await refused(silent.call("ModelMetadata", message("ModelMetadataRequest")(name="late")))

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "Redis" in (error.details() or "")
    assert time.monotonic() - asked < A_FEW_SECONDS
