"""Predictions over HTTP: every way to name rows, every wording of an answer, one entry a row."""

import struct

import numpy as np
import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from server.rest.schemas import PredictAnswer
from tests.integration.rest.conftest import Client
from tests.integration.rest.graphs import CHURN_WEIGHTS, churn, embed, price

CHURN = "/v1/models/churn/predict"


@pytest.fixture
async def customers(redis: Redis, store: ModelStore) -> None:
    await store.publish(churn())
    for number in range(1, 6):
        await redis.hset(f"customer:{number}", mapping={"age": 20 + number, "spend": 10 * number})
    await redis.hset("customer:young", mapping={"age": 18})


def leaves(age: float, spend: float) -> float:
    """The probability that a customer leaves, on paper."""
    raw = np.exp(np.array([age, spend], np.float32) @ CHURN_WEIGHTS)
    return float(raw[1] / raw.sum())


@pytest.mark.usefixtures("customers")
async def test_a_key_is_answered_with_its_label_and_probabilities(client: Client) -> None:
    response = await client.post(CHURN, json={"keys": ["customer:1"]})

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert (answer["model"], answer["version"]) == ("churn", 1)
    (row,) = answer["predictions"]
    assert (row["key"], row["label"]) == ("customer:1", "stays")
    assert row["probabilities"]["leaves"] == pytest.approx(leaves(21, 10), abs=1e-6)
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-6)


@pytest.mark.usefixtures("customers")
async def test_rows_are_answered_in_the_order_of_the_request(client: Client) -> None:
    keys = [f"customer:{number}" for number in (4, 1, 5, 1, 2)]

    answer = (await client.post(CHURN, json={"keys": keys})).json()

    assert [row["key"] for row in answer["predictions"]] == keys
    expected = [leaves(24, 40), leaves(21, 10), leaves(25, 50), leaves(21, 10), leaves(22, 20)]
    assert [row["probabilities"]["leaves"] for row in answer["predictions"]] == pytest.approx(
        expected, abs=1e-6
    )


@pytest.mark.usefixtures("customers")
async def test_every_way_to_name_a_row_gives_the_same_answer(client: Client) -> None:
    by_key = (await client.post(CHURN, json={"keys": ["customer:3"]})).json()["predictions"][0]
    by_query = (await client.get(CHURN, params={"key": "customer:3"})).json()["predictions"][0]
    by_instance = (await client.post(CHURN, json={"instances": [{"id": "3"}]})).json()["predictions"][0]
    by_number = (await client.post(CHURN, json={"instances": [{"id": 3}]})).json()["predictions"][0]
    by_tensor = (await client.post(CHURN, json={"inputs": {"x": [[23, 30]]}})).json()["predictions"][0]

    assert by_key == by_query
    assert (
        by_instance == by_number == by_tensor == {name: by_key[name] for name in ("label", "probabilities")}
    )


@pytest.mark.usefixtures("customers")
async def test_a_bad_row_among_several_carries_its_own_error(client: Client) -> None:
    keys = ["customer:1", "customer:99", "order:1", "customer:young", "customer:2"]

    response = await client.post(CHURN, json={"keys": keys})

    assert response.status_code == 200
    rows = response.json()["predictions"]
    assert [row["key"] for row in rows] == keys
    codes = [row.get("error", {}).get("code") for row in rows]
    assert codes == [None, "key_missing", "key_not_allowed", "field_missing", None]
    assert rows[3]["error"]["field"] == "spend"
    assert "label" not in rows[3]
    PredictAnswer.model_validate(response.json())


@pytest.mark.usefixtures("customers")
async def test_rows_that_are_all_bad_are_still_answered_one_by_one(client: Client) -> None:
    response = await client.post(CHURN, json={"keys": ["customer:98", "customer:99"]})

    assert response.status_code == 200
    assert [row["error"]["code"] for row in response.json()["predictions"]] == ["key_missing"] * 2


@pytest.mark.usefixtures("customers")
@pytest.mark.parametrize("missing", [30, {"spend": 30}])
async def test_a_value_that_stood_in_is_said_in_its_row(client: Client, missing: object) -> None:
    body = {"keys": ["customer:young", "customer:1"], "missing": missing}

    young, other = (await client.post(CHURN, json=body)).json()["predictions"]

    assert young["filled"] == ["spend"]
    assert young["probabilities"]["leaves"] == pytest.approx(leaves(18, 30), abs=1e-6)
    assert "filled" not in other


@pytest.mark.usefixtures("customers")
async def test_raw_answers_the_outputs_of_the_graph(client: Client) -> None:
    answer = (await client.post(CHURN, json={"keys": ["customer:1"], "raw": True})).json()

    (row,) = answer["predictions"]
    assert row == {
        "key": "customer:1",
        "outputs": {"y": pytest.approx([1 - leaves(21, 10), leaves(21, 10)], abs=1e-6)},
    }
    PredictAnswer.model_validate(answer)


async def test_a_value_is_read_from_a_vector_and_the_request(
    client: Client, redis: Redis, store: ModelStore
) -> None:
    await store.publish(price())
    await redis.set("flat:1", struct.pack("<2f", 3, 4))

    answer = (
        await client.post("/v1/models/price/predict", json={"instances": [{"id": 1, "month": 6}]})
    ).json()

    assert answer["predictions"] == [{"value": 346.0}]
    PredictAnswer.model_validate(answer)


async def test_a_model_without_a_view_answers_tensors(client: Client, store: ModelStore) -> None:
    await store.publish(embed())

    answer = (
        await client.post("/v1/models/embed/predict", json={"inputs": {"x": [[20, 0], [0, 50]]}})
    ).json()

    outputs = [row["outputs"]["y"] for row in answer["predictions"]]
    assert outputs == [pytest.approx([1.0, -1.0]), pytest.approx([-1.0, 1.0])]
    PredictAnswer.model_validate(answer)


@pytest.mark.usefixtures("customers")
async def test_a_version_is_named_by_number_or_alias(client: Client, store: ModelStore) -> None:
    await store.publish(churn(), alias="canary")
    body = {"keys": ["customer:1"]}

    versions = [
        (await client.post(f"/v1/models/churn{place}/predict", json=body)).json()["version"]
        for place in ("", "/versions/1", "/versions/2", "/versions/production", "/versions/canary")
    ]

    assert versions == [1, 1, 2, 1, 2]


@pytest.mark.usefixtures("customers")
async def test_a_query_names_rows_and_a_version(client: Client) -> None:
    path = "/v1/models/churn/versions/1/predict?key=customer:1&key=customer:young&missing=30&raw=1"

    first, second = (await client.get(path)).json()["predictions"]

    assert first["key"] == "customer:1"
    assert second["filled"] == ["spend"]
    assert "outputs" in first


@pytest.mark.usefixtures("customers")
async def test_keys_in_any_script_are_read(client: Client, redis: Redis) -> None:
    await redis.hset("customer:Zoë 客", mapping={"age": 40, "spend": 1})

    answer = (await client.get(CHURN, params={"key": "customer:Zoë 客"})).json()

    assert answer["predictions"][0]["key"] == "customer:Zoë 客"
    assert "label" in answer["predictions"][0]
