"""An engine starts whatever Redis does, follows it when it comes, and ends in bounded time."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from models.bundle import Bundle
from models.entries import read_entries
from models.errors import RedisRefused, RedisUnavailable
from models.store import ModelStore
from server.inference import engine as running_engine
from server.inference import samples
from server.inference.asking import Ask
from server.inference.catalogue import Catalogue
from server.inference.engine import Engine
from server.inference.errors import DeadlineExceeded, Stopping
from tests.graphs import bundle, constant, looping
from tests.integration.server.conftest import StartEngine, until
from tests.servers import RedisServer

Start = Callable[..., RedisServer]


async def answer(engine: Engine) -> float:
    given = await engine.predictor.predict(Ask("m", inputs={"x": [[1, 2]]}))
    value: float = given.rows[0].body["outputs"]["y"][0]
    return value


async def publish(server: RedisServer, one: Bundle) -> None:
    async with Redis.from_url(server.url) as client:
        await ModelStore(client).publish(one)


async def test_what_is_stored_is_loaded_before_the_doors_open(store: ModelStore, engine: StartEngine) -> None:
    for name in ("a", "b"):
        await store.publish(bundle(constant(1), name))

    running = await engine()

    assert [one.manifest.name for one in running.catalogue.loaded()] == ["a", "b"]
    assert running.ready() == (True, "")
    assert b"insitu_redis_up 1.0" in running.metrics.exposition()


async def test_a_model_that_never_ends_keeps_no_other_from_being_loaded(
    store: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "TRY_SECONDS", 0.2)
    await store.publish(bundle(looping(1 << 60), "a"))
    await store.publish(bundle(constant(1)))

    running = await engine()

    await until(lambda: running.ready() == (True, ""))
    assert await answer(running) == 1
    with pytest.raises(DeadlineExceeded):
        await running.predictor.predict(Ask("a", inputs={"x": [[1]]}, deadline=time.monotonic() + 0.2))


async def test_an_engine_starts_without_redis_and_is_ready_when_it_comes(
    engine: StartEngine, redis_server: Start
) -> None:
    server = redis_server(aof=True)
    await publish(server, bundle(constant(7)))
    server.kill()

    started = time.monotonic()
    running = await engine(redis_url=server.url)

    assert time.monotonic() - started < 1
    good, reason = running.ready()
    assert not good
    assert reason
    assert not running.redis_ok
    server.start()
    await until(lambda: running.ready() == (True, ""))
    assert await answer(running) == 7


async def test_a_redis_that_hangs_does_not_keep_the_doors_closed(
    engine: StartEngine, redis_server: Start
) -> None:
    server = redis_server()
    server.pause()

    started = time.monotonic()
    running = await engine(0.1, redis_url=server.url)

    assert time.monotonic() - started < 2
    assert running.ready()[0] is False
    server.resume()
    await until(lambda: running.ready() == (True, ""))


async def test_wrong_credentials_are_refused_at_the_start(engine: StartEngine, redis_server: Start) -> None:
    server = redis_server()

    with pytest.raises(RedisRefused):
        await engine(redis_url=f"unix://nobody:wrong@{server.socket}")


async def test_loaded_models_serve_while_redis_is_away_and_follow_it_again(
    engine: StartEngine, redis_server: Start
) -> None:
    server = redis_server(aof=True)
    await publish(server, bundle(constant(1)))
    running = await engine(redis_url=server.url, resync_seconds=0.01)
    server.kill()
    await until(lambda: not running.redis_ok)
    await asyncio.sleep(0.1)

    assert await answer(running) == 1
    assert running.ready()[0] is True
    assert running.ready()[1].startswith("Redis is away: ")
    assert b"insitu_redis_up 0.0" in running.metrics.exposition()

    server.start()
    await until(lambda: running.redis_ok)
    await publish(server, bundle(constant(2)))
    async with asyncio.timeout(10):
        while await answer(running) != 2:  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.01)


async def test_what_changed_while_redis_was_out_of_reach_is_caught_up(
    engine: StartEngine, redis_server: Start
) -> None:
    server = redis_server(aof=True)
    await publish(server, bundle(constant(1)))
    running = await engine(redis_url=server.url, resync_seconds=3600)
    server.kill()
    await until(lambda: not running.redis_ok)
    server.start()
    await publish(server, bundle(constant(2)))

    async with asyncio.timeout(10):
        while await answer(running) != 2:  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.01)


async def test_redis_that_goes_away_between_two_looks_is_noticed(
    engine: StartEngine, redis_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = redis_server(aof=True)
    await publish(server, bundle(constant(1)))
    running = await engine(redis_url=server.url, resync_seconds=0.05)

    async def away(name: str) -> None:
        raise RedisUnavailable("for this test")

    monkeypatch.setattr(running.catalogue, "changed", away)
    await publish(server, bundle(constant(2)))

    await until(lambda: "for this test" in running.ready()[1])


async def test_a_fault_of_ours_while_catching_up_ends_nothing(
    engine: StartEngine,
    redis_server: Start,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync, faults = Catalogue.sync, iter([ZeroDivisionError("ours")] * 3)

    async def broken(self: Catalogue) -> None:
        for fault in faults:
            raise fault
        await sync(self)

    monkeypatch.setattr(Catalogue, "sync", broken)
    server = redis_server()
    await publish(server, bundle(constant(1)))

    running = await engine(redis_url=server.url)

    await until(lambda: running.ready() == (True, ""))
    assert await answer(running) == 1
    assert "ZeroDivisionError: ours" in caplog.text


async def test_a_fault_of_ours_in_an_event_or_a_look_ends_nothing(
    store: ModelStore,
    engine: StartEngine,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await store.publish(bundle(constant(1)))
    running = await engine(resync_seconds=0.05)
    name_in, sync = running_engine.name_in, Catalogue.sync
    faults = {"event": iter([ZeroDivisionError("event")]), "look": iter([RuntimeError("look")] * 3)}

    def broken_name(fields: dict[bytes, bytes]) -> str:
        for fault in faults["event"]:
            raise fault
        return name_in(fields)

    async def broken_sync(self: Catalogue) -> None:
        for fault in faults["look"]:
            raise fault
        await sync(self)

    monkeypatch.setattr(running_engine, "name_in", broken_name)
    monkeypatch.setattr(Catalogue, "sync", broken_sync)
    await store.publish(bundle(constant(2)))

    async with asyncio.timeout(10):
        while await answer(running) != 2:  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.01)
    await until(lambda: "ZeroDivisionError: event" in caplog.text)
    await until(lambda: caplog.text.count("RuntimeError: look") >= 3)
    await asyncio.sleep(3 * running_engine.RECONNECT_SECONDS)
    assert running.ready() == (True, "")


async def test_redis_that_goes_away_while_models_are_loaded_is_waited_for(
    engine: StartEngine, redis_server: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, faults = ModelStore.load, iter([RedisUnavailable("for this test")] * 2)

    async def broken(self: ModelStore, name: str, version: int) -> Bundle:
        for fault in faults:
            raise fault
        return await load(self, name, version)

    monkeypatch.setattr(ModelStore, "load", broken)
    server = redis_server()
    await publish(server, bundle(constant(1)))

    running = await engine(redis_url=server.url)
    await until(lambda: running.ready() == (True, ""))

    assert [one.manifest.version for one in running.catalogue.loaded()] == [1]


async def test_redis_that_goes_away_while_a_version_is_loaded_leaves_the_alias_and_comes_back_to_it(
    store: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.publish(bundle(constant(1)))
    running = await engine(resync_seconds=3600)
    load, faults = ModelStore.load, iter([RedisUnavailable("for this test")] * 2)

    async def broken(self: ModelStore, name: str, version: int) -> Bundle:
        for fault in faults:
            raise fault
        return await load(self, name, version)

    monkeypatch.setattr(ModelStore, "load", broken)
    await store.publish(bundle(constant(2)))

    async with asyncio.timeout(10):
        while await answer(running) != 2:  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.01)
    assert running.catalogue.failures("m") == {}


async def test_stop_ends_a_load_that_has_no_end(
    store: ModelStore, redis_url: str, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.publish(bundle(constant(1)))
    running = await engine(preload_models=0)

    async def never(*_: Any) -> Bundle:
        await asyncio.sleep(3600)
        raise AssertionError

    monkeypatch.setattr(ModelStore, "load", never)
    waiting = asyncio.create_task(answer(running))
    await asyncio.sleep(0.05)

    await asyncio.wait_for(running.stop(), 3)

    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], Stopping)


async def test_stop_ends_a_run_that_has_no_end(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(looping()))
    running = await engine()
    ask = Ask("m", inputs={"x": [[1]], "turns": [1 << 60]})
    waiting = asyncio.create_task(running.predictor.predict(ask))
    await asyncio.sleep(0.1)

    await asyncio.wait_for(running.stop(), 5)

    assert isinstance((await asyncio.gather(waiting, return_exceptions=True))[0], DeadlineExceeded)


async def test_an_engine_that_never_started_stops(redis_url: str, engine: StartEngine) -> None:
    running = await engine()
    await running.stop()

    await asyncio.wait_for(running.stop(), 3)


@pytest.mark.parametrize(
    "replies",
    [
        [[b"insitu:events", [(b"1-1", {b"model": b"m"})]]],
        {b"insitu:events": [[(b"1-1", {b"model": b"m"})]]},
        {b"insitu:events": [(b"1-1", {b"model": b"m"})]},
    ],
)
def test_events_are_read_in_either_protocol(replies: Any) -> None:
    assert read_entries(replies) == [(b"1-1", {b"model": b"m"})]


@pytest.mark.parametrize("replies", [[], {}, None])
def test_no_event_is_no_entry(replies: Any) -> None:
    assert read_entries(replies) == []


async def test_changes_are_followed_in_the_third_protocol_too(
    store: ModelStore, redis_url: str, engine: StartEngine
) -> None:
    await store.publish(bundle(constant(1)))
    running = await engine(redis_url=f"{redis_url}?protocol=3", resync_seconds=3600)

    await store.publish(bundle(constant(2)))

    async with asyncio.timeout(10):
        while await answer(running) != 2:  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.01)
