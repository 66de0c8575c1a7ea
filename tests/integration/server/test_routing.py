"""Where requests go: by alias, number, traffic rule and shadow; everything loaded before it counts."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest
from redis.asyncio import Redis

from models.errors import AliasNotFound, BundleCorrupt, ModelNotFound
from models.store import ModelStore
from models.traffic import Traffic
from server.inference.engine import Engine
from server.inference.routing import Route
from tests.graphs import bundle, heavy
from tests.integration.server.conftest import StartEngine, until
from tests.integration.server.test_catalogue import TWO_HEAVY, alter_chunk, telling, unloadable
from tests.servers import RedisServer

KEYS = [f"customer:{number}" for number in range(1000)]


@pytest.fixture
async def three(store: ModelStore) -> ModelStore:
    """A model of three versions; production is 1."""
    for number in (1, 2, 3):
        await store.publish(telling(number), alias=None)
    await store.promote("m", 1)
    return store


@pytest.fixture
async def large(store: ModelStore) -> ModelStore:
    """A model of two large versions, traffic for both; another model as large."""
    await fill(store)
    return store


async def fill(store: ModelStore) -> None:
    for number in (1, 2):
        await store.publish(bundle(heavy(number)), alias=None)
    await store.promote("m", 1)
    await store.set_traffic("m", {1: 95, 2: 5})
    await store.publish(bundle(heavy(1), "other"))


def now(running: Engine, reference: str | int | None = None) -> Route:
    """Where a request goes without any waiting."""
    route = running.catalogue.route("m", reference)
    assert route is not None
    return route


def versions(route: Route | None) -> set[int]:
    """The versions that may answer."""
    if route is None:
        return set()
    return {one.manifest.version for one in (route.split.servings if route.split else (route.serving,))}


async def until_versions(running: Engine, wanted: set[int]) -> None:
    await until(lambda: versions(running.catalogue.route("m")) == wanted)


def shadow(running: Engine) -> int | None:
    route = running.catalogue.route("m")
    return None if route is None or route.shadow is None else route.shadow.manifest.version


async def test_a_route_is_there_at_once_and_the_same_until_something_changes(
    three: ModelStore, engine: StartEngine
) -> None:
    running = await engine(preload_models=0)
    assert running.catalogue.route("m") is None

    found = await running.catalogue.routed("m")

    assert now(running) is found
    assert now(running, "production") is now(running, "production")
    assert versions(now(running)) == versions(now(running, "production")) == {1}
    await three.promote("m", 2)
    await until_versions(running, {2})


async def test_what_is_not_there_is_named(three: ModelStore, engine: StartEngine) -> None:
    running = await engine()

    with pytest.raises(ModelNotFound):
        await running.catalogue.routed("other")
    with pytest.raises(AliasNotFound, match="aliases: production"):
        await running.catalogue.routed("m", "canary")
    assert running.catalogue.route("m", "canary") is None
    assert running.catalogue.route("other") is None


async def test_a_rule_sends_each_key_where_the_arithmetic_says(
    three: ModelStore, engine: StartEngine
) -> None:
    rule = await three.set_traffic("m", {1: 70, 2: 20, 3: 10})
    running = await engine()

    route = now(running)

    assert route.split is not None
    assert route.serving.manifest.version == 1
    met = [route.split.of(key).manifest.version for key in KEYS]
    assert met == [rule.version_for(key) for key in KEYS]
    assert set(met) == {1, 2, 3}


async def test_requests_without_a_key_take_turns_by_weight(three: ModelStore, engine: StartEngine) -> None:
    await three.set_traffic("m", {1: 90, 2: 10})
    running = await engine()
    split = now(running).split
    assert split is not None

    met = Counter(split.following().manifest.version for _ in range(1000))

    assert abs(met[2] - 100) <= 2


async def test_a_request_that_names_a_version_or_another_alias_is_under_no_rule(
    three: ModelStore, engine: StartEngine
) -> None:
    await three.set_traffic("m", {1: 50, 2: 50})
    await three.promote("m", 3, "canary")
    running = await engine()
    await running.catalogue.routed("m", 2)
    await running.catalogue.routed("m", "canary")

    for reference, version in ((2, 2), ("2", 2), ("canary", 3)):
        assert now(running, reference).split is None
        assert versions(now(running, reference)) == {version}
    assert versions(now(running, "production")) == {1, 2}


async def test_a_rule_is_followed_while_it_grows_and_when_it_ends(
    three: ModelStore, engine: StartEngine
) -> None:
    running = await engine()
    assert versions(now(running)) == {1}

    await three.set_traffic("m", {1: 95, 2: 5})
    await until_versions(running, {1, 2})
    await three.set_traffic("m", {1: 95, 3: 5})
    await until_versions(running, {1, 3})
    await three.clear_traffic("m")
    await until_versions(running, {1})


@pytest.mark.parametrize("move", ["promote", "rollback", "publish"])
async def test_moving_production_ends_a_rule_here_too(
    three: ModelStore, engine: StartEngine, move: str
) -> None:
    await three.promote("m", 2)
    await three.set_traffic("m", {1: 50, 2: 50})
    running = await engine()
    assert versions(now(running)) == {1, 2}

    if move == "promote":
        await three.promote("m", 3)
        await until_versions(running, {3})
    elif move == "rollback":
        await three.rollback("m")
        await until_versions(running, {1})
    else:
        await three.publish(telling(4))
        await until_versions(running, {4})


async def test_a_rule_with_a_version_that_does_not_load_leaves_the_one_before(
    three: ModelStore, engine: StartEngine, caplog: pytest.LogCaptureFixture
) -> None:
    await three.publish(unloadable(), alias=None)
    await three.set_traffic("m", {1: 95, 2: 5})
    running = await engine(resync_seconds=0.05)

    await three.set_traffic("m", {1: 90, 4: 10})

    await until(lambda: "its traffic stays as it was" in caplog.text)
    await asyncio.sleep(0.3)
    assert versions(now(running)) == {1, 2}
    assert caplog.text.count("its traffic stays as it was") == 1
    await three.set_traffic("m", {1: 90, 3: 10})
    await until_versions(running, {1, 3})


async def test_a_rule_with_a_version_that_does_not_load_leaves_production_of_a_new_server(
    three: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await alter_chunk(redis, 2)
    await three.set_traffic("m", {1: 95, 2: 5})

    running = await engine()

    assert versions(now(running)) == {1}


async def test_a_promotion_of_a_version_that_does_not_load_leaves_the_rule(
    three: ModelStore, engine: StartEngine
) -> None:
    await three.set_traffic("m", {1: 95, 2: 5})
    running = await engine()

    await three.publish(unloadable())

    await until(lambda: 4 in running.catalogue.failures("m"))
    await asyncio.sleep(0.1)
    assert versions(now(running)) == {1, 2}


async def test_another_alias_that_moves_to_what_does_not_load_stays_where_it_was(
    three: ModelStore, engine: StartEngine
) -> None:
    await three.promote("m", 2, "canary")
    running = await engine()
    await running.catalogue.routed("m", "canary")

    await three.publish(unloadable(), alias="canary")

    await until(lambda: 4 in running.catalogue.failures("m"))
    await asyncio.sleep(0.1)
    assert versions(now(running, "canary")) == {2}


async def test_bytes_that_are_no_rule_leave_the_one_before(
    three: ModelStore, engine: StartEngine, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await three.set_traffic("m", {1: 95, 2: 5})
    running = await engine()

    await redis.hset("insitu:{m}", "traffic", "95/5")
    await redis.xadd("insitu:events", {"model": "m"})

    await until(lambda: "its traffic stays as it was" in caplog.text)
    assert versions(now(running)) == {1, 2}


async def test_a_rule_of_a_model_without_production_answers(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(telling(1), alias=None)
    await store.publish(telling(2), alias=None)
    await store.promote("m", 1, "old")
    await store.set_traffic("m", {1: 50, 2: 50})
    running = await engine()

    assert versions(await running.catalogue.routed("m")) == {1, 2}


async def test_versions_that_had_to_leave_come_back_for_their_rule(
    large: ModelStore, engine: StartEngine
) -> None:
    running = await engine(preload_models=0, model_memory_bytes=TWO_HEAVY)
    assert versions(await running.catalogue.routed("m")) == {1, 2}

    await running.catalogue.routed("other")

    assert running.catalogue.route("m") is None
    assert versions(await running.catalogue.routed("m")) == {1, 2}


async def test_versions_that_do_not_fit_the_memory_together_have_no_rule(
    large: ModelStore, engine: StartEngine, caplog: pytest.LogCaptureFixture
) -> None:
    running = await engine(preload_models=0, model_memory_bytes=TWO_HEAVY // 2)

    assert versions(await running.catalogue.routed("m")) == {1}
    assert "the memory for models does not hold versions 1, 2 together" in caplog.text


async def test_a_version_that_is_lost_after_it_left_ends_the_rule_and_not_the_answers(
    large: ModelStore, engine: StartEngine, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    running = await engine(preload_models=0, model_memory_bytes=TWO_HEAVY)
    await running.catalogue.routed("m")
    await redis.delete("insitu:{m}:v2:onnx:0")
    await running.catalogue.get("m", 1)

    await running.catalogue.routed("other")  # version 2 was used before version 1, so it leaves

    assert versions(await running.catalogue.routed("m")) == {1}
    assert "its traffic rule is in force no longer" in caplog.text


async def test_what_is_loaded_of_a_rule_goes_on_while_redis_is_away(
    engine: StartEngine, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    async with Redis.from_url(server.url) as redis:
        store = ModelStore(redis)
        await fill(store)
        running = await engine(redis_url=server.url, preload_models=0, model_memory_bytes=TWO_HEAVY)
        await running.catalogue.routed("m")
        await running.catalogue.get("m", 1)
        await running.catalogue.routed("other")  # in the place of version 2

        server.kill()

        assert versions(await running.catalogue.routed("m")) == {1}


async def test_a_deleted_version_is_on_no_route(three: ModelStore, engine: StartEngine) -> None:
    running = await engine()
    await running.catalogue.routed("m", 3)

    await three.delete("m", 3)

    await until(lambda: running.catalogue.route("m", 3) is None)


async def test_many_ways_to_write_a_number_are_one_version(three: ModelStore, engine: StartEngine) -> None:
    running = await engine()

    routes = [now(running, text) for text in ("1", "01", "001")]

    assert {one.serving.manifest.version for one in routes} == {1}


async def test_a_shadow_is_loaded_beside_and_follows_its_alias(
    three: ModelStore, engine: StartEngine
) -> None:
    running = await engine()
    assert shadow(running) is None

    await three.promote("m", 2, "shadow")
    await until(lambda: shadow(running) == 2)
    await three.promote("m", 3, "shadow")
    await until(lambda: shadow(running) == 3)
    assert now(running, "shadow").shadow is None
    assert now(running, 1).shadow is None
    await three.remove_alias("m", "shadow")
    await until(lambda: shadow(running) is None)


async def test_a_shadow_that_is_production_is_none(three: ModelStore, engine: StartEngine) -> None:
    await three.promote("m", 1, "shadow")

    running = await engine()

    await asyncio.sleep(0.1)
    assert shadow(running) is None
    assert versions(now(running)) == {1}


async def test_a_shadow_stands_beside_a_rule(three: ModelStore, engine: StartEngine) -> None:
    await three.set_traffic("m", {1: 95, 2: 5})
    await three.promote("m", 3, "shadow")

    running = await engine()

    await until(lambda: shadow(running) == 3)
    assert versions(now(running)) == {1, 2}


async def test_a_shadow_that_does_not_load_keeps_nobody_from_being_served(
    three: ModelStore, engine: StartEngine, caplog: pytest.LogCaptureFixture
) -> None:
    await three.publish(unloadable(), alias="shadow")

    running = await engine()

    assert versions(now(running)) == {1}
    await until(lambda: "m has no shadow for now" in caplog.text)
    assert shadow(running) is None


async def test_production_answers_before_its_shadow_is_loaded(
    three: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await three.promote("m", 2, "shadow")
    load = ModelStore.load

    async def slowly(self: ModelStore, name: str, version: int) -> object:
        if version == 2:
            await asyncio.sleep(3600)
        return await load(self, name, version)

    monkeypatch.setattr(ModelStore, "load", slowly)
    running = await engine()

    async with asyncio.timeout(5):
        assert versions(await running.catalogue.routed("m")) == {1}
    assert shadow(running) is None


async def test_a_rule_that_was_never_heard_of_is_caught_up(
    three: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    running = await engine(resync_seconds=0.1)

    await redis.hset("insitu:{m}", "traffic", Traffic.read("m", {1: 1, 2: 1}).to_json())

    await until_versions(running, {1, 2})


async def test_a_version_that_is_damaged_is_told_to_whoever_pins_it(
    three: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    await alter_chunk(redis, 2)
    running = await engine()

    with pytest.raises(BundleCorrupt):
        await running.catalogue.routed("m", 2)
