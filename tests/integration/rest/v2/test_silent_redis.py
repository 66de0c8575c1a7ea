"""A Redis that is silent holds nobody up for long: what is loaded is told from memory, the rest is 503."""

import asyncio
import time
from collections.abc import Sequence
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


async def told(client: Client, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, Any]]:
    """Ask for all at once, and return the status and the body of each, which has to come within a few seconds."""

    async def answer(method: str, path: str) -> tuple[int, Any]:
        at = time.monotonic()
        response = await client.request(method, path)
        assert time.monotonic() - at < A_FEW_SECONDS, path
        return response.status_code, response.json()

    return dict(zip(asked, await asyncio.gather(*(answer(*one) for one in asked)), strict=True))


async def test_what_is_loaded_is_told_from_memory(silent: Client) -> None:
    expected: dict[str, dict[str, Any]] = {
        "/v2/models/churn": {"name": "churn", "versions": ["1"]},
        "/v2/models/churn/config": {"name": "churn"},
        "/v2/models/churn/trace/setting": {},
        "/v2/models/churn/ready": {"name": "churn", "ready": True},
        "/v2/models/churn/versions/1/ready": {"ready": True},
        "/v2/models/churn/stats": {},
        "/v2/models/churn/versions/production/stats": {},
    }

    answers = await told(silent, [("GET", path) for path in expected])

    assert {path: status for (_, path), (status, _) in answers.items()} == dict.fromkeys(expected, 200)
    assert {
        path: {name: body[name] for name in expected[path]} for (_, path), (_, body) in answers.items()
    } == expected


async def test_what_needs_redis_is_503(silent: Client) -> None:
    rests = ("", "/config", "/trace/setting", "/ready", "/stats", "/versions/1/ready")
    needing = [
        *(("GET", f"/v2/models/late{rest}") for rest in rests),
        ("GET", "/v2/models/churn/versions/blue/stats"),
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/churn/unload"),
        ("POST", "/v2/repository/models/late/unload"),
    ]

    answers = await told(silent, needing)

    assert {one: status for one, (status, _) in answers.items()} == dict.fromkeys(needing, 503)
    assert {one for one, (_, body) in answers.items() if "Redis" in body["error"]} == {*needing}
