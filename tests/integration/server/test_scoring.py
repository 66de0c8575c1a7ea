"""Every row is scored, once for whoever looks, whatever happens beside it."""

import asyncio
import json
import resource
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from models import ledger as ledger_module
from models.assembly import Plan
from models.bundle import Bundle
from models.errors import (
    BadFeatureView,
    BadRequest,
    InsituError,
    ModelNotFound,
    RedisRefused,
    RedisUnavailable,
)
from models.feast_keys import EntityTemplate, feature_field
from models.features import FeatureView
from models.job_errors import JobNotFound, RowsElsewhere
from models.jobs import JobSpec
from models.ledger import DONE, FAILED, RUNNING, Ledger, Standing
from models.sources import FeastSource
from models.store import ModelStore
from server.batch import answering, pacing, walking
from server.batch import scoring as scoring_module
from server.batch.opening import Manner
from server.batch.places import not_asking
from server.batch.scoring import JobEnded, Progress, TooManyErrors, process_name, score
from server.batch.selecting import Written
from server.batch.targets.parts_folder import NotWritten
from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.errors import DeadlineExceeded, Overloaded, TooManyRows
from server.job_process import outcome_of
from tests import feast_store
from tests.graphs import bundle, constant, dense, f32, looping, scaled
from tests.integration.server.conftest import StartEngine
from tests.integration.server.scorers import scoring, working
from tests.servers import RedisServer

Start = Callable[..., RedisServer]
HASH = {"key": "k:{id}", "as": "hash", "fields": ["a", "b"]}
VIEW = {"inputs": [{"name": "x", "sources": [HASH]}]}
VECTOR = {"inputs": [{"name": "x", "sources": [{"key": "v:{id}", "as": "vector", "shape": [2]}]}]}
ANSWERS = {"kind": "string", "key": "score:{key}"}


WAYS = pytest.mark.parametrize(
    "model",
    [bundle(scaled(), view=VIEW), bundle(dense(f32([[1], [0]])), view=VIEW, task="regression")],
    ids=["row by row", "in columns"],
)


def quietly(_now: Progress) -> None:
    """Watch nothing."""


def strings(key: str = "score:{key}", **facts: Any) -> list[dict[str, Any]]:
    return [{"kind": "string", "key": key, **facts}]


async def begun(engine: Engine, **facts: Any) -> Ledger:
    """A job of the model m, with the version that answers now."""
    spec = JobSpec.parse(json.dumps({"model": "m", **facts}))
    serving = await engine.catalogue.get(spec.model, spec.version)
    ledger = Ledger(engine.store.redis, engine.store.keys, "job", process_name())
    await ledger.begin(spec.model_copy(update={"version": serving.manifest.version}))
    return ledger


async def scored(engine: Engine, watch: Callable[[Progress], None] = quietly, **facts: Any) -> Standing:
    return await score(engine, await begun(engine, **facts), watch)


def files(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


async def result(redis: Redis, key: str) -> Any:
    data = await redis.get(key)
    assert data is not None, key
    return json.loads(data)


async def fill(redis: Redis, count: int) -> None:
    pipeline = redis.pipeline(transaction=False)
    for number in range(count):
        pipeline.hset(f"k:{number}", mapping={"a": number, "b": 1})
    await pipeline.execute()


async def values(redis: Redis, count: int, key: str = "score:k:{}") -> list[float | None]:
    texts = await redis.mget([key.format(number) for number in range(count)])
    return [None if text is None else json.loads(text)["value"] for text in texts]


@WAYS
async def test_every_key_of_the_template_is_scored(
    store: ModelStore, engine: StartEngine, redis: Redis, model: Bundle
) -> None:
    await fill(redis, 5000)
    await store.publish(model)
    running = await engine()
    shares: list[float] = []

    standing = await scored(running, lambda now: shares.append(now.standing.share))

    tally = standing.tally
    assert (standing.state, tally.scored, tally.skipped, standing.waiting) == (DONE, 5000, {}, 0)
    assert len([key async for key in redis.scan_iter("score:*", 1000)]) == 5000
    assert shares[-1] == 1.0


async def test_numbers_are_counted_as_they_are(store: ModelStore, engine: StartEngine, redis: Redis) -> None:
    await fill(redis, 2500)
    await store.publish(bundle(dense(f32([[1], [0]])), view=VIEW, task="regression"))
    running = await engine()

    tally = (await scored(running)).tally

    assert (tally.lowest, tally.highest, tally.total) == (0.0, 2499.0, sum(range(2500)))
    assert sum(count for *_, count in tally.histogram.bins) == tally.numbers == 2500
    one = await result(redis, "score:k:17")
    assert one.pop("time") > 1.7e9
    assert one == {"model": "m", "version": 1, "key": "k:17", "value": 17.0}
    assert await values(redis, 2500) == [float(number) for number in range(2500)]


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

    standing = await scored(running, errors_to="redis:bad")

    assert standing.tally.scored == 3
    assert standing.tally.skipped == {"not_a_number": 1, "field_missing": 1}
    assert "'k:half' has no field 'b'" in standing.tally.examples["field_missing"]
    assert standing.passed_over == 2
    assert await redis.get("score:k:half") is None
    entries: Any = await redis.xrange("bad")
    listed = {entry[b"key"]: entry[b"code"] for _, entry in entries}
    assert listed == {b"k:odd": b"not_a_number", b"k:half": b"field_missing"}


async def test_labels_fills_pattern_target_and_expiry(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await fill(redis, 20)
    await redis.hset("k:1", mapping={"a": -9})
    await redis.hdel("k:1", "b")
    await store.publish(bundle(dense(f32([[-1, 1], [0, 0]]), "Softmax"), view=VIEW, labels=("no", "yes")))
    running = await engine()

    standing = await scored(
        running,
        rows={"kind": "match", "pattern": "k:1*"},
        to=strings("out:{key}:v1", ttl_seconds=100),
        missing=0,
    )

    assert standing.tally.scored == 11
    assert standing.tally.labels == {"yes": 10, "no": 1}
    one = await result(redis, "out:k:1:v1")
    assert (one["label"], one["filled"]) == ("no", ["b"])
    assert 0 < await redis.ttl("out:k:10:v1") <= 100
    assert await redis.exists("out:k:2:v1") == 0


async def test_several_targets_get_every_row(store: ModelStore, engine: StartEngine, redis: Redis) -> None:
    await fill(redis, 30)
    await store.publish(bundle(dense(f32([[-1, 1], [0, 0]]), "Softmax"), view=VIEW, labels=("no", "yes")))
    running = await engine()

    targets = [ANSWERS, {"kind": "zset", "key": "ranked"}, {"kind": "field", "field": "churn"}]
    await scored(running, to=targets, label="no")

    pairs: Any = await redis.zrange("ranked", 0, -1, withscores=True)
    ranked = dict(pairs)
    assert len(ranked) == 30
    for number in range(30):
        one = await result(redis, f"score:k:{number}")
        assert ranked[f"k:{number}".encode()] == pytest.approx(one["probabilities"]["no"], rel=1e-6)
        assert await redis.hget(f"k:{number}", "churn") == one["label"].encode()


async def test_a_version_or_the_raw_outputs_may_be_asked_for(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await redis.set("v:1", f32([1, 2]).tobytes())
    await store.publish(bundle(constant(1), view=VECTOR, task="regression"))
    await store.publish(bundle(constant(2), view=VECTOR, task="regression"))
    running = await engine()

    standing = await scored(running, version=1, outputs=True)

    assert standing.spec.version == 1
    one = await result(redis, "score:v:1")
    assert (one["version"], one["outputs"]) == (1, {"y": [1.0]})


async def test_one_version_scores_the_whole_job(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "PART_ROWS", 10)
    await fill(redis, 100)
    await store.publish(bundle(constant(1), view=VIEW, task="regression"))
    running = await engine()
    job = await begun(running)
    await store.publish(bundle(constant(2), view=VIEW, task="regression"))

    standing = await score(running, job, quietly)

    assert set(await values(redis, 100)) == {1.0}
    assert standing.tally.scored == 100


@WAYS
async def test_rows_that_have_an_answer_of_this_version_are_passed_over(
    store: ModelStore, engine: StartEngine, redis: Redis, model: Bundle
) -> None:
    await fill(redis, 20)
    await store.publish(model)
    running = await engine()
    await scored(running, rows={"kind": "match", "pattern": "k:1*"})
    await redis.hset("k:12", "a", 1000)

    again = await scored(running, only_missing=True)

    assert (again.tally.passed, again.tally.scored) == (11, 9)
    await store.publish(model)
    assert (await scored(running, only_missing=True, version=2)).tally.scored == 20


async def test_rows_whose_features_are_old_are_passed_over(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    timed = {"inputs": [{"name": "x", "sources": [{**HASH, "time_field": "at"}]}]}
    for number, at in enumerate(("100", "1970-01-01T00:05:00", "150.5", None)):
        await redis.hset(f"k:{number}", mapping={"a": 1, "b": 1, **({"at": at} if at else {})})
    await store.publish(bundle(scaled(), view=timed))
    running = await engine()

    tally = (await scored(running, newer_than=150)).tally

    assert (tally.passed, tally.scored) == (1, 3)
    assert await redis.exists("score:k:0") == 0
    await store.publish(bundle(scaled(), view=VIEW))
    with pytest.raises(BadRequest, match="time_field"):
        await scored(running, newer_than=150, version=2)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"to": strings("score")}, "score"),
        ({"to": strings("{key}")}, "reads as features"),
        ({"to": [{"kind": "zset", "key": "insitu:jobs"}]}, "where Insitu keeps models, jobs and events"),
        ({"label": "yes"}, "label 'yes' is none of model 'm'"),
        ({"missing": {"aa": 0}}, "missing names 'aa'"),
        ({"missing": {"a": "x"}}, "missing: the stand-in for 'a' holds 'x', which is not a float32 number"),
        ({"missing": {"a": 1e300}}, "missing: the stand-in for 'a' holds '1e"),
        ({"rows": {"kind": "redis", "key": "nothing"}}, "nothing"),
    ],
)
@WAYS
async def test_a_job_that_fits_nothing_is_refused_and_has_failed(
    engine: StartEngine, redis: Redis, model: Bundle, facts: dict[str, Any], told: str
) -> None:
    await redis.hset("k:1", mapping={"a": 1, "b": 1})
    await ModelStore(redis).publish(model)
    running = await engine()
    job = await begun(running, **facts)

    with pytest.raises(BadRequest, match=told):
        await score(running, job, quietly)

    now = await job.look()
    assert now.state == FAILED
    assert told in now.reason
    assert await redis.hgetall("k:1") == {b"a": b"1", b"b": b"1"}
    assert not [key async for key in redis.scan_iter("score*")]


async def test_a_model_that_reads_no_keys_scores_none(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(scaled()))
    running = await engine()

    job = await begun(running)
    with pytest.raises(BadFeatureView, match="has no feature view"):
        await score(running, job, quietly)
    assert (await job.look()).state == FAILED
    with pytest.raises(ModelNotFound):
        await begun(running, model="other")


async def test_a_job_that_nobody_began_is_told(store: ModelStore, engine: StartEngine) -> None:
    running = await engine()

    with pytest.raises(JobNotFound, match="nightly"):
        await score(running, Ledger(store.redis, store.keys, "nightly", "p"), quietly)


async def test_more_errors_than_are_allowed_end_the_job(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await fill(redis, 5)
    for number in range(3):
        await redis.hset(f"k:bad{number}", mapping={"a": "x", "b": 1})
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()

    with pytest.raises(
        TooManyErrors, match="3 rows could not be scored, max_errors allows 2; the first: field 'a'"
    ):
        await scored(running, max_errors=2)

    assert (await scored(running, max_errors=3)).tally.scored == 5


async def test_large_rows_are_asked_for_few_at_a_time(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(redis, 300)
    key = {"key": "v:{id}", "as": "vector", "shape": [1022], "default": 0}
    await store.publish(
        bundle(
            dense(f32([[1]] * 1024)),
            view={"inputs": [{"name": "x", "sources": [HASH, key]}]},
            task="regression",
        )
    )
    running = await engine()
    row_bytes = (await running.catalogue.get("m")).row_bytes
    monkeypatch.setattr(answering, "ASK_BYTES", 8 * row_bytes)
    monkeypatch.setattr(answering, "AT_ONCE", 2)
    predict, at_once = running.predictor.predict, [0]

    async def counted(ask: Ask) -> Answer:
        at_once.append(at_once[-1] + len(ask.keys or ()))
        try:
            return await predict(ask)
        finally:
            at_once.append(at_once[-1] - len(ask.keys or ()))

    monkeypatch.setattr(running.predictor, "predict", counted)
    standing = await scored(running)

    assert row_bytes > 4000
    assert (standing.tally.scored, max(at_once)) == (300, 16)


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

    assert (await scored(running, outputs=True)).tally.scored == 10


@pytest.mark.parametrize("fault", [DeadlineExceeded(30), TooManyRows(37, 10)])
async def test_a_part_that_takes_too_long_or_is_too_large_is_scored_in_smaller_ones(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch, fault: InsituError
) -> None:
    await fill(redis, 37)
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()
    predict = running.predictor.predict
    sizes: list[int] = []

    async def slow(ask: Ask) -> Answer:
        sizes.append(len(ask.keys or ()))
        if sizes[-1] > 10:
            raise fault
        return await predict(ask)

    monkeypatch.setattr(running.predictor, "predict", slow)

    assert (await scored(running, outputs=True)).tally.scored == 37
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

    tally = (await scored(running)).tally

    assert tally.scored == 2
    assert tally.skipped == {"deadline_exceeded": 1}


@WAYS
async def test_redis_that_is_restarted_is_waited_for(
    engine: StartEngine, redis_server: Start, monkeypatch: pytest.MonkeyPatch, model: Bundle
) -> None:
    monkeypatch.setattr(walking, "PART_ROWS", 10)
    server = redis_server(aof=True)
    async with Redis.from_url(server.url) as client:
        await fill(client, 500)
        await ModelStore(client).publish(model)
    running = await engine(redis_url=server.url)
    restarts: list[asyncio.Task[None]] = []

    async def restart() -> None:
        server.kill()
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.start)

    def watch(now: Progress) -> None:
        if not restarts:
            restarts.append(asyncio.create_task(restart()))

    standing = await scored(running, watch, max_rate=2000)

    await restarts[0]
    with server.connect() as client:
        assert len(list(client.scan_iter("score:*", 1000))) == 500
    assert (standing.state, standing.tally.skipped) == (DONE, {})
    assert standing.tally.scored == 500  # what was counted before is found, and counted, anew


async def test_redis_that_stays_away_ends_the_work_and_keeps_the_job(
    engine: StartEngine, redis_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "PART_ROWS", 10)
    monkeypatch.setattr(pacing, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(scoring_module, "LOOK_SECONDS", 0.05)
    server = redis_server(aof=True)
    async with Redis.from_url(server.url) as client:
        await fill(client, 200)
        await ModelStore(client).publish(bundle(scaled(), view=VIEW))
    running = await engine(redis_url=server.url)
    job = await begun(running, max_rate=100)

    with pytest.raises(RedisUnavailable):
        await score(running, job, lambda now: server.kill() if now.rows else None)

    server.start()
    assert (await job.look()).state == RUNNING
    assert (await score(running, job, quietly)).state == DONE
    with server.connect() as client:
        assert len(list(client.scan_iter("score:*", 1000))) == 200


@asynccontextmanager
async def begun_in_full_redis(
    engine: StartEngine, url: str, model: Bundle
) -> AsyncIterator[tuple[Engine, Ledger, Redis]]:
    """A job of ten rows that is begun; then Redis has no memory."""
    async with Redis.from_url(url) as client:
        await fill(client, 10)
        await ModelStore(client).publish(model)
        running = await engine(redis_url=url)
        job = await begun(running)
        await client.config_set("maxmemory", 1)
        yield running, job, client


@WAYS
async def test_redis_without_memory_is_told(engine: StartEngine, redis_server: Start, model: Bundle) -> None:
    async with begun_in_full_redis(engine, redis_server().url, model) as (running, job, _):
        with pytest.raises(RedisRefused, match="maxmemory"):
            await score(running, job, quietly)
        assert (await job.look()).state == RUNNING


@WAYS
async def test_a_job_of_a_server_waits_while_redis_has_no_memory(
    engine: StartEngine, redis_server: Start, model: Bundle
) -> None:
    async with begun_in_full_redis(engine, redis_server().url, model) as (running, job, client):
        told = await outcome_of(running, job, bool)
        waiting = (await job.look()).state
        await client.config_set("maxmemory", 0)

        assert (told.partition(":")[0], waiting) == ("waits in Redis", RUNNING)
        assert await outcome_of(running, job, bool) == "done, 10 rows scored"


async def test_a_disk_that_is_full_leaves_the_job_to_be_gone_on_with(
    store: ModelStore,
    engine: StartEngine,
    redis: Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger_module, "SILENT_SECONDS", 0.2)
    await fill(redis, 5000)
    await store.publish(bundle(dense(f32([[1], [0]])), view=VIEW, task="regression"))
    running = await engine()
    ledger = await begun(running, to=[{"kind": "csv", "path": str(tmp_path / "out")}])
    small, most = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(
        resource.RLIMIT_FSIZE, (1 << 14, most)
    )  # of a file, in bytes: a disk that takes no more
    try:
        with pytest.raises(NotWritten, match="out' cannot be written: File too large"):
            await score(running, ledger, quietly)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (small, most))

    assert (await ledger.look()).state == RUNNING
    assert [name for name in files(tmp_path / "out.parts") if name.startswith(".")] == []
    standing = await score(running, ledger, quietly)
    assert (standing.state, standing.tally.scored) == (DONE, 5000)
    assert files(tmp_path) == ["out"]


async def test_a_job_that_is_cancelled_ends_wherever_it_is_scored(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await fill(redis, 2000)
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()
    job = await begun(running, max_rate=100)
    scoring = asyncio.create_task(score(running, job, quietly))
    await asyncio.sleep(0.3)

    await job.end("cancelled", "no longer wanted")

    with pytest.raises(JobEnded, match="job 'job' was cancelled: no longer wanted"):
        await scoring


async def test_a_rate_is_kept(store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: Any) -> None:
    monkeypatch.setattr(walking, "PART_ROWS", 50)
    await fill(redis, 300)
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()

    standing = await scored(running, max_rate=300)

    assert standing.tally.scored == 300
    assert standing.seconds > 0.7


async def test_a_job_rests_while_redis_is_slow(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "PART_ROWS", 50)
    monkeypatch.setattr(pacing, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr(
        scoring_module, "LOOK_SECONDS", 0.01
    )  # a job rests from one probe to the next at the least
    await fill(redis, 500)
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()
    job = await begun(running, pause_above_ms=100, max_rate=500)
    resting: list[bool] = []

    async def slow() -> None:
        for _ in range(2):
            await redis.client_pause(250, all=True)
            await asyncio.sleep(0.5)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(slow())
        standing = await score(running, job, lambda now: resting.append(now.resting))

    assert standing.tally.scored == 500
    assert set(resting) == {False, True}


async def test_processes_share_a_job_and_what_a_killed_one_had_is_scored_by_the_others(
    store: ModelStore, engine: StartEngine, redis: Redis, redis_url: str
) -> None:
    await fill(redis, 6000)
    await store.publish(bundle(dense(f32([[1], [0]])), view=VIEW, task="regression"))
    running = await engine()
    job = await begun(running, max_rate=1500)
    processes = [await working(redis_url) for _ in range(3)]
    for process in processes:
        await scoring(process)

    processes[0].send_signal(signal.SIGKILL)
    ended = [await process.communicate() for process in processes]

    standing = await job.look()
    assert [process.returncode for process in processes] == [-signal.SIGKILL, 0, 0], ended
    assert (standing.state, standing.tally.scored) == (DONE, 6000)
    assert len(await redis.hkeys(store.keys.job_tallies("job"))) == 3
    assert await values(redis, 6000) == [float(number) for number in range(6000)]


PRIVATE = {"key": "k:{id}", "as": "hash", "fields": ["age", {"name": "income", "private": True}]}


async def test_a_job_names_no_private_feature_in_its_reports_and_logs(
    engine: StartEngine,
    store: ModelStore,
    redis: Redis,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    view = {"inputs": [{"name": "x", "sources": [PRIVATE]}]}
    await store.publish(bundle(scaled(), view=view))
    await redis.hset("k:1", mapping={"age": 3})
    await redis.hset("k:2", mapping={"age": 3, "income": "much"})
    running, rows = await engine(), {"kind": "match", "pattern": "k:*"}

    listed = await scored(running, rows=rows, to=strings(), errors_to=str(tmp_path / "bad.jsonl"))
    in_stream = await scored(running, rows=rows, to=strings(), errors_to="redis:bad")
    with pytest.raises(TooManyErrors) as many:
        await scored(running, rows=rows, to=strings(), max_errors=0)
    with pytest.raises(BadRequest) as unknown:
        await scored(running, rows=rows, to=strings(), missing={"incom": 1})

    told = [
        *listed.tally.examples.values(),
        *in_stream.tally.examples.values(),
        str(many.value),
        str(unknown.value),
        (tmp_path / "bad.jsonl").read_text(),
        str(await redis.xrange("bad")),
        caplog.text,
    ]
    assert listed.tally.skipped == {"field_missing": 1, "not_a_number": 1}
    assert all("private 1" in one for one in told[:-1])
    assert not any("income" in one for one in told)


async def test_instances_of_one_key_are_rows_of_their_own(
    store: ModelStore, engine: StartEngine, redis: Redis, tmp_path: Path
) -> None:
    inline = {"as": "inline", "fields": [{"name": "b"}]}
    view = {"inputs": [{"name": "x", "sources": [{**HASH, "fields": ["a"]}, inline]}]}
    await fill(redis, 2)
    await store.publish(bundle(dense(f32([[1], [10]])), view=view, task="regression"))
    running = await engine()
    table, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    table.write_text("id,b\n1,5\n0,7\n1,x\n1,6\n1,y\n9,1\n")

    standing = await scored(
        running,
        rows={"kind": "instances", "path": str(table)},
        to=[{"kind": "csv", "path": str(out)}, {"kind": "stream", "key": "told"}],
        errors_to=str(tmp_path / "errors"),
    )

    assert (standing.tally.scored, standing.tally.skipped) == (3, {"not_a_number": 2, "key_missing": 1})
    lines = [line.split(",")[:2] for line in out.read_text().splitlines()[1:]]
    assert sorted(lines) == [["k:0", "70.0"], ["k:1", "51.0"], ["k:1", "61.0"]]
    assert await redis.xlen("told") == 3
    listed = [json.loads(line)["key"] for line in (tmp_path / "errors").read_text().splitlines()]
    assert sorted(listed) == ["k:1", "k:1", "k:9"]


async def test_instances_are_passed_over_by_the_key_that_they_name(
    store: ModelStore, engine: StartEngine, redis: Redis, tmp_path: Path
) -> None:
    source = {"key": "k:{id}", "as": "hash", "fields": ["a"], "time_field": "at"}
    view = {"inputs": [{"name": "x", "sources": [source, {"inline": True, "fields": ["b"]}]}]}
    await store.publish(bundle(dense(f32([[1], [1]])), view=view, task="regression"))
    for number in range(4):
        await redis.hset(f"k:{number}", mapping={"a": number, "at": number})
    table = tmp_path / "rows.csv"
    table.write_text("id,b\n" + "".join(f"{number},1\n" for number in (0, 1, 1, 2, 3)))
    rows = {"kind": "instances", "path": str(table)}
    running = await engine()

    new = await scored(running, rows=rows, newer_than=2)
    missing = await scored(running, rows=rows, only_missing=True)

    assert (new.tally.passed, new.tally.scored) == (3, 2)
    assert (missing.tally.passed, missing.tally.scored) == (2, 3)


async def test_streams_are_scored_and_passed_over_by_the_time_of_their_newest_entry(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    source = {
        "key": "k:{id}",
        "as": "stream",
        "fields": ["a"],
        "last": 2,
        "pad": "left",
        "max_age_seconds": 1e12,
    }
    view = {"inputs": [{"name": "x", "shape": [2], "sources": [source]}]}
    await store.publish(bundle(dense(f32([[1], [10]])), view=view, task="regression"))
    for number in range(4):
        for at in range(number):
            added = 1_700_000_000_000 + 1000 * (number + at)
            await redis.xadd(f"k:{number}", {"a": number + at}, id=f"{added}-0")
    await redis.set("k:string", "1")
    await redis.xadd("k:old", {"a": 1}, id="1-1")
    running = await engine()

    every = await scored(running, to=[{"kind": "hash", "key": "told"}])
    new = await scored(running, rows={"kind": "match", "pattern": "k:?"}, newer_than=1_700_000_004)

    told: Any = await redis.hgetall("told")
    found = {key.decode(): json.loads(value)["value"] for key, value in told.items()}
    assert found == {"k:1": 10.0, "k:2": 32.0, "k:3": 54.0}
    assert every.tally.skipped == {"stale": 1}
    assert (new.tally.passed, new.tally.scored) == (2, 1)


def test_the_newest_entry_of_a_stream_that_no_rows_key_leads_to_is_no_time() -> None:
    timed = {"key": "shop:{shop}", "as": "stream", "fields": ["b"], "last": 1, "pad": "left"}
    inputs = [{"name": "x", "sources": [{**HASH, "fields": ["a"]}]}, {"name": "y", "sources": [timed]}]

    with pytest.raises(BadRequest, match=r"needs shop to find the newest entry in 'shop:\{shop\}'"):
        Written(Plan(FeatureView.read({"inputs": inputs})), 2, not_asking)


async def test_entities_of_feast_are_found_scored_under_their_names_and_passed_over_by_their_age(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await feast_store.written(redis)
    entity = {"customer_id": "string", "driver_id": "int64"}
    feast = {
        "as": "feast",
        "project": "probe_repo",
        "view": "customer_driver",
        "fields": ["affinity", "trips"],
    }
    view = {"inputs": [{"name": "x", "sources": [{**feast, "entity": entity}]}]}
    await store.publish(bundle(scaled(), view=view))
    running = await engine()

    done = await scored(running, newer_than=feast_store.WRITTEN)
    later = await scored(running, newer_than=feast_store.WRITTEN + 1)

    assert (done.tally.scored, done.tally.skipped, done.passed_over) == (2, {}, 1)
    assert await redis.exists("score:customer_id:anna:driver_id:1001") == 1
    assert (later.tally.scored, later.tally.passed) == (0, 2)


async def test_a_time_of_feast_that_cannot_be_read_is_left_to_scoring(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    feast = {"as": "feast", "project": "p", "view": "v", "entity": {"d": "int64"}, "fields": ["a", "b"]}
    source = FeastSource.model_validate(feast)
    fields: dict[Any, Any] = {feature_field("v", name): b"\x20\x01" for name in "ab"}
    await redis.hset(EntityTemplate(source).key("d:1"), mapping={**fields, "_ts:v": b"\x08"})
    await store.publish(bundle(scaled(), view={"inputs": [{"name": "x", "sources": [feast]}]}))

    assert (await scored(await engine(), newer_than=2)).tally.scored == 1


async def test_a_time_that_no_rows_key_leads_to_is_refused(store: ModelStore, engine: StartEngine) -> None:
    timed = {"key": "shop:{shop}", "as": "hash", "fields": ["b"], "time_field": "at"}
    view = {"inputs": [{"name": "x", "sources": [{**HASH, "fields": ["a"]}, timed]}]}
    await store.publish(bundle(dense(f32([[1], [1]])), view=view, task="regression"))

    with pytest.raises(BadRequest, match=r"newer_than needs shop to find 'at' in 'shop:\{shop\}'"):
        await scored(await engine(), newer_than=2)


async def test_instances_without_a_key_are_numbered_through_the_file(
    store: ModelStore, engine: StartEngine, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "PART_ROWS", 10)
    view = {
        "inputs": [{"name": "x", "sources": [{"as": "inline", "fields": [{"name": "a"}, {"name": "b"}]}]}]
    }
    await store.publish(bundle(dense(f32([[1], [10]])), view=view, task="regression"))
    running = await engine()
    table = tmp_path / "rows.csv"
    table.write_text("a,b\n" + "".join(f"{number},1\n" for number in range(35)))

    await scored(
        running, rows={"kind": "instances", "path": str(table)}, to=[{"kind": "hash", "key": "told"}]
    )

    told: Any = await redis.hgetall("told")
    found = {key.decode(): json.loads(value)["value"] for key, value in told.items()}
    assert found == {f"instance {number}": number + 10.0 for number in range(35)}


@pytest.mark.parametrize("errors_to", ["redis:bad", "file"])
async def test_a_key_that_is_no_text_is_a_bad_row(
    store: ModelStore, engine: StartEngine, redis: Redis, tmp_path: Path, errors_to: str
) -> None:
    await fill(redis, 2)
    await redis.sadd("keys", b"k:\xff", "k:0", "k:1")
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()
    place = errors_to if errors_to != "file" else str(tmp_path / "errors")

    rows = {"kind": "redis", "key": "keys"}
    standing = await scored(running, rows=rows, errors_to=place, only_missing=True)

    assert (standing.tally.scored, standing.tally.skipped) == (2, {"key_not_allowed": 1})
    if errors_to == "file":
        (line,) = (tmp_path / "errors").read_text().splitlines()
        assert json.loads(line)["key"] == r"k:\xff"
    else:
        entries: Any = await redis.xrange("bad")
        assert [entry[b"key"] for _, entry in entries] == [rb"k:\xff"]


async def test_a_key_of_others_does_not_stop_a_look_at_times(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    timed = {"inputs": [{"name": "x", "sources": [{**HASH, "time_field": "at"}]}]}
    for number, at in ((0, 100), (1, 200)):
        await redis.hset(f"k:{number}", mapping={"a": 1, "b": 1, "at": at})
    await redis.rpush("keys", "foo:1", "k:0", "k:1")
    await store.publish(bundle(scaled(), view=timed))
    running = await engine()

    tally = (await scored(running, newer_than=150, rows={"kind": "redis", "key": "keys"})).tally

    assert (tally.scored, tally.passed, tally.skipped) == (1, 1, {"key_not_allowed": 1})


async def test_a_job_that_was_done_with_too_many_errors_has_failed(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await fill(redis, 2)
    await redis.hset("k:bad", mapping={"a": "x", "b": 1})
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()
    job = await begun(running, max_errors=0)

    with pytest.raises(TooManyErrors):
        await score(running, job, quietly)

    now = await job.look()
    assert now.state == FAILED
    assert "1 row could not be scored, max_errors allows 0" in now.reason


@WAYS
async def test_keys_that_redis_refuses_are_rows_that_could_not_be_scored(
    engine: StartEngine, redis_server: Start, model: Bundle
) -> None:
    server = redis_server()
    running = await engine(redis_url=server.url)
    await fill(running.store.redis, 40)
    await running.store.publish(model)
    with server.connect() as client:
        rights = ["resetkeys", "~insitu*", "~score:*", "~k:[1-9]*"]
        client.execute_command("ACL", "SETUSER", "default", *rights)

    standing = await scored(running, to=strings())

    assert (standing.state, standing.tally.scored) == (DONE, 39)
    assert standing.tally.skipped == {"redis_refused_key": 1}


async def test_rows_that_are_found_elsewhere_leave_the_job_as_it_is(
    store: ModelStore, engine: StartEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "LOOK_SECONDS", 0.01)
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()
    job = await begun(running, rows={"kind": "file", "path": str(tmp_path / "keys.txt")})

    with pytest.raises(RowsElsewhere, match=r"keys\.txt is not there.*the job waits"):
        await score(running, job, quietly, Manner(own=False))

    assert (await job.look()).state == RUNNING
    with pytest.raises(BadRequest, match=r"keys\.txt is not there"):
        await score(running, job, quietly)
    assert (await job.look()).state == FAILED
