"""Uploads: any ONNX file becomes a version, tried first, or is refused by name."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from models.store import ModelStore
from server.rest.schemas import VersionDetail
from tests.graphs import heavy
from tests.integration.rest.conftest import Client, StartDoor
from tests.integration.rest.graphs import CHURN_VIEW, CHURN_WEIGHTS, PRICE_WEIGHTS, linear

PATH = "/v1/models/churn/versions"
CHURN = linear(CHURN_WEIGHTS, softmax=True)
WORDS = {"labels": "stays,leaves", "description": "Will a customer leave?"}
VIEW = json.dumps(CHURN_VIEW)


async def test_a_form_publishes_a_version_that_answers(client: Client) -> None:
    files: dict[str, tuple[str, bytes | str]] = {
        "model": ("model.onnx", CHURN),
        "features": ("view.yaml", VIEW),
    }

    response = await client.post(PATH, data=WORDS, files=files)

    assert response.status_code == 201
    assert response.headers["location"] == "/v1/models/churn/versions/1"
    detail = VersionDetail.model_validate(response.json())
    assert (detail.version, detail.aliases, detail.labels) == (1, ["production"], ["stays", "leaves"])
    answer = (await client.post("/v1/models/churn/predict", json={"inputs": {"x": [[21, 10]]}})).json()
    assert answer["predictions"][0]["label"] == "stays"


async def test_the_file_itself_publishes_a_version_too(client: Client) -> None:
    response = await client.post(
        PATH,
        params={**WORDS, "features": VIEW, "alias": "canary"},
        content=CHURN,
        headers={"content-type": "application/octet-stream"},
    )

    assert response.status_code == 201
    assert response.json()["aliases"] == ["canary"]
    assert response.json()["keys"] == ["customer:{id}"]


async def test_a_view_may_be_sent_as_text_of_the_form(client: Client) -> None:
    response = await client.post(PATH, data={**WORDS, "features": VIEW}, files={"model": CHURN})

    assert response.json()["keys"] == ["customer:{id}"]


async def test_an_empty_alias_moves_none(client: Client) -> None:
    response = await client.post(PATH, data={"alias": ""}, files={"model": CHURN})

    assert (response.status_code, response.json()["aliases"]) == (201, [])


async def test_versions_are_counted_up(client: Client) -> None:
    versions = [(await client.post(PATH, files={"model": CHURN})).json()["version"] for _ in range(3)]

    assert versions == [1, 2, 3]


async def test_a_new_version_reads_and_answers_as_the_one_before(client: Client) -> None:
    await client.post(PATH, data={**WORDS, "features": VIEW}, files={"model": CHURN})

    again = (await client.post(PATH, data={"alias": "canary"}, files={"model": CHURN})).json()
    bare = await client.post(PATH, data={"features": "none", "task": "tensor"}, files={"model": CHURN})

    assert (again["version"], again["keys"], again["labels"]) == (2, ["customer:{id}"], ["stays", "leaves"])
    assert (bare.json()["version"], bare.json()["features"], bare.json()["task"]) == (3, None, "tensor")


async def test_the_version_before_is_the_one_that_the_alias_points_to(client: Client) -> None:
    await client.post(PATH, data={**WORDS, "features": VIEW, "alias": "canary"}, files={"model": CHURN})
    await client.post(PATH, data={"features": "none", "task": "tensor"}, files={"model": CHURN})

    canary = (await client.post(PATH, data={"alias": "canary"}, files={"model": CHURN})).json()
    production = (await client.post(PATH, files={"model": CHURN})).json()

    assert (canary["keys"], canary["task"]) == (["customer:{id}"], "classification")
    assert (production["features"], production["task"]) == (None, "tensor")


@pytest.mark.parametrize(
    ("rows", "columns", "code", "cure"),
    [
        (3, 2, "bad_feature_view", "as version 1: add `features`, or `features=none` to read no keys"),
        (
            2,
            3,
            "bad_model_file",
            "as version 1: add `features`, or `features=none` to read no keys and `labels`",
        ),
    ],
)
async def test_what_the_version_before_had_and_does_not_fit_is_refused_with_what_to_send(
    client: Client, rows: int, columns: int, code: str, cure: str
) -> None:
    await client.post(PATH, data={**WORDS, "features": VIEW}, files={"model": CHURN})
    other = linear(np.ones((rows, columns), np.float32), softmax=True)

    response = await client.post(PATH, files={"model": other})

    assert (response.status_code, response.json()["error"]["code"]) == (422, code)
    assert cure in response.json()["error"]["message"]


async def test_uploads_at_the_same_time_wait_for_one_another(client: Client) -> None:
    responses = await asyncio.gather(*[client.post(PATH, files={"model": CHURN}) for _ in range(3)])

    assert sorted(response.json()["version"] for response in responses) == [1, 2, 3]


async def test_a_regression_is_worded_as_one(client: Client) -> None:
    await client.post(
        "/v1/models/price/versions", data={"task": "regression"}, files={"model": linear(PRICE_WEIGHTS)}
    )

    answer = (await client.post("/v1/models/price/predict", json={"inputs": {"x": [[1, 2, 3]]}})).json()

    assert answer["predictions"] == [{"value": 123.0}]


Refused = tuple[dict[str, Any], dict[str, Any], int, str]
REFUSED: list[Refused] = [
    ({}, {"model": b"no model"}, 422, "bad_model_file"),
    ({}, {"model": b""}, 422, "bad_model_file"),
    ({"labels": "a,b,c"}, {"model": CHURN}, 422, "bad_model_file"),
    ({"task": "classification"}, {"model": CHURN}, 422, "bad_model_file"),
    ({"output": "nope", "task": "regression"}, {"model": CHURN}, 422, "bad_model_file"),
    ({"labels": "stays,leaves"}, {"model": linear(CHURN_WEIGHTS)}, 422, "bad_model_file"),
    ({"features": "inputs: 7"}, {"model": CHURN}, 422, "bad_feature_view"),
    ({"features": VIEW.replace('"x"', '"z"')}, {"model": CHURN}, 422, "bad_feature_view"),
    ({"alias": "Prod!"}, {"model": CHURN}, 422, "bad_name"),
    ({"task": "guess"}, {"model": CHURN}, 422, "bad_parameter"),
    ({"label": "a,b"}, {"model": CHURN}, 422, "bad_parameter"),
    ({"model": "text"}, {"features": VIEW}, 422, "bad_parameter"),
    ({}, {"features": VIEW}, 422, "bad_parameter"),
    ({}, {"model": CHURN, "features": b"\xff\xfe"}, 422, "bad_parameter"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case[3]}-{'-'.join(case[0])}")
async def test_what_cannot_be_served_is_refused_and_not_stored(
    client: Client, store: ModelStore, case: Refused
) -> None:
    data, files, status, code = case

    response = await client.post(PATH, data=data, files=files)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert await store.names() == []


async def test_a_model_over_the_limit_is_refused(start: StartDoor) -> None:
    client = await start(model_limit_bytes=1024)

    response = await client.post(PATH, files={"model": b"x" * 2048})

    assert (response.status_code, response.json()["error"]["code"]) == (413, "model_too_large")


@pytest.mark.parametrize("road", ["asgi"], indirect=True)  # httpx sends no length that is none
async def test_a_body_far_over_the_limit_is_not_read_at_all(start: StartDoor) -> None:
    client = await start(model_limit_bytes=1024)

    response = await client.post(PATH, content=b"", headers={"content-length": str(10 << 30)})

    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


async def test_a_name_that_is_none_is_refused_before_the_file_is_read(client: Client) -> None:
    response = await client.post("/v1/models/no such/versions", files={"model": CHURN})

    assert (response.status_code, response.json()["error"]["code"]) == (422, "bad_name")


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("application/json", 415, "unsupported_media_type"),
        ("multipart/form-data", 422, "bad_parameter"),
        ("multipart/form-data; boundary=x", 422, "bad_parameter"),
    ],
)
async def test_a_body_of_another_kind_is_refused_with_the_cure(
    client: Client, kind: str, status: int, code: str
) -> None:
    response = await client.post(PATH, content=CHURN, headers={"content-type": kind})

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_fields_of_a_form_do_not_hide_in_the_query(client: Client) -> None:
    response = await client.post(PATH + "?labels=a,b", files={"model": CHURN})

    assert (response.status_code, response.json()["error"]["code"]) == (422, "bad_parameter")


async def test_a_file_that_is_the_body_is_held_once(client: Client) -> None:
    file = heavy(1.0, 1536)  # of 9 MiB
    said = {"content-type": "application/octet-stream"}
    tracemalloc.start()
    try:
        response = await client.post(PATH, content=parts(file), headers=said)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert response.status_code == 201
    assert most < 1.6 * len(file)


async def parts(file: bytes) -> AsyncIterator[bytes]:
    """A body as it comes from a network."""
    for at in range(0, len(file), 1 << 16):
        yield file[at : at + (1 << 16)]
