"""Statistics over HTTP: every request that was sent is in them, once."""

from typing import Any

import pytest

from models.store import ModelStore
from tests.graphs import bundle, scaled
from tests.integration.rest.conftest import Client, StartDoor


def body(rows: int) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "shape": [rows, 2], "datatype": "FP32", "data": [0.5] * 2 * rows}]}


async def counted(client: Client, path: str = "/v2/models/twice/stats") -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(path)).json()["model_stats"][0]
    return found


async def test_statistics_are_of_the_requests_that_were_sent(start: StartDoor, store: ModelStore) -> None:
    await store.publish(bundle(scaled(), "twice"))
    client = await start()
    good = [1, 3, 3, 8]

    for rows in good:
        assert (await client.post("/v2/models/twice/infer", json=body(rows))).status_code == 200
    bad = body(1)
    bad["inputs"][0]["name"] = "z"
    for _ in range(2):
        assert (await client.post("/v2/models/twice/infer", json=bad)).status_code == 400
    found = await counted(client)

    stats = found["inference_stats"]
    assert found["inference_count"] == sum(good)
    assert found["execution_count"] == len(good)
    assert (stats["success"]["count"], stats["fail"]["count"]) == (len(good), 2)
    assert stats["compute_infer"]["count"] == len(good)
    assert stats["success"]["ns"] >= stats["compute_infer"]["ns"] > 0
    sizes = {one["batch_size"]: one["compute_infer"]["count"] for one in found["batch_stats"]}
    assert sizes == {1: 1, 3: 2, 8: 1}
    assert found["last_inference"] > 0


@pytest.mark.parametrize(
    "path",
    ["/v2/models/stats", "/v2/models/twice/versions/1/stats", "/v2/models/twice/versions/production/stats"],
)
async def test_statistics_are_told_of_all_models_and_of_one_version(
    start: StartDoor, store: ModelStore, path: str
) -> None:
    await store.publish(bundle(scaled(), "twice"))
    client = await start()

    found = await counted(client, path)

    assert (found["name"], found["version"], found["inference_count"]) == ("twice", "1", 0)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/v2/models/nope/stats", "'nope' is not stored"),
        ("/v2/models/twice/versions/9/stats", "no version 9"),
        ("/v2/models/twice/versions/blue/stats", "no alias 'blue'"),
    ],
)
async def test_statistics_of_what_is_not_there_are_404(
    client: Client, store: ModelStore, path: str, told: str
) -> None:
    await store.publish(bundle(scaled(), "twice"))

    response = await client.get(path)

    assert response.status_code == 404
    assert told in response.json()["error"]
