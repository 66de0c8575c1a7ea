"""Traffic rules over HTTP: set, shown and ended; everything that is no rule is refused by name."""

from typing import Any

import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from server.rest.schemas import ModelDetail, TrafficAnswer, VersionDetail
from tests.integration.rest.conftest import Client
from tests.integration.rest.graphs import churn

PATH = "/v1/models/churn/traffic"


@pytest.fixture(autouse=True)
async def stored(store: ModelStore) -> None:
    for _ in range(3):
        await store.publish(churn(), alias=None)
    await store.promote("churn", 1)


async def refused(client: Client, weights: Any) -> dict[str, Any]:
    answer = await client.put(PATH, json={"weights": weights})
    assert answer.status_code >= 400
    error: dict[str, Any] = answer.json()["error"]
    return {"status": answer.status_code, **error}


async def test_a_rule_is_set_shown_and_ended(client: Client, store: ModelStore) -> None:
    put = await client.put(PATH, json={"weights": {"2": 1, "1": 3}})
    shown = await client.get(PATH)
    ended = await client.delete(PATH)
    gone = await client.get(PATH)

    rule = {"model": "churn", "weights": {"1": 3, "2": 1}, "percent": {"1": 75.0, "2": 25.0}}
    assert (put.status_code, put.json()) == (shown.status_code, shown.json()) == (200, rule)
    TrafficAnswer.model_validate(shown.json())
    assert (ended.status_code, ended.content) == (204, b"")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "traffic_not_found")
    assert await store.traffic("churn") is None


async def test_the_rule_is_in_the_list_of_models_and_in_each_version(client: Client) -> None:
    await client.put(PATH, json={"weights": {"1": 95, "2": 5}})

    (listed,) = (await client.get("/v1/models")).json()["models"]
    shown = (await client.get("/v1/models/churn")).json()
    versions = [(await client.get(f"/v1/models/churn/versions/{number}")).json() for number in (1, 2, 3)]

    assert listed["traffic"] == shown["traffic"] == {"1": 95.0, "2": 5.0}
    assert [one["traffic"] for one in shown["history"]] == [None, 5.0, 95.0]
    assert [one["traffic"] for one in versions] == [95.0, 5.0, None]
    ModelDetail.model_validate(shown)
    VersionDetail.model_validate(versions[0])


@pytest.mark.parametrize(
    ("weights", "status", "code", "told"),
    [
        ({"1": 90, "9": 10}, 404, "version_not_found", "no version 9; stored versions: 1, 2, 3"),
        ({"1": "95"}, 422, "bad_traffic", "version 1 the weight 95, which is no number"),
        ({"1": None}, 422, "bad_traffic", "version 1 the weight None, which is no number"),
        ({"1": True}, 422, "bad_traffic", "which is no number"),
        ({"1": 95, "2": 0}, 422, "bad_traffic", "version 2 the weight 0; a weight is over 0"),
        ({"1": -1}, 422, "bad_traffic", "a weight is over 0"),
        ({"1": 1e9}, 422, "bad_traffic", "a weight is 0.001 to 1,000,000"),
        ({"canary": 5}, 422, "bad_traffic", "names 'canary', which is no version number"),
        ({}, 422, "bad_traffic", "names 0 versions; give 1 to 8"),
        ({str(one): 1 for one in range(1, 10)}, 422, "bad_traffic", "names 9 versions; give 1 to 8"),
        ([1, 2], 422, "bad_traffic", "is [1, 2]; give versions and their weights"),
        (None, 422, "bad_traffic", "is None; give versions and their weights"),
    ],
)
async def test_what_is_no_rule_is_refused(
    client: Client, weights: Any, status: int, code: str, told: str
) -> None:
    error = await refused(client, weights)

    assert (error["status"], error["code"]) == (status, code)
    assert told in error["message"]
    assert (await client.get(PATH)).status_code == 404


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ('{"1": 95, "2": 5}', "bad_parameter", 'send {"weights": {"3": 95, "4": 5}}'),
        ("[]", "bad_parameter", 'send {"weights"'),
        ('{"weights": {"1": 1}, "sticky": true}', "bad_parameter", "sticky"),
        ('{"weights": {"1": 1}, "weights": {"2": 1}}', "malformed_json", "'weights' twice"),
        ('{"weights": {"1": 1, "1": 9}}', "malformed_json", "'1' twice"),
        ("{", "malformed_json", "the body is no JSON"),
        ("", "malformed_json", "the body is empty"),
    ],
)
async def test_a_body_of_another_form_is_refused(client: Client, body: str, code: str, told: str) -> None:
    answer = await client.put(PATH, content=body, headers={"content-type": "application/json"})

    assert answer.json()["error"]["code"] == code
    assert told in answer.json()["error"]["message"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_model_that_is_not_stored_is_named(client: Client, method: str) -> None:
    body = {"weights": {"1": 1}} if method == "PUT" else None

    missing = await client.request(method, "/v1/models/nope/traffic", json=body)
    odd = await client.request(method, "/v1/models/n%20o/traffic", json=body)

    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
    assert (odd.status_code, odd.json()["error"]["code"]) == (422, "bad_name")


async def test_promoting_over_http_ends_the_rule(client: Client) -> None:
    await client.put(PATH, json={"weights": {"1": 95, "2": 5}})

    await client.put("/v1/models/churn/aliases/production", json={"version": 2})

    assert (await client.get(PATH)).status_code == 404


async def test_a_version_with_traffic_is_not_deleted(client: Client) -> None:
    await client.put(PATH, json={"weights": {"1": 95, "2": 5}})

    answer = await client.delete("/v1/models/churn/versions/2")

    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "version_in_use"
    assert answer.json()["error"]["traffic"] is True


async def test_a_rule_that_others_damaged_is_told_and_hides_no_model(client: Client, redis: Redis) -> None:
    await redis.hset("insitu:{churn}", "traffic", "95/5")

    shown, listed = await client.get(PATH), await client.get("/v1/models")

    assert (shown.status_code, shown.json()["error"]["code"]) == (422, "bad_traffic")
    assert listed.json()["models"][0]["traffic"] is None
