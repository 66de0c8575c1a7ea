"""The core on a Redis Cluster: models, features and results lie in slots of every node."""

import asyncio
import json

import pytest
from redis.crc import key_slot

from models.connecting import connect
from models.errors import RedisUnavailable
from models.jobs import JobSpec
from models.ledger import DONE, Ledger
from models.store import ModelStore, Pointers
from server.batch.scoring import process_name, score
from server.inference import catalogue as cataloguing
from server.inference import meanings
from server.inference.asking import Ask
from tests.away import without_full_coverage
from tests.graphs import bundle, constant, dense, f32, scaled
from tests.integration.server.conftest import StartEngine, until
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
    without_full_coverage(redis_cluster)
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


async def filled(nodes: RedisNodes, most: int) -> dict[int, list[str]]:
    """Let the nodes go on without one another, and publish models on each; return their names by node."""
    client = connect(nodes.url.replace("redis://", "redis+cluster://"))
    found: dict[int, list[str]] = {at: [] for at in range(3)}
    for name in map("m{}".format, range(99)):
        if len(found[part_of(name)]) < most:
            found[part_of(name)].append(name)
            await ModelStore(client).publish(bundle(scaled(), name))
    await client.aclose()
    without_full_coverage(nodes)
    return found


@pytest.mark.parametrize("key", ["insitu:models", "insitu:events"])
async def test_a_server_starts_without_the_node_that_has_what_it_asks_first(
    redis_cluster: RedisNodes, engine: StartEngine, key: str
) -> None:
    names = await filled(redis_cluster, 1)
    gone = part_of(key)
    redis_cluster.nodes[gone].kill()
    places = ",".join(f"127.0.0.1:{node.port}" for node in redis_cluster.nodes)

    running = await engine(redis_url=f"redis+cluster://{places}")
    await until(lambda: running.ready()[0])
    others = [name for at in range(3) if at != gone for name in names[at]]
    served = [(await running.catalogue.get(name)).manifest.name for name in others]

    assert served == others
    assert running.redis_ok
    away = f"127.0.0.1:{redis_cluster.nodes[gone].port} of the Redis Cluster away"
    assert running.ready()[1].startswith(away)


async def test_a_node_that_says_nothing_is_waited_for_once_however_many_models_it_has(
    redis_cluster: RedisNodes, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await filled(redis_cluster, 6)
    silent = next(at for at in range(3) if at not in {part_of("insitu:models"), part_of("insitu:events")})
    asked: list[str] = []
    monkeypatch.setattr(cataloguing, "PRELOAD_SECONDS", 0.5)
    monkeypatch.setattr(meanings, "LOOK_UP_SECONDS", 0.5)
    pointers = ModelStore.pointers

    async def noted(store: ModelStore, name: str) -> Pointers:
        asked.append(name)
        return await pointers(store, name)

    monkeypatch.setattr(ModelStore, "pointers", noted)
    redis_cluster.nodes[silent].pause()

    places = ",".join(f"127.0.0.1:{node.port}" for node in redis_cluster.nodes)
    running = await engine(redis_url=f"redis+cluster://{places}")
    await until(lambda: running.ready()[0])

    assert len(set(asked) & set(names[silent])) <= cataloguing.PRELOADS_AT_ONCE
    there = {name for at in range(3) if at != silent for name in names[at]}
    assert {one.manifest.name for one in running.catalogue.loaded()} == there


async def test_a_node_that_has_gone_silent_is_waited_for_once_while_the_others_are_looked_at(
    redis_cluster: RedisNodes, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = await filled(redis_cluster, 4)
    silent = next(at for at in range(3) if at not in {part_of("insitu:models"), part_of("insitu:events")})
    running = await engine(redis_url=redis_cluster.url.replace("redis://", "redis+cluster://"))
    looked: list[str] = []
    changed = running.catalogue.changed

    async def noted(name: str) -> None:
        looked.append(name)
        await changed(name)

    monkeypatch.setattr(running.catalogue, "changed", noted)
    monkeypatch.setattr(cataloguing, "LOOK_UP_SECONDS", 0.5)
    redis_cluster.nodes[silent].pause()

    await running.catalogue.sync()

    assert len(set(looked) & set(names[silent])) == 1
    assert {name for at in range(3) if at != silent for name in names[at]} <= set(looked)


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
