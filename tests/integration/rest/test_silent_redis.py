"""A Redis that is silent holds nobody up for long who looks at models."""

import asyncio
import time
from typing import Any

import pytest

from server import building
from server.inference import meanings
from server.rest import cards, catalogue, describing, traffic
from tests.graphs import scaled
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


LOOKS_AND_CHANGES: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/v1/jobs", None),
    ("GET", "/v1/jobs/nightly", None),
    ("GET", "/v1/jobs/nightly/events", None),
    ("DELETE", "/v1/jobs/nightly", None),
    ("POST", "/v1/models/churn/jobs", {}),
    ("PUT", "/v1/models/churn/aliases/canary", {"version": 1}),
    ("DELETE", "/v1/models/churn/aliases/canary", None),
    ("POST", "/v1/models/churn/aliases/production/rollback", None),
    ("PUT", "/v1/models/churn/traffic", {"weights": {"1": 1}}),
    ("DELETE", "/v1/models/churn/traffic", None),
    ("DELETE", "/v1/models/churn/versions/1", None),
    ("POST", "/v1/models/churn/versions/7/predict", {"inputs": {"x": [[1, 2]]}}),
)


async def test_jobs_changes_and_uploads_are_503_in_time(
    start: StartDoor, frozen: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "LOOK_UP_SECONDS", 0.2)
    client = await start(redis_url=frozen.url)
    frozen.pause()
    at = time.monotonic()

    asked = [client.request(method, path, json=body) for method, path, body in LOOKS_AND_CHANGES]
    upload = client.post("/v1/models/new/versions", files={"model": scaled()})
    told = await asyncio.gather(*asked, upload)

    assert time.monotonic() - at < A_FEW_SECONDS
    assert [(one.status_code, one.json()["error"]["code"]) for one in told] == [
        (503, "redis_unavailable")
    ] * len(told)


async def test_many_who_ask_for_a_model_that_is_not_loaded_wait_once(
    start: StartDoor, frozen: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await start(redis_url=frozen.url)
    monkeypatch.setattr(meanings, "LOOK_UP_SECONDS", 0.3)
    frozen.pause()
    at = time.monotonic()

    body = {"inputs": {"x": [[1, 2]]}}
    told = await asyncio.gather(*(client.post("/v1/models/nope/predict", json=body) for _ in range(20)))

    assert time.monotonic() - at < 3.0  # one after the other would be six seconds
    assert {one.status_code for one in told} == {503}
