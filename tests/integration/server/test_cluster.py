"""The core on a Redis Cluster: models, features and results lie in slots of every node."""

import asyncio
import json

from models.connecting import connect
from models.jobs import JobSpec
from models.ledger import Ledger
from models.store import ModelStore
from server.batch.scoring import process_name, score
from server.inference.asking import Ask
from tests.graphs import bundle, constant, scaled
from tests.integration.server.conftest import StartEngine
from tests.servers import RedisNodes

SOURCES = [{"key": "a:{id}", "as": "hash", "fields": ["x"]}, {"key": "b:{id}", "as": "vector", "shape": [1]}]
VIEW = {"inputs": [{"name": "x", "sources": SOURCES}]}


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
