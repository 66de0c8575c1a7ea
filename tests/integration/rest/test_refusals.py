"""Every error that a request of predictions can meet, with its status, code and facts."""

import asyncio
from collections import Counter
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from redis.asyncio import Redis

from models.bundle import Bundle
from models.composing import Wording, compose_bundle
from models.features import FeatureView
from models.store import ModelStore
from server.rest.schemas import ErrorBody
from tests.integration.rest.conftest import Client, StartDoor
from tests.integration.rest.graphs import CHURN_WEIGHTS, churn, embed, linear, price

CHURN = "/v1/models/churn/predict"
FIELDS = [{"name": "plan", "categories": ["free", "paid"]}, "spend"]


def view(**source: Any) -> FeatureView:
    return FeatureView.read({"inputs": [{"name": "x", "sources": [source]}]})


def viewed(name: str, **source: Any) -> Bundle:
    """Two columns read from one source."""
    return compose_bundle(linear(CHURN_WEIGHTS), name, Wording(features=view(**source)))


def gather() -> Bundle:
    """Row i of a table of three: a graph that fails at run time for any other i."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "i"], ["y"])],
        "gather",
        [helper.make_tensor_value_info("i", TensorProto.INT64, ["rows"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
        [numpy_helper.from_array(np.eye(3, 2, dtype=np.float32), "table")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return compose_bundle(model.SerializeToString(), "gather", Wording())


@pytest.fixture
async def stored(redis: Redis, store: ModelStore) -> None:
    """Models and keys, whole and broken."""
    for bundle in (
        churn(),
        price(),
        embed(),
        gather(),
        viewed("plans", key="customer:{id}", **{"as": "hash"}, fields=FIELDS),
        viewed(
            "fresh",
            key="customer:{id}",
            **{"as": "hash"},
            fields=["age", "spend"],
            time_field="at",
            max_age_seconds=60,
        ),
        viewed("documents", key="customer:{id}", **{"as": "json"}, fields=["age", "spend"]),
    ):
        await store.publish(bundle)
    for key, fields in {
        "customer:1": {"age": 40, "spend": 10, "plan": "paid", "at": 1000},
        "customer:young": {"age": 18},
        "customer:words": {"age": "old", "spend": 1, "plan": "gold"},
        "customer:nan": {"age": "nan", "spend": 1},
    }.items():
        await redis.hset(key, mapping=fields)  # type: ignore[arg-type]  # redis-py wants a wider mapping
    await redis.set("customer:text", "not a hash")
    await redis.set("flat:short", b"1234567")
    await redis.set("flat:1", b"12345678")


Case = tuple[str, dict[str, Any], int, str, dict[str, Any]]  # path, body, status, code, facts
ROWS: list[Case] = [
    ("churn", {"keys": ["customer:99"]}, 404, "key_missing", {"key": "customer:99"}),
    (
        "churn",
        {"keys": ["customer:young"]},
        404,
        "field_missing",
        {"key": "customer:young", "field": "spend"},
    ),
    ("churn", {"keys": ["order:1"]}, 422, "key_not_allowed", {"key": "order:1", "template": "customer:{id}"}),
    ("churn", {"keys": ["customer:1:notes"]}, 422, "key_not_allowed", {"template": "customer:{id}"}),
    ("churn", {"keys": ["insitu:{churn}:v1:manifest"]}, 422, "key_not_allowed", {}),
    ("churn", {"keys": [""]}, 422, "key_not_allowed", {"key": ""}),
    ("churn", {"keys": ["customer:text"]}, 422, "wrong_type", {"key": "customer:text"}),
    ("churn", {"keys": ["customer:words"]}, 422, "not_a_number", {"value": "old"}),
    ("churn", {"keys": ["customer:nan"]}, 422, "not_a_number", {"value": "nan"}),
    ("plans", {"keys": ["customer:words"]}, 422, "unknown_category", {"value": "gold"}),
    ("fresh", {"keys": ["customer:1"]}, 422, "stale", {"key": "customer:1", "max_age_seconds": 60.0}),
    ("price", {"instances": [{"id": "short", "month": 1}]}, 422, "wrong_length", {"key": "flat:short"}),
    ("price", {"instances": [{"id": "1"}]}, 422, "instance_incomplete", {}),
    ("price", {"instances": [{"month": 1}]}, 422, "instance_incomplete", {}),
    ("price", {"instances": [{"id": "a:b", "month": 1}]}, 422, "instance_incomplete", {}),
    ("price", {"keys": ["flat:short"]}, 422, "keys_not_enough", {"needed": ["month"]}),
    ("documents", {"keys": ["customer:1"]}, 501, "source_unsupported", {}),
    ("gather", {"inputs": {"i": [7]}}, 422, "run_failed", {"model": "gather", "version": 1}),
]
REQUESTS: list[Case] = [
    ("nope", {"keys": ["a"]}, 404, "model_not_found", {"model": "nope"}),
    ("no such", {"keys": ["a"]}, 422, "bad_name", {"value": "no such"}),
    ("churn/versions/9", {"keys": ["a"]}, 404, "version_not_found", {"version": 9, "known": [1]}),
    ("churn/versions/0", {"keys": ["a"]}, 404, "version_not_found", {"version": 0}),
    (
        "churn/versions/canary",
        {"keys": ["a"]},
        404,
        "alias_not_found",
        {"alias": "canary", "known": ["production"]},
    ),
    ("churn/versions/" + "9" * 30, {"keys": ["a"]}, 422, "bad_name", {}),
    ("nope/versions/1", {"keys": ["a"]}, 404, "model_not_found", {"model": "nope"}),
    ("churn", {"keys": []}, 400, "bad_request", {}),
    ("churn", {"instances": []}, 400, "bad_request", {}),
    ("churn", {"keys": ["a"], "instances": [{}]}, 400, "bad_request", {"given": ["keys", "instances"]}),
    ("churn", {}, 400, "bad_request", {"given": []}),
    ("churn", {"key": ["customer:1"]}, 400, "bad_request", {"field": "key"}),
    ("churn", {"keys": ["customer:1"] * 4097}, 413, "too_many_rows", {"rows": 4097, "limit": 4096}),
    ("churn", {"inputs": {"x": [[0, 0]] * 4097}}, 413, "too_many_rows", {"rows": 4097, "limit": 4096}),
    ("churn", {"inputs": {}}, 422, "bad_input", {}),
    ("churn", {"inputs": {"y": [[1, 2]]}}, 422, "bad_input", {}),
    ("churn", {"inputs": {"x": [[1, 2, 3]]}}, 422, "bad_input", {}),
    ("churn", {"inputs": {"x": [[1, 2], [3]]}}, 422, "bad_input", {}),
    ("churn", {"inputs": {"x": [["a", "b"]]}}, 422, "bad_input", {}),
    ("churn", {"inputs": {"x": [[1, None]]}}, 422, "bad_input", {}),
    ("churn", {"inputs": {"x": []}}, 422, "bad_input", {}),
    ("embed", {"keys": ["customer:1"]}, 422, "bad_feature_view", {}),
    ("churn", {"keys": ["customer:1"], "timeout_ms": 0.0001}, 504, "deadline_exceeded", {}),
]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("case", [*ROWS, *REQUESTS], ids=lambda case: f"{case[3]}-{case[0][:20]}")
async def test_an_error_has_its_status_code_and_facts(client: Client, case: Case) -> None:
    model, body, status, code, facts = case

    response = await client.post(f"/v1/models/{model}/predict", json=body)

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    assert {name: error[name] for name in facts} == facts
    assert error["message"]
    ErrorBody.model_validate(response.json())


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed_json"),
        (b"", "application/json", 400, "malformed_json"),
        (b'{"inputs": {"x": [[NaN, 1]]}}', "application/json", 400, "malformed_json"),
        (b'{"keys": ["a"], "keys": ["b"]}', "application/json", 400, "malformed_json"),
        (b'{"keys": ["\xff"]}', "application/json", 400, "malformed_json"),
        (b'{"inputs": {"x": ' + b"[" * 5000 + b"]" * 5000 + b"}}", "application/json", 400, "malformed_json"),
        (b'{"inputs": {"x": ' + b"[" * 900 + b"]" * 900 + b"}}", "application/json", 422, "bad_input"),
        (b'{"keys": ' + b"[" * 900 + b"]" * 900 + b"}", "application/json", 400, "bad_request"),
        (
            b'{"instances": [{"id": ' + b"[" * 900 + b"]" * 900 + b"}]}",
            "application/json",
            422,
            "instance_incomplete",
        ),
        (b'"keys"', "application/json", 400, "bad_request"),
        (b'{"keys": ["customer:1"]}', "text/plain", 415, "unsupported_media_type"),
        (b"keys=customer:1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ],
)
async def test_a_body_that_cannot_be_read_is_the_clients_fault(
    client: Client, body: bytes, kind: str, status: int, code: str
) -> None:
    response = await client.post(CHURN, content=body, headers={"content-type": kind})

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    ErrorBody.model_validate(response.json())


async def test_a_body_over_the_limit_is_413(start: StartDoor) -> None:
    client = await start(max_body_bytes=1024)

    response = await client.post(CHURN, json={"keys": ["customer:1"] * 200})

    assert response.status_code == 413
    assert response.json()["error"]["limit_bytes"] == 1024


async def test_a_body_of_no_stated_length_over_the_limit_is_413(start: StartDoor) -> None:
    client = await start(max_body_bytes=1024)

    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 100

    response = await client.post(CHURN, content=endless(), headers={"content-type": "application/json"})

    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.usefixtures("stored")
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
    client: Client, query: str, status: int, code: str
) -> None:
    response = await client.get(f"{CHURN}?{query}")

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


@pytest.mark.usefixtures("stored")
async def test_a_post_takes_no_query(client: Client) -> None:
    response = await client.post(f"{CHURN}?raw=true", json={"keys": ["customer:1"]})

    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")


@pytest.mark.usefixtures("stored")
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
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    ErrorBody.model_validate(response.json())


async def test_a_path_nearly_right_is_told_the_right_one(client: Client) -> None:
    response = await client.get("/v1/modls")

    assert "did you mean /v1/models?" in response.json()["error"]["message"]


async def test_a_parameter_out_of_bounds_is_told_with_its_value(client: Client) -> None:
    error = (await client.get("/v1/models?limit=5000")).json()["error"]

    assert (error["field"], error["value"]) == ("limit", "5000")
    assert "less than or equal to 1000" in error["message"]
