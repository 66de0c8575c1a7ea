"""Tokens over HTTP: which route asks for which, and what an answer without one is."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from hashlib import sha256

import pytest
import pytest_asyncio

from server.settings import ServerSettings
from tests.integration.conftest import BuildEngine
from tests.integration.rest.conftest import ROADS, Client, on_one_server, opened
from tests.servers import RedisServer

READER, OWNER = "reader-token", "owner-token"
OPEN = [
    "/health/live",
    "/health/ready",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/",
    "/docs",
    "/openapi.json",
    "/console/console.js",
]
PREDICT = [
    ("POST", "/v1/models/m/predict"),
    ("GET", "/v1/models/m/predict"),
    ("POST", "/v1/models/m/versions/1/predict"),
    ("GET", "/v1/models/m/versions/1/predict"),
    ("POST", "/v1/models/m/explain"),
    ("GET", "/v1/models/m/explain"),
    ("POST", "/v1/models/m/versions/1/explain"),
    ("GET", "/v1/models/m/versions/1/explain"),
    ("GET", "/v1/models/m/versions/1/card"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/m"),
    ("GET", "/v1/models/m/versions/1"),
    ("GET", "/v1/models/m/traffic"),
    ("GET", "/v1/jobs"),
    ("GET", "/v1/jobs/j"),
    ("GET", "/v1/jobs/j/events"),
    ("GET", "/metrics"),
]
ADMIN = [
    ("POST", "/v1/models/m/versions"),
    ("PUT", "/v1/models/m/aliases/production"),
    ("POST", "/v1/models/m/aliases/production/rollback"),
    ("DELETE", "/v1/models/m/aliases/production"),
    ("DELETE", "/v1/models/m/versions/1"),
    ("PUT", "/v1/models/m/traffic"),
    ("DELETE", "/v1/models/m/traffic"),
    ("POST", "/v1/models/m/jobs"),
    ("DELETE", "/v1/jobs/j"),
]


PROTOCOL = [
    ("GET", "/v2/models/m"),
    ("GET", "/v2/models/m/versions/1"),
    ("GET", "/v2/models/m/ready"),
    ("GET", "/v2/models/m/versions/1/ready"),
    ("GET", "/v2/models/m/config"),
    ("GET", "/v2/models/m/versions/1/config"),
    ("POST", "/v2/models/m/infer"),
    ("POST", "/v2/models/m/versions/1/infer"),
    ("GET", "/v2/models/stats"),
    ("GET", "/v2/models/m/stats"),
    ("GET", "/v2/models/m/versions/1/stats"),
    ("POST", "/v2/repository/index"),
    ("GET", "/v2/trace/setting"),
    ("GET", "/v2/models/m/trace/setting"),
    ("GET", "/v2/logging"),
    ("GET", "/v2/systemsharedmemory/status"),
    ("POST", "/v2/cudasharedmemory/region/r/register"),
]
PROTOCOL_ADMIN = [
    ("POST", "/v2/repository/models/m/load"),
    ("POST", "/v2/repository/models/m/unload"),
    ("POST", "/v2/trace/setting"),
    ("POST", "/v2/models/m/trace/setting"),
    ("POST", "/v2/logging"),
]


def digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ROADS)
async def locked(
    request: pytest.FixtureRequest, shared_server: RedisServer, built: BuildEngine
) -> AsyncIterator[Client]:
    """One API for every test here: who may ask is told by the settings alone, and no model is stored."""
    tokens = f"predict:{digest(READER)},admin:{digest(OWNER)}"
    settings = ServerSettings(redis_url=shared_server.url, tokens=tokens)
    with shared_server.connect() as redis:
        redis.flushall()
    async with AsyncExitStack() as stack:
        yield await opened(stack, built(settings), settings, request.param)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@on_one_server
@pytest.mark.parametrize("path", OPEN)
async def test_pages_and_health_are_open(locked: Client, path: str) -> None:
    assert (await locked.get(path)).status_code == 200


@on_one_server
@pytest.mark.parametrize(("method", "path"), PREDICT + ADMIN)
async def test_everything_else_asks_for_a_token(locked: Client, method: str, path: str) -> None:
    response = await locked.request(method, path)

    assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorized")
    assert response.headers["www-authenticate"] == 'Bearer realm="insitu"'


@on_one_server
@pytest.mark.parametrize(("method", "path"), PREDICT + ADMIN)
async def test_an_unknown_token_is_told_so(locked: Client, method: str, path: str) -> None:
    response = await locked.request(method, path, headers=bearer("guess"))

    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


@on_one_server
@pytest.mark.parametrize(("method", "path"), PREDICT)
@pytest.mark.parametrize("token", [READER, OWNER])
async def test_either_token_may_look_and_predict(locked: Client, method: str, path: str, token: str) -> None:
    assert (await locked.request(method, path, headers=bearer(token))).status_code not in (401, 403)


@on_one_server
@pytest.mark.parametrize(("method", "path"), ADMIN)
async def test_only_an_admin_may_change_models(locked: Client, method: str, path: str) -> None:
    refused = await locked.request(method, path, headers=bearer(READER))
    passed = await locked.request(method, path, headers=bearer(OWNER))

    assert (refused.status_code, refused.json()["error"]["needed"]) == (403, "admin")
    assert passed.status_code not in (401, 403)


@on_one_server
@pytest.mark.parametrize(("method", "path"), PROTOCOL + PROTOCOL_ADMIN)
async def test_the_protocol_asks_for_the_same_tokens(locked: Client, method: str, path: str) -> None:
    nobody = await locked.request(method, path)
    reader = await locked.request(method, path, headers=bearer(READER))
    owner = await locked.request(method, path, headers=bearer(OWNER))

    assert nobody.status_code == 401
    assert nobody.json() == {"error": "this needs a bearer token; send `Authorization: Bearer TOKEN`"}
    assert (reader.status_code == 403) == ((method, path) in PROTOCOL_ADMIN)
    assert owner.status_code not in (401, 403)


@on_one_server
async def test_a_token_is_asked_for_before_the_body_is_read(locked: Client) -> None:
    response = await locked.post(
        "/v1/models/m/predict", content=b"{", headers={"content-type": "application/json"}
    )

    assert response.status_code == 401


async def test_a_page_of_another_origin_may_not_publish(client: Client) -> None:
    response = await client.post(
        "/v1/models/m/versions", files={"model": b"x"}, headers={"origin": "https://evil.example"}
    )

    assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")


async def test_a_server_open_to_its_machine_answers_to_no_other_name(client: Client) -> None:
    response = await client.get("/v1/models", headers={"host": "evil.example:8000"})

    assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden")
