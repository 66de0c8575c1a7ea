"""`insitu serve` that starts while Redis is away: every door answers with the models that were served last."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import redis
from redis.asyncio import Redis

from models.store import ModelStore
from server.rpc.messages import SERVICE, message
from tests.graphs import bundle, constant
from tests.integration.server.conftest import Serve
from tests.servers import RedisServer, wait_until, wait_until_ready
from tests.serving import ServeCommand

SECONDS = 30.0
VIEW = {"inputs": [{"name": "x", "sources": [{"key": "row:{id}", "as": "hash", "fields": ["a", "b"]}]}]}
WORKERS = "2"


def publish(server: RedisServer, number: float) -> None:
    async def published() -> None:
        async with Redis.from_url(server.url) as client:
            await ModelStore(client).publish(bundle(constant(number), "m", VIEW))

    asyncio.run(published())


@pytest.fixture
def away(redis_server: Callable[..., RedisServer], serve: Serve, tmp_path: Path) -> tuple[RedisServer, Any]:
    """A Redis that was killed after a server had kept its model, and a factory of servers that start without it."""
    server = redis_server(aof=True)
    with server.connect() as client:
        client.hset("row:1", mapping={"a": 1, "b": 2})
    publish(server, 1)

    def start(**settings: str) -> ServeCommand:
        return serve(
            server.url, INSITU_MODEL_CACHE=str(tmp_path / "cache"), INSITU_LOG_LEVEL="info", **settings
        )

    before = start()
    wait_until_ready(before.url)
    wait_until(lambda: any(tmp_path.rglob("pointers")), "nothing was noted")
    before.signal(signal.SIGKILL)
    before.wait()
    server.kill()
    return server, start


def by_key(url: str) -> httpx.Response:
    return httpx.post(f"{url}/v1/models/m/predict", json={"keys": ["row:1"]}, timeout=SECONDS)


def by_tensor(url: str) -> Any:
    answer = httpx.post(f"{url}/v1/models/m/predict", json={"inputs": {"x": [[1, 2]]}}, timeout=SECONDS)
    return answer.json()["predictions"][0]["outputs"]["y"]


def over_grpc(address: str) -> Any:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "contents": {"fp32_contents": [1.0, 2.0]}}
    request = message("ModelInferRequest")(model_name="m", inputs=[tensor])
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        data = call(request.SerializeToString(), timeout=SECONDS)
    return message("ModelInferResponse").FromString(data).raw_output_contents or data


def over_resp(server: ServeCommand) -> Any:
    host, _, port = server.told["resp"].rpartition(":")
    with redis.Redis(host=host, port=int(port), protocol=2, socket_timeout=SECONDS) as client:
        return client.execute_command("INSITU.PREDICT", "m", "row:1")


def test_every_door_answers_what_needs_no_key(away: tuple[RedisServer, Any]) -> None:
    server, start = away

    running = start()

    wait_until_ready(running.url)
    told = httpx.get(f"{running.url}/health/ready").json()
    assert (told["status"], told["redis"]) == ("ready", False)
    assert "models are served from the cache, as Redis had them at 20" in told["reason"]
    assert "1 models are served from" in running.log
    assert by_tensor(running.url) == [1.0]
    assert over_grpc(running.grpc)
    assert by_key(running.url).status_code == 503
    with pytest.raises(redis.exceptions.BusyLoadingError, match="Redis"):
        over_resp(running)

    server.start()
    wait_until(lambda: by_key(running.url).status_code == 200, "keys are not read")
    assert over_resp(running)
    wait_until(lambda: httpx.get(f"{running.url}/health/ready").json()["redis"], "Redis is not followed")
    publish(server, 2)
    wait_until(lambda: bool(by_tensor(running.url) == [2.0]), "the new version is not served")


def test_several_workers_start_without_redis(away: tuple[RedisServer, Any]) -> None:
    _, start = away

    running = start(INSITU_WORKERS=WORKERS)

    wait_until_ready(running.url)
    wait_until(
        lambda: running.log.count("1 models are served from") == int(WORKERS), "a worker serves nothing"
    )
    assert [by_tensor(running.url) for _ in range(10)] == [[1.0]] * 10
