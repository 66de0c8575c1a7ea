"""More than can be done: refused at once, expired in time, never run for nobody; on both roads."""

import asyncio
import re
import time
from typing import Any

import httpx
import pytest

from models.store import ModelStore
from tests.graphs import bundle, looping
from tests.integration.rest.conftest import Client, StartDoor
from tests.servers import RedisServer

pytestmark = pytest.mark.alone  # what is slow and what is busy is measured

LOOP = "/v1/models/loop/predict"
CHURN = "/v1/models/churn/predict"
KEYED = {"keys": ["customer:1"]}
RUNS = re.compile(r'^insitu_run_seconds_count{model="loop",version="1"} (.+)$', re.MULTILINE)
SLOW_SECONDS = 1.5


@pytest.fixture
async def turns(store: ModelStore, start: StartDoor) -> int:
    """As many turns of the slow model as keep a processor busy for a while.

    The clock of the wall would count what others did meanwhile, and make it too few for what comes after.
    """
    await store.publish(bundle(looping(), "loop"))
    client = await start()
    await client.post(LOOP, json=slow(1))
    before = time.process_time()
    response = await client.post(LOOP, json=slow(20_000))
    assert response.status_code == 200
    return int(20_000 * SLOW_SECONDS / (time.process_time() - before))


def slow(turns: int, **said: Any) -> dict[str, Any]:
    return {"inputs": {"x": [[1]], "turns": [turns]}, **said}


async def timed(client: Client, path: str, body: dict[str, Any]) -> tuple[httpx.Response, float]:
    """Return an answer, and the seconds it took."""
    at = time.monotonic()
    response = await client.post(path, json=body)
    return response, time.monotonic() - at


async def runs(client: Client) -> int:
    """Return how many batches of the slow model have run."""
    found = RUNS.search((await client.get("/metrics")).text)
    return int(float(found[1])) if found else 0


async def test_a_full_queue_refuses_at_once_while_health_is_green(start: StartDoor, turns: int) -> None:
    client = await start(max_queue_rows=2, max_batch_rows=1)
    await client.post(LOOP, json=slow(1))
    first = asyncio.create_task(client.post(LOOP, json=slow(turns)))
    await asyncio.sleep(0.1)
    waiting = [asyncio.create_task(client.post(LOOP, json=slow(1))) for _ in range(2)]
    await asyncio.sleep(0.1)

    refused = [await client.post(LOOP, json=slow(1)) for _ in range(5)]
    health = [await client.get(path) for path in ("/health/live", "/health/ready")]
    busy = not first.done()  # so none of it took long
    answers = await asyncio.gather(first, *waiting)

    assert busy
    for response in refused:
        assert (response.status_code, response.json()["error"]["code"]) == (429, "overloaded")
        assert int(response.headers["retry-after"]) >= 1
    assert [response.status_code for response in health] == [200, 200]
    assert [response.status_code for response in answers] == [200] * 3


async def test_work_that_expired_while_it_waited_is_never_run(start: StartDoor, turns: int) -> None:
    client = await start(max_batch_rows=1)
    await client.post(LOOP, json=slow(1))
    before = await runs(client)
    first = asyncio.create_task(client.post(LOOP, json=slow(turns)))
    await asyncio.sleep(0.1)

    given_up = await asyncio.gather(*(timed(client, LOOP, slow(1, timeout_ms=100)) for _ in range(10)))
    busy = not first.done()
    assert (await first).status_code == 200
    last = await client.post(LOOP, json=slow(1))

    assert busy
    for response, seconds in given_up:
        assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")
        assert seconds >= 0.1
    assert last.status_code == 200
    assert await runs(client) == before + 2


async def test_a_deadline_is_kept_although_redis_is_silent(start: StartDoor, frozen: RedisServer) -> None:
    client = await start(redis_url=frozen.url, redis_timeout_ms=5000)
    assert (await client.post(CHURN, json=KEYED)).status_code == 200

    frozen.pause()
    given_up = await asyncio.gather(*(timed(client, CHURN, KEYED | {"timeout_ms": 150}) for _ in range(10)))
    frozen.resume()
    after = await client.post(CHURN, json=KEYED)

    for response, seconds in given_up:
        assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")
        assert 0.15 <= seconds < 2.0
    assert after.status_code == 200
