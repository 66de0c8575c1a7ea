"""Versions that come, go and break while requests are answered."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from redis import Redis

from models.keys import Keys
from tests.integration.faults.conftest import Publish
from tests.integration.faults.load import Load, running
from tests.integration.rest.served import ServerProcess
from tests.servers import RedisServer, wait_until

ROOT = Path(__file__).parents[3]
KEYS = Keys()
Serve = Callable[..., ServerProcess]


def version(server: ServerProcess, reference: str = "production") -> int:
    path = f"{server.url}/v1/models/m/versions/{reference}/predict"
    answer = httpx.post(path, json={"keys": ["row:3"]}, timeout=10)
    assert answer.status_code == 200, answer.text
    number: int = answer.json()["version"]
    return number


def test_switches_under_load_fail_nothing_and_mix_nothing(publish: Publish, serve: Serve) -> None:
    publish("m", 1.0)
    server = serve()
    load = Load(f"{server.url}/v1/models/m/predict", {"keys": ["row:1", "row:2", "row:3"]})

    with running(load, clients=3):
        for number in range(2, 12):
            publish("m", float(number))
            time.sleep(0.1)
        wait_until(lambda: version(server) == 11, "the last version was not taken over")

    assert not load.broken
    assert set(load.statuses) == {200}
    for one in load.seen:
        told = {value for row in one.body["predictions"] for value in row["outputs"]["y"]}
        assert told == {float(one.body["version"])}
    assert len({one.body["version"] for one in load.seen}) > 2


def alter(redis: Redis, chunk: str) -> None:
    data = redis.get(chunk)
    assert isinstance(data, bytes)
    redis.set(chunk, bytes([data[0] ^ 1]) + data[1:])


def delete(redis: Redis, chunk: str) -> None:
    redis.delete(chunk)


@pytest.mark.parametrize("damage", [alter, delete])
def test_a_damaged_version_is_refused_by_name_and_the_old_one_serves(
    own_redis: RedisServer, publish: Publish, serve: Serve, damage: Callable[[Redis, str], None]
) -> None:
    publish("m", 1.0)
    publish("m", 2.0)
    with own_redis.connect() as redis:
        redis.hset(KEYS.aliases("m"), "production", 1)
        damage(redis, KEYS.chunk("m", 2, 0))
        server = serve(resync_seconds=0.2)
        assert version(server) == 1

        redis.hset(KEYS.aliases("m"), "production", 2)
        direct = httpx.post(
            f"{server.url}/v1/models/m/versions/2/predict", json={"keys": ["row:3"]}, timeout=10
        )
        time.sleep(0.6)

    assert direct.status_code == 500
    assert direct.json()["error"]["code"] == "bundle_corrupt"
    assert version(server) == 1


PUBLISHER = """
import asyncio, sys
from models.connecting import connect
from models.store import ModelStore
from tests.graphs import bundle, constant
async def main():
    store = ModelStore(connect(sys.argv[1]), chunk_bytes=64)
    made = bundle(constant(float(9)), "m", {view})
    print("ready", flush=True)
    while True:
        await store.publish(made)
asyncio.run(main())
"""


def test_a_publisher_killed_half_way_leaves_nothing_half_there(
    own_redis: RedisServer, publish: Publish, serve: Serve
) -> None:
    publish("m", 1.0)
    server = serve()
    from_view = PUBLISHER.replace(
        "{view}",
        repr(
            {"inputs": [{"name": "x", "sources": [{"key": "row:{id}", "as": "hash", "fields": ["a", "b"]}]}]}
        ),
    )
    load = Load(f"{server.url}/v1/models/m/predict", {"keys": ["row:3"]})

    with running(load):
        for pause in (0.03, 0.07, 0.11):
            command = [sys.executable, "-c", from_view, own_redis.url]
            publisher = subprocess.Popen(
                command, stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
            )
            assert publisher.stdout is not None
            publisher.stdout.readline()
            time.sleep(pause)
            publisher.kill()
            publisher.wait()
            publisher.stdout.close()

    assert not load.broken
    assert set(load.statuses) == {200}
    with own_redis.connect() as redis:
        last = int(redis.hget(KEYS.model("m"), "next_version") or 0)
        stored = [number for number in range(1, last + 1) if redis.exists(KEYS.manifest("m", number))]
    assert len(stored) > 1
    for number in (stored[1], stored[-1]):
        assert version(server, str(number)) == number


def test_sigterm_with_requests_in_flight_answers_them_all(publish: Publish, serve: Serve) -> None:
    publish("m", 1.0)
    server = serve(max_batch_wait_ms=700)
    process = server.process
    assert process is not None
    load = Load(f"{server.url}/v1/models/m/predict", {"keys": ["row:3"]})

    with running(load, clients=4):
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)

    assert code == 0
    assert len(load.seen) >= 4
    assert set(load.statuses) == {200}
    assert all("Connect" in one or "Disconnected" in one for one in load.broken)
