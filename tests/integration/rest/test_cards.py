"""GET .../card: the page of a model card, or its data."""

from dataclasses import replace

import pytest

from models.store import ModelStore
from tests.integration.rest.conftest import Client
from tests.integration.rest.graphs import CARD, churn

PATH = "/v1/models/churn/versions/{}/card"
PAGE = b"<!doctype html><title>churn \xe2\x80\x93 card</title><style>p{color:red}</style><p>91 %"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
async def stored(client: Client, store: ModelStore) -> Client:
    """Version 1 has a page and data, 2 data alone, 3 nothing."""
    await store.publish(replace(churn(), page=PAGE))
    await store.publish(churn(), alias=None)
    await store.publish(churn(card={}), alias=None)
    return client


@pytest.mark.parametrize("accept", [BROWSER, "*/*", "text/html"])
@pytest.mark.parametrize("version", ["1", "production"])
async def test_the_page_is_served_where_there_is_one(stored: Client, version: str, accept: str) -> None:
    answer = await stored.get(PATH.format(version), headers={"Accept": accept})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.content == PAGE


async def test_a_page_runs_no_script_and_loads_nothing(stored: Client) -> None:
    headers = (await stored.get(PATH.format(1))).headers

    policy = dict(
        part.split(" ", 1) for part in headers["content-security-policy"].split("; ") if " " in part
    )
    assert policy["default-src"] == "'none'"
    assert "script-src" not in policy
    assert "connect-src" not in policy
    assert headers["content-security-policy"].endswith("; sandbox")
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("version", [1, 2])
async def test_the_data_is_served_to_whoever_asks_for_it(stored: Client, version: int) -> None:
    accepted = await stored.get(PATH.format(version), headers={"Accept": "application/json"})
    asked = await stored.get(PATH.format(version) + "?format=json", headers={"Accept": BROWSER})

    assert accepted.json() == asked.json() == CARD
    assert accepted.headers["vary"] == "Accept"


async def test_a_card_without_a_page_is_data_unless_only_a_page_will_do(stored: Client) -> None:
    browser = await stored.get(PATH.format(2), headers={"Accept": BROWSER})
    page = await stored.get(PATH.format(2) + "?format=html")
    html = await stored.get(PATH.format(2), headers={"Accept": "text/html"})

    assert browser.json() == CARD
    assert page.status_code == html.status_code == 404
    assert "has no page of its model card; ask for its data with ?format=json" in page.text


@pytest.mark.parametrize("query", ["", "?format=json", "?format=html"])
async def test_no_card_at_all_is_not_found(stored: Client, query: str) -> None:
    answer = await stored.get(PATH.format(3) + query)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "card_not_found")
    assert "version 3 of model 'churn' has no model card" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (PATH.format(9), 404, "version_not_found"),
        (PATH.format("canary"), 404, "alias_not_found"),
        ("/v1/models/chrun/versions/1/card", 404, "model_not_found"),
        (PATH.format(1) + "?format=pdf", 422, "bad_parameter"),
    ],
)
async def test_what_is_not_there_is_named(stored: Client, path: str, status: int, code: str) -> None:
    answer = await stored.get(path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
