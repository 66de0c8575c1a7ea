"""Every key that matches is scored once into a key of its own, whatever happens beside it."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from models.bundle import Bundle
from models.errors import BadRequest, ModelNotFound, RedisRefused, RedisUnavailable
from models.store import ModelStore
from server.batch import scoring
from server.batch.scoring import ScoreJob, Summary, score
from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.errors import DeadlineExceeded, Overloaded
from tests.graphs import bundle, constant, dense, f32, looping, scaled
from tests.integration.server.conftest import StartEngine
from tests.servers import RedisServer

Start = Callable[..., RedisServer]
HASH = {"key": "k:{id}", "as": "hash", "fields": ["a", "b"]}
VIEW = {"inputs": [{"name": "x", "sources": [HASH]}]}
VECTOR = {"inputs": [{"name": "x", "sources": [{"key": "v:{id}", "as": "vector", "shape": [2]}]}]}


WAYS = pytest.mark.parametrize(
    "model",
    [bundle(scaled(), view=VIEW), bundle(dense(f32([[1], [0]])), view=VIEW, task="regression")],
    ids=["row by row", "in columns"],
)


def quietly(_summary: Summary) -> None:
    """Watch nothing."""


async def scored(engine: Engine, **job: Any) -> Summary:
    return await score(engine, ScoreJob("m", **job), quietly)


async def result(redis: Redis, key: str) -> Any:
    data = await redis.get(key)
    assert data is not None, key
    return json.loads(data)


async def fill(redis: Redis, count: int) -> None:
    pipeline = redis.pipeline(transaction=False)
    for number in range(count):
        pipeline.hset(f"k:{number}", mapping={"a": number, "b": 1})
    await pipeline.execute()


async def test_every_key_of_the_template_is_scored(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await fill(redis, 2500)
    await store.publish(bundle(dense(f32([[1], [0]])), view=VIEW, task="regression"))
    running = await engine()
    shares: list[float] = []

    summary = await score(running, ScoreJob("m"), lambda now: shares.append(now.share))

    assert summary.scored == 2500
    assert summary.skipped == {}
    assert (summary.lowest, summary.highest, summary.total) == (0.0, 2499.0, sum(range(2500)))
    assert await result(redis, "score:k:17") == {"model": "m", "version": 1, "key": "k:17", "value": 17.0}
    assert len([key async for key in redis.scan_iter("score:*", 1000)]) == 2500
    assert shares[-1] == 1.0
    assert len(shares) > 2


async def test_scoring_again_writes_the_same_bytes(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await fill(redis, 20)
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()

    await scored(running)
    first = [await redis.get(f"score:k:{number}") for number in range(20)]
    await scored(running)

    assert [await redis.get(f"score:k:{number}") for number in range(20)] == first


async def test_rows_that_cannot_be_scored_are_counted_by_reason(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await fill(redis, 3)
    await redis.hset("k:odd", mapping={"a": "x", "b": 1})
    await redis.hset("k:half", mapping={"a": 1})
    await redis.hset("k:3:more", mapping={"a": 1, "b": 1})
    await redis.hset("k:\udcff".encode("utf-8", "surrogateescape"), mapping={"a": 1, "b": 1})
    await redis.set("k:text", "no hash")
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()

    summary = await scored(running)

    assert summary.scored == 3
    assert summary.skipped == {"not_a_number": 1, "field_missing": 1}
    assert "'k:half' has no field 'b'" in summary.examples["field_missing"]
    assert summary.other_keys == 2
    assert await redis.get("score:k:half") is None


async def test_labels_fills_pattern_target_and_expiry(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await fill(redis, 20)
    await redis.hset("k:1", mapping={"a": -9})
    await redis.hdel("k:1", "b")
    await store.publish(bundle(dense(f32([[-1, 1], [0, 0]]), "Softmax"), view=VIEW, labels=("no", "yes")))
    running = await engine()

    summary = await scored(running, match="k:1*", to="out:{key}:v1", ttl_seconds=100, missing=0)

    assert summary.scored == 11
    assert summary.labels == {"yes": 10, "no": 1}
    one = await result(redis, "out:k:1:v1")
    assert (one["label"], one["filled"]) == ("no", ["b"])
    assert 0 < await redis.ttl("out:k:10:v1") <= 100
    assert await redis.exists("out:k:2:v1") == 0


async def test_a_version_or_the_raw_outputs_may_be_asked_for(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await redis.set("v:1", f32([1, 2]).tobytes())
    await store.publish(bundle(constant(1), view=VECTOR, task="regression"))
    await store.publish(bundle(constant(2), view=VECTOR, task="regression"))
    running = await engine()

    summary = await scored(running, reference=1, raw=True)

    assert summary.version == 1
    assert await result(redis, "score:v:1") == {
        "model": "m",
        "version": 1,
        "key": "v:1",
        "outputs": {"y": [1.0]},
    }


async def test_one_version_scores_the_whole_job(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "PART_ROWS", 10)
    await fill(redis, 100)
    await store.publish(bundle(constant(1), view=VIEW, task="regression"))
    running = await engine()
    published = asyncio.Event()
    parts = 0

    def watch(_summary: Summary) -> None:
        nonlocal parts
        parts += 1
        published.set()

    job = asyncio.create_task(score(running, ScoreJob("m"), watch))
    await published.wait()
    await store.publish(bundle(constant(2), view=VIEW, task="regression"))
    summary = await job

    values = {(await result(redis, f"score:k:{number}"))["value"] for number in range(100)}
    assert values == {1.0}
    assert summary.scored == 100
    assert parts > 5


@WAYS
async def test_an_answer_is_kept_as_long_as_was_asked(
    store: ModelStore, engine: StartEngine, redis: Redis, model: Bundle
) -> None:
    await fill(redis, 3)
    await store.publish(model)
    running = await engine()

    await scored(running, to="out:{key}", ttl_seconds=100)
    await scored(running, to="good:{key}")

    assert [0 < await redis.ttl(f"out:k:{number}") <= 100 for number in range(3)] == [True] * 3
    assert [await redis.ttl(f"good:k:{number}") for number in range(3)] == [-1] * 3


@pytest.mark.parametrize(
    ("job", "told"),
    [
        ({"to": "score"}, r"must have \{key\} in it once"),
        ({"to": "score:{id}:{key}"}, "must have"),
        ({"to": "{key}" + "x" * 600}, "must have"),
        ({"to": "{key}"}, "which 'k:{id}' reads as features"),
        ({"ttl_seconds": 0}, "ttl_seconds is 0; an answer is kept for at least 1 s"),
    ],
)
@WAYS
async def test_a_target_that_would_do_harm_is_refused(
    engine: StartEngine, redis: Redis, model: Bundle, job: dict[str, Any], told: str
) -> None:
    await redis.hset("k:1", mapping={"a": 1, "b": 1})
    await ModelStore(redis).publish(model)
    running = await engine()
    before = await redis.dbsize()

    with pytest.raises(BadRequest, match=told):
        await scored(running, **job)

    assert await redis.hgetall("k:1") == {b"a": b"1", b"b": b"1"}
    assert await redis.dbsize() == before


async def test_a_model_that_reads_no_keys_scores_none(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(scaled()))
    running = await engine()

    with pytest.raises(BadRequest, match="has no feature view"):
        await scored(running)
    with pytest.raises(ModelNotFound):
        await score(running, ScoreJob("other"), quietly)


async def test_a_busy_server_delays_a_job_and_does_not_end_it(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(redis, 10)
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()
    predict, refused = running.predictor.predict, iter([Overloaded("the queue", 9, 0.01)] * 3)

    async def busy(ask: Ask) -> Answer:
        for fault in refused:
            raise fault
        return await predict(ask)

    monkeypatch.setattr(running.predictor, "predict", busy)

    assert (await scored(running)).scored == 10


async def test_a_part_that_takes_too_long_is_scored_in_smaller_ones(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(redis, 37)
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()
    predict = running.predictor.predict
    sizes: list[int] = []

    async def slow(ask: Ask) -> Answer:
        sizes.append(len(ask.keys or ()))
        if sizes[-1] > 10:
            raise DeadlineExceeded(30)
        return await predict(ask)

    monkeypatch.setattr(running.predictor, "predict", slow)

    summary = await scored(running)

    assert summary.scored == 37
    assert max(sizes) == 37
    assert min(sizes) >= 5


async def test_a_row_that_never_ends_is_skipped_and_its_neighbours_are_scored(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    for number in range(3):
        await redis.hset(f"k:{number}", mapping={"a": 1, "turns": 1 << 60 if number == 1 else 1})
    view = {
        "inputs": [
            {"name": "x", "sources": [{"key": "k:{id}", "as": "hash", "fields": ["a"]}]},
            {"name": "turns", "sources": [{"key": "k:{id}", "as": "hash", "fields": ["turns"]}]},
        ]
    }
    await store.publish(bundle(looping(), view=view))
    running = await engine(request_timeout_seconds=0.3)

    summary = await scored(running)

    assert summary.scored == 2
    assert summary.skipped == {"deadline_exceeded": 1}


@WAYS
async def test_redis_that_goes_away_ends_the_job_and_keeps_what_is_written(
    engine: StartEngine, redis_server: Start, monkeypatch: pytest.MonkeyPatch, model: Bundle
) -> None:
    monkeypatch.setattr(scoring, "PART_ROWS", 10)
    server = redis_server(aof=True)
    async with Redis.from_url(server.url) as client:
        await fill(client, 500)
        await ModelStore(client).publish(model)
    running = await engine(redis_url=server.url)

    def watch(summary: Summary) -> None:
        if summary.scored >= 50:
            server.kill()

    started = time.monotonic()
    with pytest.raises(RedisUnavailable):
        await score(running, ScoreJob("m"), watch)

    assert time.monotonic() - started < 5
    server.start()
    with server.connect() as client:
        assert len(list(client.scan_iter("score:*", 1000))) >= 50


@WAYS
async def test_redis_without_memory_is_told(engine: StartEngine, redis_server: Start, model: Bundle) -> None:
    server = redis_server()
    async with Redis.from_url(server.url) as client:
        await fill(client, 10)
        await ModelStore(client).publish(model)
        running = await engine(redis_url=server.url)
        await client.config_set("maxmemory", 1)

        with pytest.raises(RedisRefused, match="maxmemory"):
            await scored(running)


async def test_a_watcher_that_had_enough_ends_the_job(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "PART_ROWS", 10)
    await fill(redis, 200)
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()

    def enough(summary: Summary) -> None:
        if summary.scored >= 30:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        await score(running, ScoreJob("m"), enough)

    assert np.any([await redis.exists(f"score:k:{number}") for number in range(200)])
