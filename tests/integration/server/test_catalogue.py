"""What is stored is what is served: versions switch between two requests, broken ones are left out by name."""

import asyncio
import gc
import time
from collections.abc import Callable
from functools import partial

import pytest
from redis.asyncio import Redis

from models.bundle import Bundle
from models.errors import (
    AliasNotFound,
    BadName,
    BundleCorrupt,
    ModelNotFound,
    RedisUnavailable,
    VersionNotFound,
)
from models.manifest import Manifest
from models.store import ModelStore
from models.tensors import TensorSpec
from server.inference import failures
from server.inference.asking import Ask
from server.inference.engine import Engine
from server.inference.errors import ModelNotLoadable
from tests.graphs import bundle, constant, heavy, model, node, running_total, value
from tests.integration.server.conftest import POLL_SECONDS, WAIT_SECONDS, StartEngine, until

TWO_HEAVY = 11 << 20  # bytes; one of `heavy` takes a little more than 4 MiB


async def answer(engine: Engine, reference: str | int | None = None, name: str = "m") -> float:
    given = await engine.predictor.predict(Ask(name, reference, inputs={"x": [[1, 2]]}))
    value: float = given.rows[0].body["outputs"]["y"][0]
    return value


async def until_answer(engine: Engine, wanted: float, reference: str | int | None = None) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while await answer(engine, reference) != wanted:  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(POLL_SECONDS)


def telling(number: float, name: str = "m") -> Bundle:
    """A model that answers its number."""
    return bundle(constant(number), name)


def unloadable() -> Bundle:
    """A bundle whose bytes are whole and whose graph ONNX Runtime does not take."""
    spec = TensorSpec(name="x", dtype="float32", shape=("rows", 2))
    manifest = Manifest(name="m", inputs=(spec,), outputs=(spec.model_copy(update={"name": "y"}),))
    return Bundle(
        manifest, model([node("Nope", "x", "y")], [value("x", ["rows", 2])], [value("y", ["rows", 2])])
    )


async def test_a_published_version_serves_without_a_failed_or_mixed_answer(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(telling(1))
    running = await engine()
    answers: list[tuple[int, float]] = []
    stop = asyncio.Event()

    async def ask() -> None:
        while not stop.is_set():
            given = await running.predictor.predict(Ask("m", inputs={"x": [[1, 2]] * 3}))
            values = {row.body["outputs"]["y"][0] for row in given.rows}
            answers.extend((given.version, one) for one in values)

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    for number in range(2, 6):
        await store.publish(telling(number))
        await until(partial(lambda wanted: answers[-1:] == [(wanted, wanted)], number))
    stop.set()
    await asyncio.gather(*asking)

    assert {version for version, _ in answers} >= {1, 5}
    assert all(version == one for version, one in answers)
    assert answers == sorted(answers)


async def test_a_rollback_and_a_promotion_are_followed(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(telling(1))
    await store.publish(telling(2))
    running = await engine()

    await store.rollback("m")
    await until_answer(running, 1)
    await store.promote("m", 2)
    await until_answer(running, 2)


async def test_a_request_may_name_a_version_or_another_alias(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(telling(1))
    await store.publish(telling(2), alias="canary")
    running = await engine()

    assert await answer(running) == 1
    assert await answer(running, 2) == 2
    assert await answer(running, "2") == 2
    assert await answer(running, "canary") == 2


async def test_an_alias_that_is_taken_away_is_gone_here_too(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(telling(1))
    await store.promote("m", 1, "canary")
    running = await engine()
    assert await answer(running, "canary") == 1

    await store.remove_alias("m", "canary")

    await asyncio.sleep(0.2)
    with pytest.raises(AliasNotFound, match="aliases: production"):
        await answer(running, "canary")
    assert await answer(running) == 1


async def test_a_model_without_any_alias_is_asked_for_by_version(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(telling(1), alias=None)
    running = await engine()

    with pytest.raises(AliasNotFound, match="aliases: none"):
        await answer(running)
    assert await answer(running, 1) == 1


async def test_a_deleted_version_leaves_memory_and_metrics(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(telling(1))
    await store.publish(telling(2))
    running = await engine(preload_models=0)
    assert await answer(running, 1) == 1

    await store.delete("m", 1)

    await until(lambda: running.catalogue.find("m", 1) is None)
    with pytest.raises(VersionNotFound):
        await answer(running, 1)
    assert b'version="1"' not in running.metrics.exposition()


async def test_a_model_deleted_whole_is_forgotten(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await store.publish(telling(1))
    running = await engine(resync_seconds=0.05)
    assert await answer(running) == 1

    await redis.flushall()

    await until(lambda: not running.catalogue.loaded())
    with pytest.raises(ModelNotFound):
        await answer(running)
    assert not running.catalogue.knows("m")


async def break_chunk(redis: Redis, version: int) -> None:
    await redis.delete(f"insitu:{{m}}:v{version}:onnx:0")


async def alter_chunk(redis: Redis, version: int) -> None:
    key = f"insitu:{{m}}:v{version}:onnx:0"
    data = bytearray(await whole(redis, version))
    data[len(data) // 2] ^= 1
    await redis.set(key, bytes(data))


async def whole(redis: Redis, version: int) -> bytes:
    data = await redis.get(f"insitu:{{m}}:v{version}:onnx:0")
    assert isinstance(data, bytes)
    return data


async def break_manifest(redis: Redis, version: int) -> None:
    await redis.set(f"insitu:{{m}}:v{version}:manifest", b'{"format": 9}')


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (break_chunk, "is missing"),
        (alter_chunk, "SHA-256"),
        (break_manifest, "format 9"),
    ],
)
async def test_a_damaged_version_leaves_the_old_one_serving_and_is_told(
    store: ModelStore, engine: StartEngine, redis: Redis, damage: Callable[..., object], told: str
) -> None:
    await store.publish(telling(1))
    running = await engine()
    await store.publish(telling(2), alias=None)
    await damage(redis, 2)  # type: ignore[misc]  # each of them is a coroutine function

    await redis.hset("insitu:{m}:aliases", "production", 2)
    await redis.xadd("insitu:events", {"model": "m"})

    await until(lambda: 2 in running.catalogue.failures("m"))
    assert told in running.catalogue.failures("m")[2]
    assert await answer(running) == 1


async def test_a_version_that_does_not_load_leaves_the_old_one_serving(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(telling(1))
    running = await engine()

    await store.publish(unloadable())

    await until(lambda: 2 in running.catalogue.failures("m"))
    assert "Nope" in running.catalogue.failures("m")[2]
    assert await answer(running) == 1
    await store.publish(telling(3))
    await until_answer(running, 3)


async def test_a_damaged_version_fails_by_name_and_is_not_fetched_for_every_request(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await store.publish(telling(1))
    await alter_chunk(redis, 1)
    running = await engine()
    before = (await redis.info("commandstats"))["cmdstat_get"]["calls"]

    for _ in range(20):
        with pytest.raises(BundleCorrupt):
            await answer(running)

    after = (await redis.info("commandstats"))["cmdstat_get"]["calls"]
    assert after == before


async def test_a_damaged_version_that_is_deleted_is_told_no_more(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await store.publish(telling(1))
    await store.publish(telling(2), alias=None)
    await alter_chunk(redis, 2)
    running = await engine()
    with pytest.raises(BundleCorrupt):
        await answer(running, 2)

    await store.delete("m", 2)

    await until(lambda: running.catalogue.failures("m") == {})
    assert await answer(running) == 1


async def test_a_version_that_is_mended_is_tried_again(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "RETRY_SECONDS", 0.05)
    await store.publish(telling(1))
    good = await whole(redis, 1)
    await alter_chunk(redis, 1)
    running = await engine()

    await redis.set("insitu:{m}:v1:onnx:0", good)

    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            try:
                assert await answer(running) == 1
                break
            except BundleCorrupt:
                await asyncio.sleep(0.02)
    assert running.catalogue.failures("m") == {}


async def test_the_pause_between_tries_grows(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "RETRY_SECONDS", 0.01)
    await store.publish(telling(1))
    await break_chunk(redis, 1)
    running = await engine(preload_models=0)
    before = (await redis.info("commandstats"))["cmdstat_get"]["calls"]

    ends = time.monotonic() + 1.0
    while time.monotonic() < ends:
        with pytest.raises(BundleCorrupt):
            await answer(running)
        await asyncio.sleep(0.001)

    after = (await redis.info("commandstats"))["cmdstat_get"]["calls"]
    assert 4 <= after - before <= 20


async def test_bytes_that_break_loading_in_any_way_are_that_versions_fault(
    store: ModelStore, engine: StartEngine
) -> None:
    odd = unloadable()
    await store.publish(Bundle(odd.manifest, b"no graph at all"))
    running = await engine()

    with pytest.raises(ModelNotLoadable, match="version 1 of model 'm' cannot be loaded"):
        await answer(running)


async def test_a_view_that_cannot_be_read_by_is_that_versions_fault(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    view = {"inputs": [{"name": "x", "sources": [{"key": "k:{id}", "as": "vector", "shape": [2]}]}]}
    manifest = await store.publish(bundle(constant(1), view=view))
    stored = manifest.to_json().replace(b'"dtype":"float32","shape":null', b'"dtype":"string","shape":null')
    await redis.set("insitu:{m}:v1:manifest", stored)
    running = await engine()

    with pytest.raises(ModelNotLoadable):
        await answer(running)


async def test_one_load_serves_everybody_who_waits_for_it(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await store.publish(telling(1))
    running = await engine(preload_models=0)
    before = (await redis.info("commandstats")).get("cmdstat_get", {}).get("calls", 0)

    answers = await asyncio.gather(*(answer(running) for _ in range(50)))

    after = (await redis.info("commandstats"))["cmdstat_get"]["calls"]
    assert set(answers) == {1}
    assert after - before == 2


async def test_a_caller_that_leaves_does_not_end_the_load_of_the_others(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(telling(1))
    running = await engine(preload_models=0)
    gone, kept = (asyncio.create_task(answer(running, 1)) for _ in range(2))
    await asyncio.sleep(0)

    gone.cancel()

    assert await kept == 1


async def test_a_load_that_fails_after_its_callers_left_makes_no_noise(
    store: ModelStore, engine: StartEngine, caplog: pytest.LogCaptureFixture
) -> None:
    await store.publish(telling(1))
    running = await engine()
    gone = asyncio.create_task(answer(running, 9))
    await asyncio.sleep(0)

    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await asyncio.sleep(0.1)
    gc.collect()

    assert "never retrieved" not in caplog.text


async def test_unknown_names_leave_nothing_behind(engine: StartEngine) -> None:
    running = await engine()

    for number in range(50):
        with pytest.raises(ModelNotFound):
            await answer(running, name=f"no-{number}")
        with pytest.raises(ModelNotFound):
            await answer(running, 7, name=f"no-{number}")
        with pytest.raises(BadName):
            await answer(running, name=f"no {number}")

    assert not any(running.catalogue.knows(f"no-{number}") for number in range(50))
    told = running.metrics.exposition().decode()
    assert 'insitu_errors_total{model="unknown",version="",code="model_not_found"} 100.0' in told
    assert "no-1" not in told


async def test_unknown_names_asked_for_together_are_refused_each(engine: StartEngine) -> None:
    running = await engine()

    faults = await asyncio.gather(*(answer(running, name="no") for _ in range(20)), return_exceptions=True)

    assert {type(fault) for fault in faults} == {ModelNotFound}


async def test_the_least_recently_used_versions_leave_when_memory_is_short(
    store: ModelStore, engine: StartEngine
) -> None:
    for name in ("a", "b", "c"):
        await store.publish(bundle(heavy(1), name))
    running = await engine(preload_models=0, model_memory_bytes=TWO_HEAVY)

    for name in ("a", "b", "a", "c"):
        await answer(running, name=name)

    assert [one.manifest.name for one in running.catalogue.loaded()] == ["a", "c"]
    assert await answer(running, name="b") == 1


async def test_a_version_larger_than_the_memory_is_served_alone(
    store: ModelStore, engine: StartEngine
) -> None:
    for name in ("a", "b"):
        await store.publish(bundle(heavy(1), name))
    running = await engine(preload_models=0, model_memory_bytes=1 << 20)

    for name in ("a", "b"):
        assert await answer(running, name=name) == 1
        assert [one.manifest.name for one in running.catalogue.loaded()] == [name]


async def test_no_more_is_loaded_beforehand_than_there_is_memory_for(
    store: ModelStore, engine: StartEngine
) -> None:
    for number in range(20):
        await store.publish(bundle(heavy(1), f"m{number:02}"))

    running = await engine(model_memory_bytes=TWO_HEAVY)

    await until(lambda: running.ready() == (True, ""))
    assert len(running.catalogue.loaded()) == 2
    assert max(one.manifest.name for one in running.catalogue.loaded()) < "m10"


async def test_a_damaged_model_does_not_keep_the_others_from_being_loaded(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await store.publish(telling(1))
    await store.publish(telling(1, "z"))
    await break_chunk(redis, 1)

    running = await engine()

    assert [one.manifest.name for one in running.catalogue.loaded()] == ["z"]


async def test_an_event_that_was_never_seen_is_caught_up(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await store.publish(telling(1))
    await store.publish(telling(2), alias=None)
    running = await engine(resync_seconds=0.1)

    await redis.hset("insitu:{m}:aliases", "production", 2)

    await until_answer(running, 2)


async def test_a_version_stored_anew_under_its_number_takes_its_place(
    store: ModelStore, redis: Redis, engine: StartEngine
) -> None:
    await store.publish(telling(1))
    running = await engine(resync_seconds=60)
    assert await answer(running) == 1

    await redis.flushall()
    await store.publish(telling(2))

    await until_answer(running, 2)
    assert await answer(running, 1) == 2


async def test_a_broken_version_stored_anew_leaves_the_old_one_serving(
    store: ModelStore, redis: Redis, engine: StartEngine
) -> None:
    await store.publish(telling(1))
    running = await engine(resync_seconds=0.05)
    await redis.flushall()
    await store.publish(unloadable())
    await store.publish(telling(3), alias=None)

    await until(lambda: 1 in running.catalogue.failures("m"))
    assert await answer(running) == 1

    await store.promote("m", 2)

    await until_answer(running, 3)


async def test_a_trimmed_stream_and_odd_events_end_nothing(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await store.publish(telling(1))
    running = await engine()
    await redis.xadd("insitu:events", {b"model": b"\xff\xfe", b"other": b"x"})
    await redis.xadd("insitu:events", {"nothing": "here"})
    await redis.xadd("insitu:events", {"model": "never heard of"})
    await redis.delete("insitu:events")

    await store.publish(telling(2))

    await until_answer(running, 2)


async def test_a_key_of_another_type_in_the_place_of_the_events_ends_nothing(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await store.publish(telling(1))
    running = await engine(resync_seconds=0.1)
    await redis.delete("insitu:events")
    await redis.set("insitu:events", "no stream")
    await until(lambda: not running.redis_ok)

    await redis.delete("insitu:events")
    await store.publish(telling(2))

    await until_answer(running, 2)
    await until(lambda: running.redis_ok)


async def test_a_fault_of_ours_while_following_ends_nothing(
    store: ModelStore, engine: StartEngine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.publish(telling(1))
    running = await engine(resync_seconds=0.05)
    changed = running.catalogue.changed
    faults = iter([ZeroDivisionError("ours")] * 3)

    async def broken(name: str) -> None:
        for fault in faults:
            raise fault
        await changed(name)

    monkeypatch.setattr(running.catalogue, "changed", broken)
    await store.publish(telling(2))

    await until_answer(running, 2)
    assert "ZeroDivisionError: ours" in caplog.text


async def test_a_large_model_that_loads_holds_up_no_other(
    store: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.publish(telling(1))
    await store.publish(telling(1, "slow"))
    running = await engine()
    load = store.__class__.load

    async def slowly(self: ModelStore, name: str, version: int) -> Bundle:
        if name == "slow":
            await asyncio.sleep(3600)
        return await load(self, name, version)

    monkeypatch.setattr(ModelStore, "load", slowly)
    await store.publish(telling(2, "slow"))
    await store.publish(telling(2))

    await until_answer(running, 2)
    assert await answer(running, name="slow") == 1


async def test_rows_that_see_one_another_are_kept_from_other_callers(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(bundle(running_total()))
    running = await engine()

    async def ask(*values: float) -> list[float]:
        given = await running.predictor.predict(Ask("m", inputs={"x": [[one, one] for one in values]}))
        return [row.body["outputs"]["y"][0] for row in given.rows]

    answers = await asyncio.gather(*(ask(number, 1) for number in range(20)))

    assert answers == [[number, number + 1] for number in range(20)]


async def test_redis_that_hangs_does_not_hold_a_look_up(
    store: ModelStore, engine: StartEngine, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.publish(telling(1))
    running = await engine()
    monkeypatch.setattr("server.inference.meanings.LOOK_UP_SECONDS", 0.2)
    await redis.execute_command("CLIENT", "PAUSE", 1000, "ALL")

    started = time.monotonic()
    with pytest.raises(RedisUnavailable, match=r"no reply within 0\.2 s"):
        await running.catalogue.get("other")

    assert time.monotonic() - started < 0.9
    assert await answer(running) == 1
