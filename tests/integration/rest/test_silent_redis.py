"""A Redis that is silent holds nobody up for long who looks at models."""

import asyncio
import time

import pytest

from server.rest import cards, catalogue, describing, traffic
from tests.integration.rest.conftest import StartDoor
from tests.servers import RedisServer

PATHS = (
    "/v1/models",
    "/v1/models/churn",
    "/v1/models/churn/versions/1",
    "/v1/models/churn/versions/production",
    "/v1/models/churn/versions/1/card",
    "/v1/models/churn/traffic",
)
A_FEW_SECONDS = 8.0


async def test_what_is_stored_is_503_in_time(
    start: StartDoor, frozen: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (cards, catalogue, describing, traffic):
        monkeypatch.setattr(module, "LOOK_UP_SECONDS", 0.2)
    client = await start(redis_url=frozen.url)
    assert (await client.get("/v1/models")).status_code == 200
    frozen.pause()
    at = time.monotonic()

    told = await asyncio.gather(*map(client.get, PATHS))

    assert time.monotonic() - at < A_FEW_SECONDS
    assert [(one.status_code, one.json()["error"]["code"]) for one in told] == [
        (503, "redis_unavailable")
    ] * len(PATHS)
