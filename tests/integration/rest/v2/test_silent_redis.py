"""A Redis that is silent holds nobody up for long: what is loaded is told from memory, the rest is 503."""

import time
from typing import Any

import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from tests.graphs import bundle, scaled
from tests.integration.rest.conftest import Client, StartDoor
from tests.servers import RedisServer

A_FEW_SECONDS = 8.0


@pytest.fixture
async def silent(start: StartDoor, frozen: RedisServer) -> Client:
    """A server that has loaded `churn`, and not `late`, when its Redis falls silent."""
    client = await start(redis_url=frozen.url)
    assert (await client.get("/v2/models/churn/ready")).status_code == 200
    async with Redis.from_url(frozen.url) as redis:
        await ModelStore(redis).publish(bundle(scaled(), "late"), alias="blue")
    frozen.pause()
    return client


async def asked(client: Client, method: str, path: str, **more: Any) -> tuple[int, Any]:
    """Ask, and return the status and the body of what has to come within a few seconds."""
    at = time.monotonic()
    response = await client.request(method, path, **more)
    assert time.monotonic() - at < A_FEW_SECONDS
    return response.status_code, response.json()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v2/models/churn", {"name": "churn", "versions": ["1"]}),
        ("/v2/models/churn/config", {"name": "churn"}),
        ("/v2/models/churn/trace/setting", {}),
        ("/v2/models/churn/ready", {"name": "churn", "ready": True}),
        ("/v2/models/churn/versions/1/ready", {"ready": True}),
        ("/v2/models/churn/stats", {}),
        ("/v2/models/churn/versions/production/stats", {}),
    ],
)
async def test_what_is_loaded_is_told_from_memory(silent: Client, path: str, told: dict[str, Any]) -> None:
    status, body = await asked(silent, "GET", path)

    assert status == 200
    assert {name: body[name] for name in told} == told


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(
            ("GET", f"/v2/models/late{rest}")
            for rest in ("", "/config", "/trace/setting", "/ready", "/stats")
        ),
        ("GET", "/v2/models/late/versions/1/ready"),
        ("GET", "/v2/models/churn/versions/blue/stats"),
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/churn/unload"),
        ("POST", "/v2/repository/models/late/unload"),
    ],
)
async def test_what_needs_redis_is_503(silent: Client, method: str, path: str) -> None:
    status, body = await asked(silent, method, path)

    assert status == 503
    assert "Redis" in body["error"]
