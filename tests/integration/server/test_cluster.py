"""The core on a Redis Cluster: models, features and results lie in slots of every node."""

import asyncio
import json

import pytest
from redis.crc import key_slot

from models.connecting import connect
from models.errors import RedisUnavailable
from models.jobs import JobSpec
from models.ledger import DONE, Ledger
from models.store import ModelStore
from server.batch.scoring import process_name, score
from server.inference.asking import Ask
from tests.graphs import bundle, constant, dense, f32, scaled
from tests.integration.server.conftest import StartEngine
from tests.integration.server.scorers import scoring, working
from tests.servers import RedisNodes

SOURCES = [{"key": "a:{id}", "as": "hash", "fields": ["x"]}, {"key": "b:{id}", "as": "vector", "shape": [1]}]
VIEW = {"inputs": [{"name": "x", "sources": SOURCES}]}


def part_of(key: str) -> int:
    """Which of the three nodes a key lies on."""
    return key_slot(key.encode()) * 3 // 16384


async def test_a_cluster_is_served_and_scored_like_one_redis(
    redis_cluster: RedisNodes, engine: StartEngine
) -> None:
    url = redis_cluster.url.replace("redis://", "redis+cluster://")
    client = connect(url)
    store = ModelStore(client)
    for number in range(60):
        await client.hset(f"a:{number}", "x", str(number))
        await client.set(f"b:{number}", b"\x00\x00\x80\x3f")
    for name in ("m", "other", "third"):
        await store.publish(bundle(scaled(), name, VIEW))
    running = await engine(redis_url=url)

    given = await running.predictor.predict(Ask("m", keys=[f"a:{number}" for number in range(60)]))
    job = Ledger(running.store.redis, running.store.keys, "job", process_name())
    await job.begin(JobSpec(model="m", version=1))
    standing = await score(running, job, lambda _: None)
    await store.publish(bundle(constant(7), "m", VIEW))
    async with asyncio.timeout(10):
        while (await running.predictor.predict(Ask("m", keys=["a:1"]))).version != 2:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.01)
    results = [json.loads(await client.get(f"score:a:{number}") or b"") for number in range(60)]

    assert [row.body["outputs"]["y"] for row in given.rows] == [[2 * number, 2] for number in range(60)]
    assert len(running.catalogue.loaded()) == 4
    assert standing.tally.scored == 60
    assert [one["outputs"]["y"] for one in results] == [[2 * number, 2] for number in range(60)]
    await client.aclose()


async def test_a_server_starts_and_serves_while_a_node_is_away(
    redis_cluster: RedisNodes, engine: StartEngine
) -> None:
    urls = [node.tcp_url.replace("redis://", "redis+cluster://") for node in redis_cluster.nodes]
    first, other = (
        next(name for name in map("m{}".format, range(99)) if part_of(name) == at) for at in (0, 1)
    )
    key, lost = (next(key for key in map("k:{}".format, range(99)) if part_of(key) == at) for at in (2, 0))
    client = connect(urls[0])
    for one in (key, lost):
        await client.hset(one, "x", "3")
    hashes = {"inputs": [{"name": "x", "sources": [{"key": "k:{id}", "as": "hash", "fields": ["x"]}]}]}
    for name in (first, other):
        await ModelStore(client).publish(bundle(dense(f32([[2]])), name, hashes, task="regression"))
    await client.aclose()
    for node in redis_cluster.nodes:
        with node.connect() as one:
            one.config_set("cluster-require-full-coverage", "no")
    redis_cluster.nodes[0].kill()

    running = await engine(redis_url=urls[1])
    answer = await running.predictor.predict(Ask(other, keys=[key, lost]))

    assert answer.rows[0].body["value"] == 6.0
    assert isinstance(answer.rows[1].error, RedisUnavailable)
    with pytest.raises(RedisUnavailable):
        await running.predictor.predict(Ask(first, keys=[key]))
    assert [one.manifest.name for one in running.catalogue.loaded()] == [other]
    away = f"127.0.0.1:{redis_cluster.nodes[0].port} of the Redis Cluster away: keys and models there are not read"
    assert (running.redis_ok, running.ready()) == (True, (True, away))
    assert b"insitu_redis_up 0.0" in running.metrics.exposition()


async def test_processes_share_a_job_on_a_cluster(redis_cluster: RedisNodes, engine: StartEngine) -> None:
    url = redis_cluster.url.replace("redis://", "redis+cluster://")
    client = connect(url)
    for number in range(900):
        await client.hset(f"k:{number}", "x", str(number))
    hashes = {"inputs": [{"name": "x", "sources": [{"key": "k:{id}", "as": "hash", "fields": ["x"]}]}]}
    await ModelStore(client).publish(bundle(dense(f32([[2]])), "m", hashes, task="regression"))
    running = await engine(redis_url=url)
    job = Ledger(running.store.redis, running.store.keys, "job", process_name())
    await job.begin(JobSpec(model="m", version=1, max_rate=300))
    processes = [await working(url) for _ in range(3)]
    for process in processes:
        await scoring(process)

    processes[0].kill()
    ended = [await process.communicate() for process in processes]

    standing = await job.look()
    assert [process.returncode for process in processes[1:]] == [0, 0], ended
    assert (standing.state, standing.tally.scored, standing.tally.skipped) == (DONE, 900, {})
    assert len(await client.hkeys(running.store.keys.job_tallies("job"))) == 3
    results = [json.loads(await client.get(f"score:k:{number}") or b"") for number in range(900)]
    assert [one["value"] for one in results] == [2.0 * number for number in range(900)]
    await client.aclose()
