"""Blocks of keys say what the predictor says of each, and leave to it what is odd."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from models import hash_blocks, text_columns, vector_blocks  # noqa: F401  # with pyarrow loaded, few rows are read in columns too
from models.decoding import KeyRefused
from models.errors import RedisRefused, RedisUnavailable
from models.store import ModelStore
from models.tensor_strings import of_array, pack
from models.vector_blocks import BLOCK_KEYS
from server.inference import blocks
from server.inference.asking import Ask
from server.inference.blocks import Block
from server.inference.columns import columns_of
from server.inference.engine import Engine
from server.inference.reading import block_reader
from tests.graphs import FLOAT, bundle, dense, f32, looked_up, passed
from tests.integration.server.asks import repeated
from tests.integration.server.conftest import StartEngine
from tests.servers import RedisNodes, RedisServer

Start = Callable[..., RedisServer]
HASH = {"key": "h:{id}", "as": "hash", "fields": ["a", "b", "c"]}
VECTOR = {"key": "v:{id}", "as": "vector", "shape": [3]}
WEIGHTS = dense(f32([[1], [2], [4]]))
SUM = {"task": "regression"}
COUNT = 700  # more than a piece


def view(*sources: Mapping[str, Any]) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "sources": [*sources]}]}


async def read(engine: Engine, keys: Sequence[str]) -> Block:
    return await engine.blocks.read_and_run(await engine.catalogue.get("m"), keys)


async def agreed(engine: Engine, keys: Sequence[str]) -> Block:
    """Read and run a block, and see that the predictor says the same of its rows."""
    scored = await read(engine, keys)
    assert sorted([*scored.at, *scored.odd]) == list(range(len(keys)))
    assert [*scored.rows.keys] == [keys[at] for at in scored.at]
    if scored.at:
        answer = await engine.predictor.predict(Ask("m", keys=[keys[at] for at in scored.at]))
        assert [row.error for row in answer.rows] == [None] * len(scored.at)
        assert [row.body for row in scored.rows] == [row.body for row in answer.rows]
    return scored


def numbers(scored: Block) -> list[float]:
    found = columns_of(scored.rows)
    assert found is not None
    return [float(one) for one in found[1].numbers]


async def fill_hashes(redis: Any, count: int = COUNT, **more: Any) -> list[str]:
    pipeline = redis.pipeline(transaction=False)
    for at in range(count):
        pipeline.hset(f"h:{at}", mapping={"a": at, "b": f"{at}.5", "c": "1e-1", **more})
    await pipeline.execute()
    return [f"h:{at}" for at in range(count)]


async def fill_vectors(redis: Any, count: int = COUNT) -> list[str]:
    await redis.mset({f"v:{at}": f32([at, 1, 2]).tobytes() for at in range(count)})
    return [f"v:{at}" for at in range(count)]


async def fill_tensors(redis: Any, count: int = COUNT) -> list[str]:
    await redis.mset({f"v:{at}": pack(of_array(f32([at, 1, 2]))) for at in range(count)})
    return [f"v:{at}" for at in range(count)]


async def test_vectors_are_answered_in_columns(store: ModelStore, engine: StartEngine, redis: Redis) -> None:
    keys = await fill_vectors(redis)
    await store.publish(bundle(WEIGHTS, view=view(VECTOR), **SUM))

    scored = await agreed(running := await engine(), keys)

    assert not scored.odd
    assert numbers(await read(running, keys)) == [at + 10.0 for at in range(COUNT)]


async def test_vectors_that_are_tensors_are_answered_in_columns(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = await fill_tensors(redis)
    await store.publish(bundle(WEIGHTS, view=view(VECTOR), **SUM))
    running = await engine()
    assert not (await agreed(running, keys)).odd
    monkeypatch.setattr(vector_blocks, "parsed", None)  # what makes objects of replies

    assert numbers(await read(running, keys)) == [at + 10.0 for at in range(COUNT)]


@pytest.mark.parametrize(
    "odd",
    [
        None,
        f32([1, 2]),
        np.array([1, 2, 3], np.int32),
        np.array(["a", "b", "c"], object),
        f32([1, np.inf, 2]),
    ],
)
async def test_an_odd_tensor_costs_only_itself(
    store: ModelStore, engine: StartEngine, redis: Redis, odd: Any
) -> None:
    for keys in (await fill_tensors(redis, 60), await fill_vectors(redis, 60)):
        await redis.set(keys[7], b"" if odd is None else pack(of_array(odd)))
        await redis.set(keys[8], pack(of_array(f32([[8], [1], [2]]))))
        await store.publish(bundle(WEIGHTS, view=view(VECTOR), **SUM))

        assert list((await agreed(await engine(), keys)).odd) == [7]


async def test_a_tensor_of_another_type_is_named_to_who_asks_for_its_key(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await redis.set("v:1", pack(of_array(np.array([[1, 2, 3]], np.int64))))
    await store.publish(bundle(WEIGHTS, view=view(VECTOR), **SUM))

    answer = await (await engine()).predictor.predict(Ask("m", keys=["v:1"]))

    wanted = "FLOAT with 3 elements (float32 [3])"
    assert str(answer.rows[0].error) == f"key 'v:1' has a tensor of INT64 [1, 3], the model wants {wanted}"


async def test_hashes_are_answered_in_columns(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = await fill_hashes(redis)
    await store.publish(bundle(WEIGHTS, view=view(HASH), **SUM))
    running = await engine()

    columns = await read(running, keys)
    monkeypatch.setattr(hash_blocks, "arrow", lambda: False)
    without = await read(running, keys)

    assert numbers(columns) == numbers(without)
    assert len(columns.rows) == COUNT
    await agreed(running, keys)


async def test_small_hashes_are_read_whole_and_others_field_by_field(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    keys = await fill_hashes(redis)
    await store.publish(bundle(WEIGHTS, view=view(HASH), **SUM))
    running = await engine()
    await read(running, keys)
    await redis.config_resetstat()

    await read(running, keys)
    whole = await redis.info("commandstats")
    await redis.hset(keys[0], mapping={f"more {at}": "x" * 100 for at in range(5000)})
    scored = await agreed(running, keys)
    for key in keys:
        await redis.hset(key, mapping={f"other {at}": at for at in range(20)})
    await read(running, keys)
    await redis.config_resetstat()
    await agreed(running, keys)
    parts = await redis.info("commandstats")

    assert set(whole) & {"cmdstat_hgetall", "cmdstat_hmget"} == {"cmdstat_hgetall"}
    assert not scored.odd  # one huge hash among small ones
    assert "cmdstat_hgetall" not in parts


@pytest.mark.parametrize("shuffled", ["all", "few"])
async def test_fields_may_lie_in_any_order(
    store: ModelStore, engine: StartEngine, redis: Redis, shuffled: str
) -> None:
    await store.publish(bundle(WEIGHTS, view=view(HASH), **SUM))
    generator = np.random.default_rng(1)
    keys = [f"h:{at}" for at in range(COUNT)]
    for at, key in enumerate(keys):
        names = ["a", "b", "c", "other", "more"]
        if shuffled == "all" or at % 50 == 0:
            generator.shuffle(names)
        await redis.hset(key, mapping={name: at + ord(name[0]) for name in names})
    running = await engine()

    for _ in range(3):
        assert not (await agreed(running, keys)).odd


ODD = {
    "missing": None,
    "another type": "list",
    "a field is missing": {"a": 1, "b": 2},
    "no number": {"a": 1, "b": "x", "c": 3},
    "not finite": {"a": 1, "b": "nan", "c": 3},
    "too large": {"a": 1, "b": "1e40", "c": 3},
    "a newline": {"a": 1, "b": "2\r\n$1\r\n3", "c": 3},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_an_odd_hash_costs_only_itself(
    store: ModelStore, engine: StartEngine, redis: Redis, odd: Any
) -> None:
    keys = await fill_hashes(redis, 60)
    await redis.delete(keys[7])
    if isinstance(odd, dict):
        await redis.hset(keys[7], mapping=odd)
    elif odd is not None:
        await redis.rpush(keys[7], "x")
    await store.publish(bundle(WEIGHTS, view=view(HASH), **SUM))

    scored = await agreed(await engine(), [*keys, "no key of the view"])

    assert list(scored.odd) == [7, 60]


@pytest.mark.parametrize("odd", [None, b"short", f32([1, np.nan, 2]).tobytes(), [1]])
async def test_an_odd_vector_costs_only_itself(
    store: ModelStore, engine: StartEngine, redis: Redis, odd: Any
) -> None:
    keys = await fill_vectors(redis)
    await redis.delete(keys[7])
    if isinstance(odd, list):
        await redis.rpush(keys[7], *odd)
    elif odd is not None:
        await redis.set(keys[7], odd)
    await store.publish(bundle(WEIGHTS, view=view(VECTOR), **SUM))

    scored = await agreed(await engine(), keys)

    assert list(scored.odd) == [7]


async def test_nothing_but_odd_keys_needs_no_run(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await store.publish(bundle(WEIGHTS, view=view(HASH), **SUM))
    running = await engine()

    assert list((await read(running, ["h:1", "h:2"])).odd) == [0, 1]
    assert list((await read(running, ["other"])).odd) == [0]


async def test_sources_of_several_keys_are_joined(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    category = {"name": "c", "categories": ["DE", "FR"], "unknown": "FR"}
    hashes = {"key": "h:{id}", "as": "hash", "fields": ["a", category]}
    await store.publish(bundle(dense(f32([[1], [2], [4], [8], [16]])), view=view(hashes, VECTOR), **SUM))
    await fill_hashes(redis, 100)
    await fill_vectors(redis, 99)
    keys = [f"h:{at}" for at in range(100)]

    scored = await agreed(await engine(), keys)

    assert list(scored.odd) == [99]


async def test_answers_that_are_no_columns_come_row_by_row(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    keys = await fill_vectors(redis, 50)
    await store.publish(bundle(passed(FLOAT, ["rows", 3]), view=view(VECTOR)))

    scored = await agreed(await engine(), keys)

    assert columns_of(scored.rows) is None
    assert len(scored.rows) == 50


async def test_a_run_that_fails_blames_the_guilty_rows(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    source = {"key": "k:{id}", "as": "vector", "dtype": "int64", "shape": [1]}
    features = {"inputs": [{"name": "i", "sources": [source], "shape": []}]}
    for at in range(20):
        await redis.set(f"k:{at}", np.array([99 if at == 3 else at % 4]).tobytes())
    await store.publish(bundle(looked_up(f32([[1], [2], [3], [4]])), view=features))
    running = await engine()

    scored = await read(running, [f"k:{at}" for at in range(20)])

    assert [at for at, row in enumerate(scored.rows) if row.error is not None] == [3]


async def test_a_cluster_is_read_node_by_node(engine: StartEngine, redis_cluster: RedisNodes) -> None:
    url = redis_cluster.url.replace("redis://", "redis+cluster://")
    running = await engine(redis_url=url, redis_timeout_ms=500)
    client = running.store.redis
    for at in range(200):
        await client.set(f"v:{at}", f32([at, 1, 2]).tobytes())
    await client.delete("v:9")
    await running.store.publish(bundle(WEIGHTS, view=view(VECTOR), **SUM))
    keys = [f"v:{at}" for at in range(200)]

    scored = await agreed(running, keys)
    assert list(scored.odd) == [9]

    serving = await running.catalogue.get("m")
    redis_cluster.nodes[2].pause()
    left = await running.blocks.read_and_run(serving, keys)
    redis_cluster.nodes[2].resume()

    assert 1 < len(left.odd) < 200


async def test_a_redis_that_comes_back_is_read_again(engine: StartEngine, redis_server: Start) -> None:
    server = redis_server(aof=True)
    running = await engine(redis_url=server.url, redis_timeout_ms=300)
    keys = await fill_hashes(running.store.redis, 50)
    await running.store.publish(bundle(WEIGHTS, view=view(HASH), **SUM))
    assert not (await agreed(running, keys)).odd

    server.kill()
    away = await repeated(lambda: read(running, keys), lambda now: isinstance(now, RedisUnavailable))
    server.start()
    back = await repeated(lambda: read(running, keys), lambda now: isinstance(now, Block))

    assert isinstance(away, RedisUnavailable)
    assert not back.odd
    assert running.catalogue.loaded()[0].batcher.load == 0


async def test_a_user_who_may_not_read_in_bulk_reads_one_by_one(
    engine: StartEngine, redis_server: Start
) -> None:
    server = redis_server()
    running = await engine(redis_url=server.url)
    hashes, vectors = await fill_hashes(running.store.redis, 50), await fill_vectors(running.store.redis, 50)
    servings = {}
    for name, source in (("h", HASH), ("v", VECTOR)):
        await running.store.publish(bundle(WEIGHTS, name=name, view=view(source), **SUM))
        servings[name] = await running.catalogue.get(name)
    with server.connect() as client:
        client.execute_command("ACL", "SETUSER", "default", "-mget", "-hgetall")

    assert not (await running.blocks.read_and_run(servings["v"], vectors)).odd
    assert not (await running.blocks.read_and_run(servings["h"], hashes)).odd

    with server.connect() as client:
        client.execute_command("ACL", "SETUSER", "default", "-hmget")
    with pytest.raises(RedisRefused):
        await running.blocks.read_and_run(servings["h"], hashes)


async def test_keys_that_may_not_be_read_are_odd_rows(engine: StartEngine, redis_server: Start) -> None:
    server = redis_server()
    running = await engine(redis_url=server.url)
    redis = running.store.redis
    vectors, hashes = (await fill_vectors(redis))[:64], (await fill_hashes(redis))[:64]
    servings = {}
    for name, source in (("h", HASH), ("v", VECTOR)):
        await running.store.publish(bundle(WEIGHTS, name=name, view=view(source), **SUM))
        servings[name] = await running.catalogue.get(name)
    with server.connect() as client:
        client.execute_command("ACL", "SETUSER", "default", "resetkeys", "~insitu*", "~?:[1-9]*")

    beside = await running.blocks.read_and_run(servings["v"], vectors)
    alone = await running.blocks.read_and_run(servings["h"], hashes)
    answer = await running.predictor.predict(Ask("v", keys=vectors[:2]))

    assert (alone.odd, beside.odd) == ([0], [*range(BLOCK_KEYS)])
    assert [type(row.error) for row in answer.rows] == [KeyRefused, type(None)]

    few = await running.blocks.read_and_run(servings["v"], vectors[:BLOCK_KEYS])
    again = await running.blocks.read_and_run(servings["v"], vectors[:BLOCK_KEYS])

    assert (len(few.odd), again.odd) == (BLOCK_KEYS, [0])


async def test_a_reply_past_the_bound_is_read_otherwise(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_reader, "REPLY_BYTES", 20_000)
    keys = await fill_hashes(redis)
    await store.publish(bundle(WEIGHTS, view=view(HASH), **SUM))
    running = await engine()
    assert not (await agreed(running, keys[:100])).odd
    await redis.hset(keys[50], "blob", "x" * 50_000)

    scored = await agreed(running, keys[:100])

    assert not scored.odd


async def test_full_queues_are_waited_for(store: ModelStore, engine: StartEngine, redis: Redis) -> None:
    keys = await fill_vectors(redis, 300)
    await store.publish(bundle(WEIGHTS, view=view(VECTOR), **SUM))
    running = await engine(max_queue_rows=100)

    every = await asyncio.gather(*[read(running, keys[at : at + 90]) for at in range(0, 270, 90)])

    assert [len(one.rows) for one in every] == [90] * 3


async def test_a_block_has_no_more_rows_than_can_be_told_at_once(
    store: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.publish(bundle(dense(f32([[1, 2, 3]] * 3)), view=view(VECTOR)))
    running = await engine()
    serving = await running.catalogue.get("m")
    before = running.blocks.rows(serving)

    monkeypatch.setattr(blocks, "ANSWER_NUMBERS", 3 * 7 + 2)

    assert before > running.blocks.rows(serving) == 7


async def test_rows_that_see_one_another_are_not_read_in_blocks(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await store.publish(
        bundle(WEIGHTS, view={"inputs": [{"name": "x", "sources": [{**HASH, "as": "json"}]}]}, **SUM)
    )
    running = await engine()
    serving = await running.catalogue.get("m")

    assert not running.blocks.supports(serving)
    assert running.blocks.rows(serving) > 1
    with pytest.raises(ValueError, match="not read in blocks"):
        await running.blocks.read_and_run(serving, ["h:1"])
