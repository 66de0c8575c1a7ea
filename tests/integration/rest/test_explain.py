"""POST and GET .../explain over HTTP."""

from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from server.rest.explanations import ExplainAnswer
from tests.graphs import bundle, dense
from tests.integration.rest import stock
from tests.integration.rest.conftest import Client, StartDoor
from tests.integration.rest.graphs import churn

CARD = {"reference": {"of": "median of 890 training rows", "inputs": {"x": [[35.0, 30.0]]}}}
PATH = "/v1/models/churn/explain"


@pytest.fixture
async def explained(client: Client, redis: Redis, store: ModelStore) -> Client:
    await store.publish(churn(card=CARD))
    await redis.hset("customer:1", mapping={"age": 40, "spend": 12.5})
    await redis.hset("customer:3", mapping={"age": 35})
    return client


def only(answer: Any) -> Any:
    (row,) = answer.json()["explanations"]
    return row


async def test_a_key_is_explained(explained: Client) -> None:
    answer = await explained.post(PATH, json={"keys": ["customer:1"]})

    assert answer.status_code == 200
    assert ExplainAnswer.model_validate(answer.json()).model == "churn"
    row = only(answer)
    assert (row["key"], row["label"], row["method"]) == ("customer:1", "stays", "exact")
    assert row["reference"] == "median of 890 training rows"
    assert [(one["feature"], one["value"], one["reference"]) for one in row["contributions"]] == [
        ("spend", 12.5, 30.0),
        ("age", 40.0, 35.0),
    ]
    total = sum(one["contribution"] for one in row["contributions"])
    assert abs(total - (row["prediction"] - row["baseline"])) == pytest.approx(row["sum_error"], abs=1e-15)
    predicted = (await explained.get("/v1/models/churn/predict?key=customer:1")).json()["predictions"][0]
    assert row["prediction"] == predicted["probabilities"]["stays"]


@pytest.mark.parametrize("path", [PATH, "/v1/models/churn/versions/1/explain"])
async def test_a_query_says_the_same_as_a_body(explained: Client, path: str) -> None:
    wish = {"label": "leaves", "samples": 128, "seed": 3}

    posted = await explained.post(path, json={"keys": ["customer:1", "customer:3"], "missing": 9, **wish})
    query = "?key=customer:1&key=customer:3&missing=9&label=leaves&samples=128&seed=3"
    queried = await explained.get(path + query)

    assert posted.status_code == 200
    assert queried.json() == posted.json()
    assert posted.json()["explanations"][1]["filled"] == ["spend"]
    assert posted.json()["explanations"][0]["label"] == "leaves"


async def test_a_row_that_fails_carries_its_error_and_an_only_one_is_the_status(explained: Client) -> None:
    both = await explained.get(f"{PATH}?key=customer:1&key=customer:3")
    alone = await explained.get(f"{PATH}?key=customer:3")

    assert both.status_code == 200
    assert both.json()["explanations"][1]["error"]["code"] == "field_missing"
    assert (alone.status_code, alone.json()["error"]["code"]) == (404, "field_missing")


async def test_a_request_may_bring_the_rows_to_compare_with(explained: Client) -> None:
    answer = await explained.post(
        PATH, json={"inputs": {"x": [[40, 12.5]]}, "output": "y", "element": 1, "reference": {"x": [[0, 0]]}}
    )

    row = only(answer)
    assert (row["reference"], row["output"], row["element"]) == ("the request", "y", 1)
    assert row["baseline"] == 0.5
    assert "label" not in row


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ([], 400, "the body is a list"),
        ({"keys": ["customer:1"], "sampels": 3}, 400, "did you mean 'samples'?"),
        ({"keys": ["customer:1"], "raw": True}, 400, "field 'raw' is not known"),
        ({}, 400, "say the rows with exactly one of keys, instances, inputs"),
        ({"keys": ["customer:1"], "samples": "many"}, 400, "samples is a text, 'many'; send a whole number"),
        ({"keys": ["customer:1"], "samples": True}, 400, "samples is a truth value"),
        ({"keys": ["customer:1"], "samples": 3}, 400, "samples is 3; send a whole number of 64 to 16384"),
        ({"keys": ["customer:1"], "seed": -1}, 400, "seed is -1"),
        ({"keys": ["customer:1"], "label": 1}, 400, "label is a number, 1; send a text"),
        ({"keys": ["customer:1"], "label": "stay"}, 400, "did you mean 'stays'?"),
        ({"keys": ["customer:1"], "reference": [[0, 0]]}, 400, "reference is a list; send an object"),
        ({"keys": ["customer:1"], "reference": {"x": [[0, 0, 0]]}}, 422, "reference 'x' has rows of shape"),
        ({"keys": ["customer:1"], "timeout_ms": 0}, 400, "timeout_ms"),
        ({"keys": ["customer:1"] * 65}, 413, "65 rows, the limit is 64"),
        ({"keys": ["order:1"]}, 422, "does not match"),
    ],
)
async def test_what_cannot_be_explained_is_refused_by_name(
    explained: Client, body: Any, status: int, told: str
) -> None:
    answer = await explained.post(PATH, json=body)

    assert answer.status_code == status, answer.text
    assert told in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "names no key"),
        ("?key=customer:1&samples=x", "parameter 'samples' is 'x', which is no number"),
        ("?key=customer:1&samples=64.5", "samples is a number, 64.5; send a whole number"),
        ("?key=customer:1&seed=1&seed=2", "parameter 'seed' is given 2 times"),
        ("?key=customer:1&raw=true", "parameter 'raw' is not known"),
    ],
)
async def test_a_query_that_cannot_be_meant_is_refused(explained: Client, query: str, told: str) -> None:
    answer = await explained.get(PATH + query)

    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


async def test_a_post_takes_no_query(explained: Client) -> None:
    answer = await explained.post(f"{PATH}?seed=1", json={"keys": ["customer:1"]})

    assert answer.status_code == 400


async def test_what_is_refused_is_counted(explained: Client) -> None:
    await explained.get(f"{PATH}?key=customer:3")
    await explained.get(f"{PATH}?key=customer:1&label=stay")
    await explained.get("/v1/models/chrun/explain?key=customer:1")

    told = (await explained.get("/metrics")).text

    assert 'insitu_errors_total{model="churn",version="1",code="field_missing"} 1' in told
    assert 'insitu_errors_total{model="churn",version="",code="bad_request"} 1' in told
    assert 'insitu_errors_total{model="unknown",version="",code="model_not_found"} 1' in told


async def test_models_whole_and_broken_are_explained_or_say_why(
    start: StartDoor, redis: Redis, store: ModelStore
) -> None:
    """Every ready view kind answers, and what is wrong with it has a name."""
    await stock.fill(redis, store)
    client = await start()

    answers = {
        name: await client.get(f"/v1/models/{name}/explain?{query}")
        for name, query in {
            "plans": "key=customer:1&element=0",
            "fresh": "key=customer:1",
            "embed": "key=customer:1",
            "gather": "key=customer:1",
        }.items()
    }

    codes = {name: answer.json().get("error", {}).get("code") for name, answer in answers.items()}
    assert codes == {
        "plans": None,
        "fresh": "stale",
        "embed": "bad_feature_view",
        "gather": "bad_feature_view",
    }
    plan = {one["feature"]: one["value"] for one in only(answers["plans"])["contributions"]}
    assert plan == {"plan": "paid", "spend": 10.0}


async def test_a_token_of_scope_predict_explains_and_none_does_not(
    start: StartDoor, store: ModelStore, redis: Redis
) -> None:
    await store.publish(churn(card=CARD))
    await redis.hset("customer:1", mapping={"age": 40, "spend": 12.5})
    client = await start(tokens=f"predict:{sha256(b'secret').hexdigest()}")

    without = await client.get(f"{PATH}?key=customer:1")
    given = await client.get(f"{PATH}?key=customer:1", headers={"Authorization": "Bearer secret"})

    assert (without.status_code, given.status_code) == (401, 200)


async def test_the_caller_is_told_the_name_of_a_private_field_and_the_log_is_not(
    start: StartDoor, store: ModelStore, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Who sends a key must know which of its fields to mend; what is kept or shown to others has aliases."""
    caplog.set_level("DEBUG")
    fields = ["age", {"name": "income", "private": True}]
    view = {"inputs": [{"name": "x", "sources": [{"key": "user:{id}", "as": "hash", "fields": fields}]}]}
    await store.publish(bundle(dense(np.eye(2, dtype=np.float32)), "private", view))
    await redis.hset("user:1", mapping={"age": 40})
    await redis.hset("user:2", mapping={"age": 40, "income": 7})
    client = await start(log_level="debug")

    predicted = await client.get("/v1/models/private/predict?key=user:1")
    wrong = await client.post(
        "/v1/models/private/predict", json={"keys": ["user:1"], "missing": {"incom": 1}}
    )
    explained = await client.get("/v1/models/private/explain?key=user:2&element=0")
    metrics = await client.get("/metrics")

    assert (predicted.status_code, predicted.json()["error"]["code"]) == (404, "field_missing")
    assert "'income'" in predicted.json()["error"]["message"]
    assert wrong.status_code == 400
    assert {one["feature"] for one in only(explained)["contributions"]} == {"age", "private 1"}
    assert "income" not in caplog.text + explained.text + metrics.text
