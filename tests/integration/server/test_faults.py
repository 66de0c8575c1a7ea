"""What may go wrong around a server, done to a real one: nobody gets a wrong answer, and few get none."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from models.bundle import Bundle
from models.store import ModelStore
from tests.graphs import bundle, constant, looping
from tests.integration.server.conftest import Serve, until
from tests.integration.server.processes import Load, load, ready
from tests.servers import RedisServer
from tests.serving import ROOT

Start = Callable[..., RedisServer]
HASH = {"key": "k:{id}", "as": "hash", "fields": ["a", "b"]}
VIEW = {"inputs": [{"name": "x", "sources": [HASH]}]}
PREDICT = "/v1/models/m/predict"
KEYS = {"keys": ["k:1"]}
TENSORS = {"inputs": {"x": [[1, 2]] * 3}}


@pytest.fixture
async def stored(redis_server: Start) -> RedisServer:
    """A Redis of the test's own, with version 1 of a model and a key to read."""
    server = redis_server(aof=True)
    await publish(server, telling(1))
    with server.connect() as client:
        client.hset("k:1", mapping={"a": 1, "b": 2})
    return server


def telling(number: float) -> Bundle:
    """A model that answers its number."""
    return bundle(constant(number), view=VIEW, task="regression")


async def publish(server: RedisServer, one: Bundle, alias: str | None = "production") -> None:
    async with Redis.from_url(server.url) as client:
        await ModelStore(client).publish(one, alias)


def values(body: dict[str, Any]) -> set[float]:
    return {row["value"] for row in body["predictions"]}


async def test_redis_killed_under_load_costs_keys_only_and_is_found_again(
    serve: Serve, stored: RedisServer
) -> None:
    server = serve(stored.url)
    async with load(server.url, PREDICT, KEYS) as keys, load(server.url, PREDICT, TENSORS) as tensors:
        await keys.until(20)

        stored.kill()
        killed = time.monotonic()
        await keys.until(40)
        await tensors.until(20)
        async with httpx.AsyncClient(base_url=server.url) as client:
            live = await client.get("/health/live")
            told = await client.get("/health/ready")
        assert (live.status_code, told.status_code, told.json()["redis"]) == (200, 200, False)

        stored.start()
        came_back = time.monotonic()
        await until(lambda: any(one.status == 200 for one in keys.since(came_back)))
        back = time.monotonic()
        await keys.until(20)
        await tensors.until(20)

    refused = [one for one in keys.told if one.status != 200]
    assert {(one.status, one.code) for one in refused} == {(503, "redis_unavailable")}
    assert max(one.seconds for one in refused) < 2.0
    assert sorted(one.seconds for one in refused)[len(refused) // 2] < 0.2
    assert {one.status for one in keys.since(back)} == {200}
    assert all(one.status == 503 for one in keys.since(killed) if one.at + one.seconds < came_back)
    assert tensors.statuses() == {200}
    assert server.process is not None
    assert server.process.poll() is None


async def test_a_redis_that_hangs_under_load_costs_keys_its_timeout_and_tensors_nothing(
    serve: Serve, stored: RedisServer
) -> None:
    server = serve(stored.url, INSITU_REDIS_TIMEOUT_MS="300")
    async with load(server.url, PREDICT, KEYS) as keys, load(server.url, PREDICT, TENSORS) as tensors:
        await keys.until(10)

        stored.pause()
        await tensors.until(20)
        await keys.until(20)
        stored.resume()
        resumed = time.monotonic()
        await until(lambda: any(one.status == 200 for one in keys.since(resumed)))

    refused = [one for one in keys.told if one.status != 200]
    assert {(one.status, one.code) for one in refused} == {(503, "redis_unavailable")}
    assert max(one.seconds for one in refused) < 3.0
    assert tensors.statuses() == {200}
    assert max(one.seconds for one in tensors.told) < 1.0


async def test_versions_switch_under_load_without_a_failed_or_mixed_answer(
    serve: Serve, stored: RedisServer
) -> None:
    server = serve(stored.url)
    async with load(server.url, PREDICT, TENSORS) as tensors, load(server.url, PREDICT, KEYS) as keys:
        for number in range(2, 6):
            await publish(stored, telling(number))
            await served(tensors, number)
        async with Redis.from_url(stored.url) as client:
            await ModelStore(client).rollback("m")
        await served(tensors, 4)
        await keys.until(5)

    every = [*tensors.told, *keys.told]
    assert {one.status for one in every} == {200}
    assert all(values(one.body) == {one.body["version"]} for one in every)


async def served(answers: Load, version: int) -> None:
    """Wait until a version answers."""
    await until(lambda: bool(answers.told) and answers.told[-1].body.get("version") == version)


@pytest.mark.parametrize("damage", ["deleted", "altered"])
async def test_a_damaged_version_never_answers_and_the_old_one_goes_on(
    serve: Serve, stored: RedisServer, damage: str
) -> None:
    server = serve(stored.url)
    await publish(stored, telling(2), alias=None)
    async with load(server.url, PREDICT, TENSORS) as tensors:
        with stored.connect() as client:
            key = "insitu:{m}:v2:onnx:0"
            client.delete(key) if damage == "deleted" else client.setrange(key, 40, b"\xff\xff")
        async with Redis.from_url(stored.url) as redis:
            await ModelStore(redis).promote("m", 2)
        await tensors.until(30)

        async with httpx.AsyncClient(base_url=server.url) as http:
            pinned = await http.post("/v1/models/m/versions/2/predict", json=TENSORS)
            told = (await http.get("/v1/models/m/versions/2")).json()

    assert tensors.statuses() == {200}
    assert {one.body["version"] for one in tensors.told} == {1}
    assert (pinned.status_code, pinned.json()["error"]["code"]) == (500, "bundle_corrupt")
    assert "v2:onnx:0" in told["problem"]
    assert server.log.count("is damaged in Redis") < 10


CHUNKS_BEFORE_IT_RESTS = 3
PUBLISHER = f"""
import asyncio, sys
from redis.asyncio import Redis
from models.bundle import Bundle
from models.store import ModelStore
from tests.graphs import bundle, constant

class Resting(Redis):
    chunks = 0

    async def set(self, *arguments, **options):
        await super().set(*arguments, **options)
        self.chunks += 1
        if self.chunks == {CHUNKS_BEFORE_IT_RESTS}:
            print("half way", flush=True)
            await asyncio.Event().wait()

async def main():
    made = bundle(constant(2.0), task="regression")
    padded = Bundle(made.manifest, made.onnx + bytes(8 << 20))
    async with Resting.from_url(sys.argv[1]) as client:
        await ModelStore(client, chunk_bytes=1 << 20).publish(padded)

asyncio.run(main())
"""


async def test_a_publisher_killed_half_way_leaves_nothing_that_a_server_could_see(
    serve: Serve, stored: RedisServer
) -> None:
    server = serve(stored.url)
    async with load(server.url, PREDICT, TENSORS) as tensors:
        await tensors.until(5)
        await asyncio.to_thread(kill_while_publishing, stored)
        await tensors.until(20)
        async with httpx.AsyncClient(base_url=server.url) as http:
            told = (await http.get("/v1/models/m")).json()

        await publish(stored, telling(3))
        await served(tensors, 3)

    assert told["versions"] == [1]
    assert tensors.statuses() == {200}
    assert {one.body["version"] for one in tensors.told} == {1, 3}
    with stored.connect() as client:
        left = {key: client.ttl(key) for key in client.scan_iter(b"insitu:*") if b":v2:" in key}
    assert len(left) == CHUNKS_BEFORE_IT_RESTS
    assert all(0 < seconds <= 3600 for seconds in left.values()), "what it uploaded goes away by itself"


def kill_while_publishing(redis: RedisServer) -> None:
    """Start a publisher, and end it when its version has a number and a part of its bytes is in Redis."""
    publisher = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, redis.url], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert publisher.stdout is not None
        assert publisher.stdout.readline() == b"half way\n"
    finally:
        publisher.send_signal(signal.SIGKILL)
        publisher.communicate()


async def test_requests_sent_before_sigterm_are_answered_and_the_process_ends_well(
    serve: Serve, redis_server: Start
) -> None:
    redis = redis_server()
    await publish(redis, bundle(looping()))
    server = serve(redis.url)
    host, port = server.url.removeprefix("http://").split(":")
    body = json.dumps({"inputs": {"x": [[1]], "turns": [100_000]}}).encode()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    connections = [await asyncio.open_connection(host, int(port)) for _ in range(40)]

    for _, writer in connections:
        writer.write(head + body)
        await writer.drain()
    server.signal(signal.SIGTERM)
    sent = time.monotonic()
    answers = await asyncio.gather(*(reader.readline() for reader, _ in connections))
    status = await asyncio.to_thread(server.wait)

    assert answers == [b"HTTP/1.1 200 OK\r\n"] * 40
    assert status == 0
    assert time.monotonic() - sent < 20
    for _, writer in connections:
        writer.close()


async def test_a_signal_ends_a_server_that_runs_without_an_end(serve: Serve, redis_server: Start) -> None:
    redis = redis_server()
    await publish(redis, bundle(looping()))
    server = serve(redis.url, INSITU_SHUTDOWN_SECONDS="1")
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        endless = {"inputs": {"x": [[1]], "turns": [1 << 60]}}
        asked = asyncio.create_task(client.post(PREDICT, json=endless))
        await asyncio.sleep(0.3)

        server.signal(signal.SIGTERM)
        sent = time.monotonic()
        status = await asyncio.to_thread(server.wait)

        await asyncio.gather(asked, return_exceptions=True)
    assert status == 0
    assert time.monotonic() - sent < 10


async def test_a_server_started_without_redis_lives_and_is_ready_when_it_comes(
    serve: Serve, stored: RedisServer
) -> None:
    stored.kill()
    server = serve(stored.url)

    async with httpx.AsyncClient(base_url=server.url) as client:
        live, told, asked = [
            await client.get("/health/live"),
            await client.get("/health/ready"),
            await client.post(PREDICT, json=KEYS),
        ]
        assert live.status_code == 200
        assert (told.status_code, told.json()["error"]["code"]) == (503, "not_ready")
        assert (asked.status_code, asked.json()["error"]["code"]) == (503, "redis_unavailable")

        stored.start()
        async with asyncio.timeout(10):
            while not await ready(server.url):  # noqa: ASYNC110  # nobody tells a test
                await asyncio.sleep(0.02)
        answer = await client.post(PREDICT, json=KEYS)

    assert answer.status_code == 200
    assert values(answer.json()) == {1.0}


async def test_a_redis_restarted_empty_is_believed(serve: Serve, stored: RedisServer) -> None:
    server = serve(stored.url, INSITU_RESYNC_SECONDS="0.1")
    with stored.connect() as client:
        client.flushall()

    async with httpx.AsyncClient(base_url=server.url) as http:
        async with asyncio.timeout(10):
            while (await http.post(PREDICT, json=TENSORS)).status_code != 404:  # noqa: ASYNC110  # nobody tells
                await asyncio.sleep(0.02)

        await publish(stored, telling(5))

        assert values((await http.post(PREDICT, json=TENSORS)).json()) == {5.0}
