"""Health and metrics, with Redis there, away, and back."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from models.store import ModelStore
from server.metrics import Metrics
from server.rest.schemas import Alive, ErrorBody, Ready
from tests.integration.rest.conftest import Client, StartDoor
from tests.integration.rest.graphs import churn
from tests.servers import RedisServer

ROW = {"inputs": {"x": [[1, 2]]}}


async def until(client: Client, path: str, wanted: Callable[[int, str], bool]) -> None:
    async with asyncio.timeout(15):
        while True:
            response = await client.get(path)
            if wanted(response.status_code, response.text):
                return
            await asyncio.sleep(0.02)


async def published(server: RedisServer) -> None:
    with server.connect() as client:
        client.hset("customer:1", mapping={"age": 30, "spend": 5})
    async with Redis.from_url(server.url) as redis:
        await ModelStore(redis).publish(churn())


async def test_a_process_that_answers_is_alive(client: Client) -> None:
    response = await client.get("/health/live")

    assert response.status_code == 200
    assert Alive.model_validate(response.json()).status == "alive"


async def test_a_server_with_its_models_is_ready(client: Client) -> None:
    response = await client.get("/health/ready")

    assert response.status_code == 200
    assert Ready.model_validate(response.json()).redis


async def test_a_server_that_never_met_redis_is_alive_but_not_ready(
    start: StartDoor, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    server.kill()
    client = await start(redis_url=server.url)

    live = await client.get("/health/live")
    ready = await client.get("/health/ready")
    predict = await client.post("/v1/models/churn/predict", json={"keys": ["customer:1"]})

    assert (live.status_code, ready.status_code, predict.status_code) == (200, 503, 503)
    assert ready.json()["error"]["code"] == "not_ready"
    assert ready.json()["error"]["redis"] is False
    assert predict.json()["error"]["code"] == "redis_unavailable"
    assert ready.headers["retry-after"] == predict.headers["retry-after"] == "1"
    ErrorBody.model_validate(ready.json())


async def test_a_server_starts_and_waits_while_a_script_keeps_redis_busy(
    start: StartDoor, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    await published(server)
    with server.connect() as client, server.connect() as other:
        client.config_set("busy-reply-threshold", 20)
        script = asyncio.create_task(asyncio.to_thread(client.eval, "while true do end", 0))
        await asyncio.sleep(0.2)
        try:
            door = await start(redis_url=server.url)
            ready, models = await door.get("/health/ready"), await door.get("/v1/models")
        finally:
            await asyncio.to_thread(other.script_kill)
            with pytest.raises(ResponseError, match="killed"):
                await script
    assert (ready.status_code, models.status_code) == (503, 503)
    assert (models.json()["error"]["code"], models.headers["retry-after"]) == ("redis_unavailable", "1")
    await until(door, "/health/ready", lambda status, _: status == 200)


async def test_a_server_becomes_ready_when_redis_comes(
    start: StartDoor, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    server.kill()
    client = await start(redis_url=server.url)

    server.start()

    await until(client, "/health/ready", lambda status, _: status == 200)


async def test_a_loaded_model_goes_on_while_redis_is_away_and_keys_come_back_with_it(
    start: StartDoor, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server(aof=True)
    await published(server)
    client = await start(redis_url=server.url)
    keyed = {"keys": ["customer:1"]}

    server.kill()
    by_tensor = await client.post("/v1/models/churn/predict", json=ROW)
    by_key = await client.post("/v1/models/churn/predict", json=keyed)
    await until(client, "/health/ready", lambda status, text: status == 200 and '"redis":false' in text)
    listed = await client.get("/v1/models")
    server.start()
    await until(client, "/v1/models/churn/predict?key=customer:1", lambda status, _: status == 200)
    await until(client, "/health/ready", lambda _, text: '"redis":true' in text)

    assert by_tensor.status_code == 200
    assert (by_key.status_code, by_key.json()["error"]["code"]) == (503, "redis_unavailable")
    assert by_key.headers["retry-after"] == "1"
    assert (listed.status_code, listed.json()["error"]["code"]) == (503, "redis_unavailable")


async def test_metrics_count_what_was_answered(start: StartDoor, store: ModelStore) -> None:
    await store.publish(churn())
    client = await start()
    await client.post("/v1/models/churn/predict", json={"inputs": {"x": [[1, 2], [3, 4]]}})
    await client.post("/v1/models/churn/predict", json={"keys": ["customer:99"]})
    await client.post("/v1/models/nope/predict", json=ROW)
    await client.post("/v1/models/any-text-at-all/predict", content=b"{")
    await client.post("/v1/models/churn/predict", content=b"{")
    await client.get("/v1/models/churn/predict?kye=customer:1")
    await client.post("/v2/models/churn/infer", content=b"{}")

    response = await client.get("/metrics")

    samples = {
        (sample.name, sample.labels.get("model"), sample.labels.get("code")): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert response.headers["content-type"].startswith("text/plain")
    assert samples["insitu_rows_total", "churn", None] == 3
    assert samples["insitu_errors_total", "churn", "key_missing"] == 1
    assert samples["insitu_errors_total", "unknown", "model_not_found"] == 1
    assert samples["insitu_errors_total", "unknown", "malformed_json"] == 1
    assert samples["insitu_errors_total", "churn", "malformed_json"] == 1
    assert samples["insitu_errors_total", "churn", "bad_request"] == 2
    assert not [name for _, name, _ in samples if name == "any-text-at-all"]
    assert samples["insitu_redis_up", None, None] == 1


async def test_whoever_asks_for_metrics_meanwhile_gets_the_same_text(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    going = threading.Event()

    def slowly(metrics: Metrics) -> bytes:
        told.append(threading.current_thread().name)
        going.wait(10)
        return b"slow 1\n"

    monkeypatch.setattr(Metrics, "exposition", slowly)
    scrapes = asyncio.gather(*(client.get("/metrics") for _ in range(8)))
    await asyncio.sleep(0.5)

    alive = await client.get("/health/live")  # the loop goes on meanwhile

    going.set()
    assert alive.status_code == 200
    assert {response.text for response in await scrapes} == {"slow 1\n"}
    assert len(told) == 1
    assert told[0] != threading.main_thread().name
