"""How long a request may take, said by its header and by its body; on both roads."""

import asyncio
import time
from typing import Any

import pytest

from tests.integration.rest.conftest import Client, StartDoor
from tests.servers import RedisServer

PATH = "/v1/models/churn/predict"
KEYED = {"keys": ["customer:1"]}
HEADER = "X-Request-Timeout-Ms"
LONG = 60_000


@pytest.fixture
async def waiting(start: StartDoor, frozen: RedisServer) -> Client:
    """A server whose Redis is silent from now on."""
    client = await start(redis_url=frozen.url, redis_timeout_ms=10_000)
    assert (await client.post(PATH, json=KEYED)).status_code == 200
    frozen.pause()
    return client


@pytest.mark.parametrize(
    ("header", "body"),
    [("150", None), ("150.5", None), ("150", LONG), (str(LONG), 150), (None, 150)],
)
async def test_the_shorter_of_two_times_is_kept(
    waiting: Client, header: str | None, body: int | None
) -> None:
    said: dict[str, Any] = KEYED if body is None else KEYED | {"timeout_ms": body}
    at = time.monotonic()

    response = await waiting.post(PATH, json=said, headers={} if header is None else {HEADER: header})

    assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert 0.15 <= time.monotonic() - at < 5
    assert response.json()["error"]["seconds"] == pytest.approx(0.15, abs=0.001)


async def test_a_query_takes_the_header_too(waiting: Client) -> None:
    response = await waiting.get(PATH, params={"key": "customer:1"}, headers={HEADER: "150"})

    assert (response.status_code, response.json()["error"]["code"]) == (504, "deadline_exceeded")


async def test_each_request_of_a_moment_has_its_own_time(waiting: Client, frozen: RedisServer) -> None:
    impatient = [waiting.post(PATH, json=KEYED, headers={HEADER: "150"}) for _ in range(5)]
    patient = asyncio.gather(*(waiting.post(PATH, json=KEYED) for _ in range(5)))

    given_up = await asyncio.gather(*impatient)
    frozen.resume()

    assert {response.status_code for response in given_up} == {504}
    assert {response.status_code for response in await patient} == {200}


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize("header", [str(LONG), "1e3", "0", "-5", "soon", "", "nan", "inf", "9" * 30, "5,5"])
async def test_a_header_that_is_no_time_is_refused_by_name(client: Client, header: str) -> None:
    response = await client.post(PATH, json=KEYED, headers={HEADER: header})

    if header == str(LONG):
        assert response.status_code == 200
        return
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")
    assert response.json()["error"]["field"] == HEADER
    assert HEADER in response.json()["error"]["message"]
