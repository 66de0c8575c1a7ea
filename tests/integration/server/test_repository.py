"""The repository tells what is stored and loaded, loads and unloads it here and on every other server."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from models.connecting import connect
from models.errors import (
    BadModelFile,
    BadName,
    BadRequest,
    ModelNotFound,
    ModelTooLarge,
    RedisUnavailable,
)
from models.store import ModelStore
from server.inference.asking import Ask
from server.inference.engine import Engine
from server.inference.errors import ModelNotLoadable
from server.open_inference.repository import AWAY, NOT_YET, UNLOADED, index, load, ready, unload
from tests.away import node_of, url_of_all, with_names_and_without, without_full_coverage
from tests.graphs import bundle, constant, dense, f32, looping
from tests.integration.server.conftest import WAIT_SECONDS, StartEngine, until
from tests.integration.server.test_catalogue import unloadable
from tests.servers import RedisNodes, RedisServer

FILE = "file:1/model.onnx"
VIEW = {"inputs": [{"name": "x", "sources": [{"key": "k:{id}", "as": "hash", "fields": ["a", "b"]}]}]}
WEIGHTS = f32([[1, 0], [0, 1]])


async def answer(engine: Engine, name: str = "m") -> float:
    given = await engine.predictor.predict(Ask(name, inputs={"x": [[1, 2]]}))
    value: float = given.rows[0].body["outputs"]["y"][0]
    return value


async def announced(redis: Redis, event: str, name: str) -> None:
    await redis.xadd("insitu:events", {"event": event, "model": name, "version": 0, "alias": "", "by": "x"})


def held(engine: Engine) -> list[tuple[str, int]]:
    return [(one.manifest.name, one.manifest.version) for one in engine.catalogue.loaded()]


async def states(engine: Engine) -> dict[str, str]:
    return {f"{one['name']}:{one['version']}": one["state"] for one in await index(engine)}


async def test_the_index_lists_every_stored_version_with_its_state(
    store: ModelStore, engine: StartEngine
) -> None:
    for number in (1, 2):
        await store.publish(bundle(constant(number)))
    await store.publish(bundle(constant(1), "other"))
    running = await engine(preload_models=1)

    every, loaded = await index(running), await index(running, ready_only=True)

    assert every == [
        {"name": "m", "version": "1", "state": "UNAVAILABLE", "reason": NOT_YET},
        {"name": "m", "version": "2", "state": "READY", "reason": ""},
        {"name": "other", "version": "1", "state": "UNAVAILABLE", "reason": NOT_YET},
    ]
    assert loaded == every[1:2]


async def test_the_index_of_a_cluster_tells_of_the_other_nodes_while_one_is_away(
    redis_cluster: RedisNodes, engine: StartEngine
) -> None:
    without_full_coverage(redis_cluster)
    url = url_of_all(redis_cluster)
    hint, gone = with_names_and_without(redis_cluster)
    names = [f"m{at:02}" for at in range(40)]
    held_here, unheld, *_ = (name for name in names if node_of(redis_cluster, name) is gone)
    there, deleted, *_ = (name for name in names if node_of(redis_cluster, name) is not gone)
    client = connect(url)
    await ModelStore(client).publish(bundle(constant(1), there))
    await ModelStore(client).publish(bundle(constant(1), held_here))
    await client.sadd("insitu:models", deleted)
    running = await engine(redis_url=url)
    await ModelStore(client).publish(bundle(constant(1), unheld))
    whole = await index(running)
    gone.kill()

    told = await index(running)
    hint.kill()
    with pytest.raises(RedisUnavailable):
        await index(running)
    await client.aclose()

    def entry(name: str, state: str, version: str = "1", reason: str = "") -> dict[str, str]:
        return {"name": name, "version": version, "state": state, "reason": reason}

    every = {held_here: "READY", unheld: "UNAVAILABLE", there: "READY"}
    assert {one["name"]: one["state"] for one in whole} == every
    assert sorted(told, key=lambda one: (one["name"], one["state"])) == sorted(
        [
            entry(held_here, "READY"),
            entry(held_here, "UNAVAILABLE", "", AWAY),
            entry(unheld, "UNAVAILABLE", "", AWAY),
            entry(there, "READY"),
        ],
        key=lambda one: (one["name"], one["state"]),
    )


async def test_the_index_of_nothing_is_empty(store: ModelStore, engine: StartEngine) -> None:
    assert await index(await engine()) == []


async def test_the_index_says_why_a_version_was_refused(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(unloadable())
    first = await engine()
    with pytest.raises(ModelNotLoadable):
        await load(first, "m", {})
    await until(lambda: bool(first.catalogue.failures("m")))

    (here,) = await index(first)
    (elsewhere,) = await index(await engine(preload_models=0))

    assert here["state"] == elsewhere["state"] == "UNAVAILABLE"
    assert "Nope" in here["reason"]
    assert "Nope" in elsewhere["reason"]


async def test_a_version_that_is_being_loaded_says_so(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(looping(1 << 60)))
    running = await engine(preload_models=0)

    loading = asyncio.create_task(load(running, "m", {}))
    await until(lambda: bool(running.catalogue.loading("m")))

    assert await states(running) == {"m:1": "LOADING"}
    loading.cancel()


async def test_an_unloaded_model_leaves_memory_and_is_not_ready(
    store: ModelStore, engine: StartEngine
) -> None:
    for number in (1, 2):
        await store.publish(bundle(constant(number)))
    running = await engine()
    await running.catalogue.get("m", 1)

    await unload(running, "m")

    assert held(running) == []
    assert not await ready(running, "m")
    assert not await ready(running, "m", 2)
    assert [one["reason"] for one in await index(running)] == [UNLOADED] * 2
    assert held(running) == []
    assert await store.versions("m") == [1, 2]


@pytest.mark.parametrize("how", ["load", "prediction"])
async def test_an_unloaded_model_comes_back(store: ModelStore, engine: StartEngine, how: str) -> None:
    await store.publish(bundle(constant(3)))
    running = await engine()
    await unload(running, "m")

    if how == "load":
        assert await load(running, "m", {}) == 1

    assert await answer(running) == 3
    assert await ready(running, "m")
    assert await states(running) == {"m:1": "READY"}


async def test_nothing_but_a_request_brings_an_unloaded_model_back(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(bundle(constant(1)))
    await store.publish(bundle(constant(2)), alias="shadow")
    running = await engine(resync_seconds=0.02)
    assert await answer(running) == 1

    await unload(running, "m")
    await store.publish(bundle(constant(3)))
    await store.set_traffic("m", {1: 1, 3: 1})
    await asyncio.sleep(0.3)

    assert held(running) == []
    assert not await ready(running, "m")


async def test_requests_that_run_end_on_what_is_unloaded(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(looping()))
    running = await engine()
    asked = Ask("m", inputs={"x": [[7]], "turns": [3_000_000]})
    running_on = asyncio.create_task(running.predictor.predict(asked))
    await asyncio.sleep(0.05)

    await unload(running, "m")

    assert not running_on.done()
    assert (await running_on).rows[0].body["outputs"]["y"] == [7]
    assert held(running) == []


async def test_what_is_unloaded_while_it_loads_does_not_stay(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(constant(1)))
    running = await engine(preload_models=0)
    loading = asyncio.create_task(load(running, "m", {}))
    await until(lambda: bool(running.catalogue.loading("m")))

    await unload(running, "m")
    await loading

    assert held(running) == []
    assert not await ready(running, "m")


async def until_loading(engine: Engine, version: int) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while version not in engine.catalogue.loading("m"):  # noqa: ASYNC110  # it takes milliseconds
            await asyncio.sleep(0)


async def test_what_a_rule_needs_is_not_loaded_once_the_model_is_unloaded(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(bundle(constant(1)))
    for number in (2, 3, 4):
        await store.publish(bundle(constant(number)), alias=None)
    await store.promote("m", 4, "shadow")
    running = await engine()
    assert await answer(running) == 1
    await until(lambda: ("m", 4) in held(running))

    await store.set_traffic("m", {2: 1, 3: 1})
    await until_loading(running, 2)
    await unload(running, "m")
    await until(lambda: not running.catalogue.loading("m"))
    await asyncio.sleep(0.1)

    assert held(running) == []
    assert running.catalogue.unloaded("m")


async def test_a_shadow_is_not_loaded_once_the_model_is_unloaded(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(bundle(constant(1)))
    running = await engine()
    assert await answer(running) == 1

    await store.publish(bundle(constant(2)), alias="shadow")
    await until_loading(running, 2)
    await unload(running, "m")
    await until(lambda: not running.catalogue.loading("m"))

    assert held(running) == []
    assert running.catalogue.unloaded("m")


async def test_a_shadow_that_is_unloaded_is_not_asked_any_more(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(bundle(constant(1)))
    await store.publish(bundle(constant(2)), alias="shadow")
    running = await engine()
    assert await answer(running) == 1
    await until(lambda: ("m", 2) in held(running))
    assert await answer(running) == 1  # and the shadow is asked after this

    running.catalogue.unload("m")
    skipped = 'insitu_shadow_skipped_rows_total{model="m",version="2"} 1.0'
    await until(lambda: held(running) == [] and skipped in running.metrics.exposition().decode())


async def test_a_model_that_is_deleted_is_unloaded_no_more(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(constant(1)), alias=None)
    running = await engine()
    await unload(running, "m")
    await store.delete("m", 1)

    with pytest.raises(ModelNotFound):
        await load(running, "m", {})

    assert not running.catalogue.unloaded("m")


async def test_a_model_that_is_not_there_is_unloaded_already(store: ModelStore, engine: StartEngine) -> None:
    running = await engine()

    await unload(running, "nobody")

    assert not running.catalogue.unloaded("nobody")
    with pytest.raises(BadName):
        await unload(running, "no:body")
    with pytest.raises(ModelNotFound):
        await load(running, "nobody", {})


async def test_a_load_takes_the_newest_version_where_production_means_none(
    store: ModelStore, engine: StartEngine
) -> None:
    for number in (1, 2):
        await store.publish(bundle(constant(number)), alias=None)
    running = await engine()

    assert await load(running, "m", {}) == 2
    assert held(running) == [("m", 2)]


async def test_a_load_takes_what_production_means_and_the_rule_shares_out(
    store: ModelStore, engine: StartEngine
) -> None:
    for number in (1, 2, 3):
        await store.publish(bundle(constant(number)))
    await store.promote("m", 1)
    await store.set_traffic("m", {1: 1, 2: 1})
    running = await engine(preload_models=0)

    await load(running, "m", {"config": '{"backend": "onnxruntime"}'})

    assert held(running) == [("m", 1), ("m", 2)]


async def test_a_file_becomes_the_next_version_and_answers(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(constant(1)))
    running = await engine()
    assert await answer(running) == 1

    assert await load(running, "m", {"config": "{}", FILE: constant(5)}) == 2

    assert await answer(running) == 5
    assert await store.aliases("m") == {"production": 2}


async def test_a_file_of_a_new_name_is_a_first_version(store: ModelStore, engine: StartEngine) -> None:
    running = await engine()

    assert await load(running, "fresh", {FILE: constant(5)}) == 1

    assert await answer(running, "fresh") == 5
    assert await ready(running, "fresh")


async def test_a_file_answers_in_the_words_of_the_version_before(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await redis.hset("k:1", mapping={"a": 1, "b": 2})
    await store.publish(bundle(dense(WEIGHTS, "Softmax"), view=VIEW, labels=("a", "b")))
    running = await engine()

    await load(running, "m", {FILE: dense(-WEIGHTS, "Softmax")})

    (row,) = (await running.predictor.predict(Ask("m", keys=["k:1"]))).rows
    assert row.body["label"] == "a"


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({FILE: b"no onnx"}, BadModelFile),
        ({FILE: bytes(3000)}, ModelTooLarge),
        ({FILE: constant(1), "config": '{"backend": "python"}'}, BadRequest),
        ({FILE: "text"}, BadRequest),
    ],
)
async def test_a_file_that_is_refused_changes_nothing(
    store: ModelStore, engine: StartEngine, parameters: dict[str, Any], error: type[Exception]
) -> None:
    await store.publish(bundle(constant(1)))
    running = await engine(model_limit_bytes=2000)

    with pytest.raises(error):
        await load(running, "m", parameters)

    assert await store.versions("m") == [1]
    assert await answer(running) == 1


async def test_other_servers_load_and_unload_too(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(constant(1)))
    first, second = await engine(), await engine()
    assert held(first) == held(second) == [("m", 1)]

    await unload(first, "m")
    await until(lambda: second.catalogue.unloaded("m"))
    assert held(second) == []
    assert not await ready(second, "m")

    await load(first, "m", {})
    await until(lambda: held(second) == [("m", 1)])
    assert await ready(second, "m")

    await unload(second, "m")
    await load(first, "m", {FILE: constant(2)})
    await until(lambda: held(second) == [("m", 2)])
    assert await answer(second) == 2


async def test_a_server_does_once_what_it_asks_others_to_do(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(constant(1)))
    running = await engine()

    for _ in range(20):
        await unload(running, "m")
        await load(running, "m", {})
        assert held(running) == [("m", 1)]
        await asyncio.sleep(0.01)
        assert held(running) == [("m", 1)]


async def test_what_cannot_be_done_as_another_server_asked_stops_nothing(
    store: ModelStore, engine: StartEngine, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await store.publish(bundle(constant(1)))
    running = await engine()

    await announced(redis, "load", "nobody")
    await announced(redis, "unload", "no:body")
    await announced(redis, "load", "no:body")
    await until(lambda: "nobody is not loaded as another server asked" in caplog.text)
    await announced(redis, "unload", "m")

    await until(lambda: held(running) == [])
    assert not running.catalogue.unloaded("no:body")


@pytest.mark.parametrize(
    ("reference", "expected"), [(None, True), ("production", True), (1, True), ("1", True), (2, False)]
)
async def test_ready_loads_what_is_stored(
    store: ModelStore, engine: StartEngine, reference: Any, expected: bool
) -> None:
    await store.publish(bundle(constant(1)))
    running = await engine(preload_models=0)

    assert await ready(running, "m", reference) is expected
    assert await ready(running, "nobody", reference) is False
    assert await ready(running, "no:body", reference) is False


async def test_what_cannot_be_loaded_is_not_ready(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(unloadable())

    assert await ready(await engine(), "m") is False


async def test_what_loads_for_too_long_is_not_ready_yet(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(looping(1 << 60)))
    running = await engine(preload_models=0, request_timeout_seconds=0.1)

    assert await ready(running, "m") is False


async def test_while_redis_is_away_what_is_loaded_is_ready_and_can_be_unloaded(
    engine: StartEngine, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server(aof=True)
    async with Redis.from_url(server.url) as client:
        for name in ("m", "other"):
            await ModelStore(client).publish(bundle(constant(1), name))
    running = await engine(redis_url=server.url)
    server.kill()
    await until(lambda: not running.redis_ok)

    assert await ready(running, "m")
    assert not await ready(running, "nobody")
    assert len(await index(running, ready_only=True)) == 2
    with pytest.raises(RedisUnavailable):
        await index(running)
    await unload(running, "m")
    assert held(running) == [("other", 1)]
    assert not await ready(running, "m")
