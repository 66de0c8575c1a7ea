"""Every error that a request of predictions can meet, with its status, code and facts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from models.bundle import Bundle
from models.store import ModelStore
from server.rest.schemas import ErrorBody
from server.settings import ServerSettings
from tests.integration.conftest import BuildEngine
from tests.integration.rest import stock
from tests.integration.rest.conftest import ROADS, Client, StartDoor, on_one_server, opened
from tests.integration.rest.graphs import churn
from tests.integration.rest.refused import BODIES, REQUESTS, ROWS, Case
from tests.servers import RedisServer

CHURN = "/v1/models/churn/predict"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ROADS)
async def refusing(
    request: pytest.FixtureRequest, redis_binary: Path, built: BuildEngine
) -> AsyncIterator[Client]:
    """One API over a stocked Redis for every request that is refused: it changes nothing in either."""
    async with AsyncExitStack() as stack:
        server = RedisServer(redis_binary).start()
        stack.callback(server.close)
        async with Redis.from_url(server.url) as redis:
            await stock.fill(redis, ModelStore(redis))
        settings = ServerSettings(redis_url=server.url)
        yield await opened(stack, built(settings), settings, request.param)


@on_one_server
@pytest.mark.parametrize("case", [*ROWS, *REQUESTS], ids=lambda case: f"{case[3]}-{case[0][:20]}")
async def test_an_error_has_its_status_code_and_facts(refusing: Client, case: Case) -> None:
    model, body, status, code, facts = case

    response = await refusing.post(f"/v1/models/{model}/predict", json=body)

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert {name: error[name] for name in facts} == facts
    assert error["message"]
    ErrorBody.model_validate(response.json())


@on_one_server
@pytest.mark.parametrize(("body", "kind", "status", "code"), BODIES)
async def test_a_body_that_cannot_be_read_is_the_clients_fault(
    refusing: Client, body: bytes, kind: str, status: int, code: str
) -> None:
    response = await refusing.post(CHURN, content=body, headers={"content-type": kind})

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    ErrorBody.model_validate(response.json())


async def test_a_body_over_the_limit_is_413(start: StartDoor) -> None:
    client = await start(max_body_bytes=1024)

    response = await client.post(CHURN, json={"keys": ["customer:1"] * 200})

    assert response.status_code == 413
    assert response.json()["error"]["limit_bytes"] == 1024


@on_one_server
@pytest.mark.parametrize(
    "path", [CHURN, "/v1/models/churn/explain", "/v1/models/churn/jobs", "/v2/models/churn/infer"]
)
async def test_a_body_of_millions_of_objects_is_refused_unread(refusing: Client, path: str) -> None:
    body = b'{"instances": [%b]}' % b",".join([b"{}"] * 2_000_000)

    response = await refusing.post(path, content=body, headers={"content-type": "application/json"})

    assert response.status_code == 413
    assert "has 2000002 lists and objects" in response.text


async def test_a_body_of_no_stated_length_over_the_limit_is_413(start: StartDoor) -> None:
    client = await start(max_body_bytes=1024)

    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 100

    response = await client.post(CHURN, content=endless(), headers={"content-type": "application/json"})

    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


@on_one_server
@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "bad_request"),
        ("keys=customer:1", 400, "bad_request"),
        ("key=customer:1&missing=nan", 400, "bad_request"),
        ("key=customer:99", 404, "key_missing"),
        ("key=customer:1&timeout_ms=0.0001", 504, "deadline_exceeded"),
    ],
)
async def test_a_query_is_refused_in_the_same_words(
    refusing: Client, query: str, status: int, code: str
) -> None:
    response = await refusing.get(f"{CHURN}?{query}")

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@on_one_server
async def test_a_post_takes_no_query(refusing: Client) -> None:
    response = await refusing.post(f"{CHURN}?raw=true", json={"keys": ["customer:1"]})

    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")


@pytest.mark.usefixtures("stocked")
async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(start: StartDoor) -> None:
    client = await start(max_queue_rows=1, max_batch_rows=1)
    asked = [client.post(CHURN, json={"inputs": {"x": [[1, 2]]}}) for _ in range(64)]

    responses = await asyncio.gather(*asked)

    statuses = Counter(response.status_code for response in responses)
    assert set(statuses) == {200, 429}
    refused = next(response for response in responses if response.status_code == 429)
    assert refused.json()["error"]["code"] == "overloaded"
    assert int(refused.headers["retry-after"]) >= 1


async def test_an_altered_chunk_is_never_run(client: Client, redis: Redis, store: ModelStore) -> None:
    await store.publish(churn())
    await redis.setrange(store.keys.chunk("churn", 1, 0), 20, b"!!")

    response = await client.post(CHURN, json={"keys": ["customer:1"]})

    assert (response.status_code, response.json()["error"]["code"]) == (500, "bundle_corrupt")
    assert "SHA-256" in response.json()["error"]["reason"]


async def test_a_lost_chunk_is_named(client: Client, redis: Redis, store: ModelStore) -> None:
    await store.publish(churn())
    await redis.delete(store.keys.chunk("churn", 1, 0))

    response = await client.post(CHURN, json={"keys": ["customer:1"]})

    assert (response.status_code, response.json()["error"]["code"]) == (500, "bundle_corrupt")
    assert "chunk 0" in response.json()["error"]["reason"]


async def test_a_manifest_of_another_format_is_named(client: Client, redis: Redis, store: ModelStore) -> None:
    await store.publish(churn())
    await redis.set(store.keys.manifest("churn", 1), b'{"format": 99}')

    response = await client.post(CHURN, json={"keys": ["customer:1"]})

    assert (response.status_code, response.json()["error"]["code"]) == (500, "manifest_unreadable")


async def test_a_file_that_onnx_runtime_refuses_is_named(client: Client, store: ModelStore) -> None:
    await store.publish(Bundle(churn().manifest, b"no model at all"))

    response = await client.post(CHURN, json={"keys": ["customer:1"]})

    assert (response.status_code, response.json()["error"]["code"]) == (500, "model_not_loadable")


async def test_what_redis_refuses_is_told_as_its_word(
    client: Client, redis: Redis, store: ModelStore
) -> None:
    await store.publish(churn())
    await redis.delete(store.keys.aliases("churn"))
    await redis.set(store.keys.aliases("churn"), "not a hash")

    response = await client.post(CHURN, json={"keys": ["customer:1"]})

    assert (response.status_code, response.json()["error"]["code"]) == (502, "redis_refused")


@on_one_server
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/modls", 404, "path_not_found"),
        ("GET", "/v1/models/", 404, "path_not_found"),
        ("GET", "/nothing", 404, "path_not_found"),
        ("GET", "/console/nothing.js", 404, "path_not_found"),
        ("PATCH", "/v1/models", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/churn", 405, "method_not_allowed"),
        ("GET", "/v1/models?limit=0", 422, "bad_parameter"),
        ("GET", "/v1/models?limit=many", 422, "bad_parameter"),
    ],
)
async def test_the_router_speaks_as_the_rest(
    refusing: Client, method: str, path: str, status: int, code: str
) -> None:
    response = await refusing.request(method, path)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    ErrorBody.model_validate(response.json())


@on_one_server
async def test_a_path_nearly_right_is_told_the_right_one(refusing: Client) -> None:
    response = await refusing.get("/v1/modls")

    assert "did you mean /v1/models?" in response.json()["error"]["message"]


@on_one_server
async def test_a_parameter_out_of_bounds_is_told_with_its_value(refusing: Client) -> None:
    error = (await refusing.get("/v1/models?limit=5000")).json()["error"]

    assert (error["field"], error["value"]) == ("limit", "5000")
    assert "less than or equal to 1000" in error["message"]


@on_one_server
@pytest.mark.parametrize(
    ("method", "path", "told"),
    [
        ("GET", "/v1/models?limt=3", "parameter 'limt' is not known; did you mean 'limit'?"),
        ("GET", "/v1/models?page=3", "parameter 'page' is not known; there are limit, after"),
        ("GET", "/v1/models?limit=3&limit=4", "parameter 'limit' is given 2 times; give it once"),
        ("GET", "/v1/models/churn?full", "parameter 'full' is not known; there is limit"),
        ("GET", "/v1/models/churn/versions/1?x=1", "this path takes none"),
        ("GET", "/v1/models/churn/versions/1/card?fromat=json", "did you mean 'format'?"),
        ("GET", "/v1/jobs?state=running", "parameter 'state' is not known; there are limit, after"),
        ("GET", "/v1/jobs/nope?x=1", "this path takes none"),
        ("POST", "/v1/models/churn/jobs?job=mine", "parameter 'job' is not known; this path takes none"),
        ("PUT", "/v1/models/churn/aliases/canary?version=3", "this path takes none"),
        ("DELETE", "/v1/models/churn/versions/1?force=true", "this path takes none"),
    ],
)
async def test_a_parameter_that_a_path_does_not_take_is_refused(
    refusing: Client, method: str, path: str, told: str
) -> None:
    response = await refusing.request(method, path)

    assert (response.status_code, response.json()["error"]["code"]) == (422, "bad_parameter")
    assert told in response.json()["error"]["message"]
