"""Inference as any HTTP client sends it: what is answered, and that every mistake is the client's."""

import asyncio
import gzip
import json
import zlib
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from tests.graphs import bundle, f32, looping, model, node, scaled, total, value
from tests.integration.rest.conftest import Client, StartDoor
from tests.integration.rest.graphs import churn, price
from tests.integration.rest.stock import fill
from tests.servers import RedisServer

INFER = "/v2/models/churn/infer"
X: dict[str, Any] = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [40, 10]}
LENGTH = "inference-header-content-length"
DEEP = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": %b1%b}]}'


def asked(**more: Any) -> dict[str, Any]:
    return {"inputs": [X], **more}


@pytest.fixture
async def churning(client: Client, store: ModelStore) -> Client:
    await store.publish(churn())
    return client


async def test_an_answer_is_json_unless_bytes_are_wanted(churning: Client) -> None:
    plain = await churning.post(INFER, json=asked(id="7"))
    binary = await churning.post(INFER, json=asked(parameters={"binary_data_output": True}))

    assert plain.headers["content-type"] == "application/json"
    assert LENGTH not in plain.headers
    assert plain.json() == {
        "model_name": "churn",
        "model_version": "1",
        "id": "7",
        "outputs": [
            {
                "name": "y",
                "datatype": "FP32",
                "shape": [1, 2],
                "data": pytest.approx([0.973403, 0.026597], abs=1e-6),
            }
        ],
    }
    assert binary.headers["content-type"] == "application/octet-stream"
    at = int(binary.headers[LENGTH])
    told = json.loads(binary.content[:at])["outputs"][0]
    assert told["parameters"] == {"binary_data_size": 8}
    assert "data" not in told
    assert np.frombuffer(binary.content[at:], "<f4").tolist() == pytest.approx(
        plain.json()["outputs"][0]["data"]
    )


async def test_the_bytes_of_the_only_input_are_a_request(churning: Client) -> None:
    rows = np.array([[40, 10], [23, 48]], "<f4")

    response = await churning.post(INFER, content=rows.tobytes(), headers={LENGTH: "0"})

    at = int(response.headers[LENGTH])
    assert json.loads(response.content[:at])["outputs"][0]["shape"] == [2, 2]
    assert np.frombuffer(response.content[at:], "<f4")[0] == pytest.approx(0.973403)


async def test_rows_of_several_versions_keep_to_one(churning: Client, store: ModelStore) -> None:
    await store.publish(churn())

    response = await churning.post("/v2/models/churn/versions/01/infer", json=asked())

    assert response.json()["model_version"] == "1"


async def test_absent_values_are_stood_in_for_and_named(churning: Client, redis: Redis) -> None:
    await redis.hset("customer:young", mapping={"age": 18})
    rows = {"name": "id", "shape": [1], "datatype": "BYTES", "data": ["young"]}

    refused = await churning.post(INFER, json={"inputs": [rows]})
    filled = await churning.post(INFER, json={"inputs": [rows], "parameters": {"missing": 30}})

    assert (refused.status_code, refused.json()["error"][:41]) == (
        400,
        "key 'customer:young' has no field 'spend'",
    )
    assert filled.json()["parameters"] == {"filled": "spend"}


async def test_inline_fields_are_inputs_beside_the_keys(
    client: Client, store: ModelStore, redis: Redis
) -> None:
    await store.publish(price())
    await redis.set("flat:1", np.array([1, 2], "<f4").tobytes())
    rows = [
        {"name": "id", "shape": [2, 1], "datatype": "INT64", "data": [1, 1]},
        {"name": "month", "shape": [2], "datatype": "FP32", "data": [6, 7]},
    ]

    response = await client.post("/v2/models/price/infer", json={"inputs": rows})

    assert response.json()["outputs"][0]["data"] == [126, 127]


async def test_what_has_no_rows_is_answered_whole(client: Client, store: ModelStore) -> None:
    await store.publish(bundle(total(), "total"))

    response = await client.post("/v2/models/total/infer", json=asked())

    assert response.json()["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [], "data": [50]}]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_is_bounded_by_what_it_becomes(
    start: StartDoor, store: ModelStore, encoding: str
) -> None:
    await store.publish(churn())
    client = await start(max_body_bytes=1 << 16)
    pack = gzip.compress if encoding == "gzip" else zlib.compress
    text = json.dumps(asked()).encode()
    headers = {"content-encoding": encoding}

    fits = await client.post(INFER, content=pack(text.ljust(1 << 16)), headers=headers)
    bursts = await client.post(INFER, content=pack(text.ljust((1 << 16) + 1)), headers=headers)
    bomb = await client.post(INFER, content=pack(b" " * (48 << 20)), headers=headers)

    assert (fits.status_code, bursts.status_code, bomb.status_code) == (200, 413, 413)
    assert "limit is 65536" in bursts.json()["error"]


async def test_a_large_answer_is_compressed_for_whoever_takes_that(churning: Client) -> None:
    many = {"name": "x", "shape": [4000, 2], "datatype": "FP32", "data": [1] * 8000}

    plain = await churning.post(INFER, json={"inputs": [many]}, headers={"accept-encoding": "br"})
    packed = await churning.post(INFER, json={"inputs": [many]}, headers={"accept-encoding": "gzip"})
    small = await churning.post(INFER, json=asked(), headers={"accept-encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "Accept-Encoding")
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 10
    assert "content-encoding" not in small.headers
    assert packed.json() == plain.json()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"inputs": [X | {"name": "z"}]}, "no input 'z'"),
    ({"inputs": [X | {"datatype": "INT64"}]}, "input 'x' is INT64, the model takes FP32"),
    ({"inputs": [X | {"shape": [2]}]}, "input 'x' has shape [2], the model takes [rows, 2]"),
    ({"inputs": [X | {"shape": [1, 2, 1]}]}, "input 'x' has shape [1, 2, 1]"),
    ({"inputs": [X | {"shape": [0, 2], "data": []}]}, "no rows"),
    ({"inputs": [X | {"shape": [2**40, 4]}]}, "more elements than any request carries"),
    ({"inputs": [X | {"shape": [4097, 2], "data": [0] * 8194}]}, "4097 rows, the limit is 4096"),
    ({"inputs": [X, X]}, "input 'x' is given twice"),
    (asked(outputs=[{"name": "z"}]), "no output 'z'"),
    (asked(outputs=[{"name": "y"}, {"name": "y"}]), "output 'y' is asked for twice"),
    ({"inputs": [{"name": "id", "shape": [1], "datatype": "BYTES", "data": ["99"]}]}, "'customer:99' is not in Redis"),
    ({"inputs": [{"name": "id", "shape": [1], "datatype": "FP32", "data": [1]}]}, "BYTES or a whole number"),
    ({"inputs": [{"name": "id", "shape": [1, 2], "datatype": "BYTES", "data": ["1", "2"]}]}, "one value each"),
    ({"inputs": [{"name": "id", "shape": [0], "datatype": "BYTES", "data": []}]}, "no rows"),
    ({"inputs": [{"name": "id", "shape": [], "datatype": "BYTES", "data": ["1"]}]}, "one value each"),
    ({"inputs": [{"name": "id", "shape": [1], "datatype": "BYTES", "data": ["a:b"]}]}, "a:b"),
    (asked(parameters={"missing": "x"}), "'missing'"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "told"), REFUSED)
async def test_every_mistake_is_400_and_named(churning: Client, body: dict[str, Any], told: str) -> None:
    if "missing" in told:
        body = body | {"inputs": [{"name": "id", "shape": [1], "datatype": "BYTES", "data": ["1"]}]}

    response = await churning.post(INFER, json=body)

    assert (response.status_code, list(response.json())) == (400, ["error"])
    assert told in response.json()["error"]


BROKEN: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"", {}, 400, "the body is empty"),
    (b"{", {}, 400, "no JSON"),
    (b"\xff", {}, 400, "no JSON"),
    (DEEP % (b"[" * 900, b"]" * 900), {}, 400, "input 'x'"),
    (DEEP % (b"[" * 5000, b"]" * 5000), {}, 400, "no JSON"),
    (b"{}", {LENGTH: "3"}, 400, "is 3, the body has 2 bytes"),
    (b"{}", {LENGTH: "-1"}, 400, "it is the length of the JSON"),
    (b"{}", {LENGTH: "9" * 40}, 400, "it is the length of the JSON"),
    (b"{}ab", {LENGTH: "2"}, 400, "no inputs"),
    (b"abc", {LENGTH: "0"}, 400, "input 'x' has 3 bytes"),
    (b"", {LENGTH: "0"}, 400, "no rows"),
    (b"{}", {"content-encoding": "gzip"}, 400, "no gzip"),
    (b"{}", {"content-encoding": "br"}, 415, "gzip, deflate"),
    (json.dumps(asked()).encode(), {"x-request-timeout-ms": "soon"}, 400, "X-Request-Timeout-Ms"),
    (json.dumps(asked()).encode(), {"x-request-timeout-ms": "0.0001"}, 504, "not answered within"),
    (json.dumps(asked(parameters={"timeout": 1})).encode(), {}, 504, "not answered within"),
]


@pytest.mark.parametrize(("body", "headers", "status", "told"), BROKEN)
async def test_a_broken_body_is_told_what_is_wrong(
    churning: Client, body: bytes, headers: dict[str, str], status: int, told: str
) -> None:
    await churning.post(INFER, json=asked())

    response = await churning.post(INFER, content=body, headers=headers)

    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert told in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("POST", "/v2/models/nope/infer", 404, "'nope' is not stored"),
        ("POST", "/v2/models/churn/versions/9/infer", 404, "no version 9"),
        ("POST", "/v2/models/churn/versions/blue/infer", 404, "no alias 'blue'"),
        ("POST", "/v2/models/no such/infer", 400, "not a valid name"),
        ("GET", "/v2/models/churn/infer", 405, "GET is not for"),
        ("DELETE", "/v2/models/churn", 405, "DELETE is not for"),
        ("GET", "/v2/nothing", 404, "nothing is at /v2/nothing"),
        ("GET", "/v2/", 404, "nothing is at /v2/"),
    ],
)
async def test_an_error_under_v2_is_a_text_wherever_it_comes_from(
    churning: Client, method: str, path: str, status: int, told: str
) -> None:
    response = await churning.request(method, path, json=asked() if method == "POST" else None)

    assert (response.status_code, list(response.json())) == (status, ["error"])
    assert told in response.json()["error"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v2/trace/setting", "GET, HEAD, POST"),
        ("PUT", "/v2/models/churn/trace/setting", "GET, HEAD, POST"),
        ("DELETE", "/v2/logging", "GET, HEAD, POST"),
        ("PUT", "/v1/models/churn/predict", "GET, HEAD, POST"),
        ("GET", "/v2/models/churn/infer", "POST"),
        ("POST", "/v2/models/churn", "GET, HEAD"),
        ("POST", "/docs", "GET, HEAD"),
    ],
)
async def test_405_names_every_method_of_a_path(
    churning: Client, method: str, path: str, allowed: str
) -> None:
    response = await churning.request(method, path)

    assert (response.status_code, response.headers["allow"]) == (405, allowed)
    assert f"allowed: {allowed}" in response.text


async def test_a_body_over_the_bound_is_413_in_the_words_of_the_protocol(start: StartDoor) -> None:
    client = await start(max_body_bytes=1024)

    response = await client.post(INFER, content=b" " * 1025)

    assert response.status_code == 413
    assert "the limit is 1024" in response.json()["error"]


async def test_a_full_queue_is_429(start: StartDoor, store: ModelStore) -> None:
    await store.publish(bundle(looping(), "slow"))
    client = await start(max_queue_rows=1, max_batch_rows=1)
    x = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}
    turns = {"name": "turns", "shape": [1], "datatype": "INT64", "data": [200_000]}

    asked_at_once = [client.post("/v2/models/slow/infer", json={"inputs": [x, turns]}) for _ in range(8)]
    responses = await asyncio.gather(*asked_at_once)

    refused = [one for one in responses if one.status_code == 429]
    assert {one.status_code for one in responses} == {200, 429}
    assert {tuple(one.json()) for one in refused} == {("error",)}
    assert all(one.headers["retry-after"] for one in refused)


async def test_while_redis_is_away_keys_are_503_and_tensors_are_answered(
    redis_server: Any, start: StartDoor
) -> None:
    server: RedisServer = redis_server()
    async with Redis.from_url(server.url) as redis:
        await fill(redis, ModelStore(redis))
    client = await start(redis_url=server.url)
    await client.post(INFER, json=asked())
    server.kill()
    rows = {"name": "id", "shape": [1], "datatype": "BYTES", "data": ["1"]}

    by_key = await client.post(INFER, json={"inputs": [rows]})
    unknown = await client.post("/v2/models/nope/infer", json=asked())
    by_tensor = await client.post(INFER, json=asked())
    described = await client.get("/v2/models/churn")

    assert (by_key.status_code, unknown.status_code) == (503, 503)
    assert "Redis does not answer" in by_key.json()["error"]
    assert by_tensor.status_code == 200
    assert described.json()["versions"] == ["1"]


async def test_numbers_that_a_graph_makes_of_nothing_are_null_in_json(
    client: Client, store: ModelStore
) -> None:
    await store.publish(bundle(scaled(float("inf")), "endless"))

    response = await client.post("/v2/models/endless/infer", json={"inputs": [X | {"data": [0, 1]}]})

    assert response.json()["outputs"][0]["data"] == [None, None]


async def test_a_traffic_rule_shares_requests_out_and_rows_of_one_stay_together(
    client: Client, store: ModelStore, redis: Redis
) -> None:
    for _ in range(2):
        await store.publish(churn())
    await store.set_traffic("churn", {1: 50, 2: 50})
    for row in range(40):
        await redis.hset(f"customer:{row}", mapping={"age": row, "spend": 1})

    def rows(*ids: int) -> dict[str, Any]:
        keys = [str(one) for one in ids]
        return {"inputs": [{"name": "id", "shape": [len(keys)], "datatype": "BYTES", "data": keys}]}

    each = [(await client.post(INFER, json=rows(row))).json()["model_version"] for row in range(40)]
    again = [(await client.post(INFER, json=rows(row))).json()["model_version"] for row in range(40)]
    together = await client.post(INFER, json=rows(*range(40)))

    assert set(each) == {"1", "2"}
    assert each == again
    assert together.json()["outputs"][0]["shape"] == [40, 2]
    assert together.json()["model_version"] in {"1", "2"}


async def test_an_output_of_one_version_under_a_traffic_rule_is_answered_by_it_or_refused(
    client: Client, store: ModelStore
) -> None:
    doubled = model(
        [node("Mul", "x f", "z")], [value("x", ["rows", 2])], [value("z", ["rows", 2])], {"f": f32(2.0)}
    )
    await store.publish(bundle(scaled(), "m"))
    await store.publish(bundle(doubled, "m"))
    await store.set_traffic("m", {1: 50, 2: 50})

    found = set()
    for _ in range(30):
        response = await client.post("/v2/models/m/infer", json=asked(outputs=[{"name": "y"}]))
        found.add((response.status_code, "no output" in response.text))

    assert found <= {(200, False), (400, True)}
