"""A request is heard of once, whatever becomes of it, and takes no room once it is over."""

import asyncio
import gc
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from models.errors import BadRequest, ModelNotFound, RedisUnavailable
from models.store import ModelStore
from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.errors import DeadlineExceeded, Stopping, TooManyRows
from tests.graphs import bundle, looping, scaled
from tests.integration.server.conftest import StartEngine, until
from tests.servers import RedisServer

VIEW = {"inputs": [{"name": "x", "sources": [{"key": "v:{id}", "as": "vector", "shape": [2]}]}]}
ENDLESS: Mapping[str, Any] = {"x": [[1]], "turns": [1 << 60]}


class Heard:
    """What was heard of requests, in order."""

    def __init__(self) -> None:
        self.outcomes: list[Answer | Exception] = []

    def __call__(self, outcome: Answer | Exception) -> None:
        self.outcomes.append(outcome)

    @property
    def kinds(self) -> list[type]:
        return [type(outcome) for outcome in self.outcomes]


def told(engine: Engine, beginning: str) -> list[str]:
    """Return the lines of the metrics that begin so."""
    return [line for line in engine.metrics.exposition().decode().splitlines() if line.startswith(beginning)]


@pytest.fixture
async def stored(store: ModelStore, redis: Redis) -> ModelStore:
    await redis.mset({f"v:{number}": np.full(2, number, "<f4").tobytes() for number in range(10)})
    await store.publish(bundle(scaled(), view=VIEW))
    return store


async def test_who_cancels_a_prediction_leaves_nothing_behind(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(looping()))
    running = await engine()
    await running.predictor.predict(Ask("m", inputs={"x": [[1]], "turns": [1]}))

    task = asyncio.create_task(running.predictor.predict(Ask("m", inputs=ENDLESS)))
    await asyncio.sleep(0.05)
    during = running.predictor.under_way
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert (during, running.predictor.under_way) == (1, 0)
    assert told(running, "insitu_errors_total") == []


async def test_a_request_whose_time_is_over_is_told_so_before_anything_is_read(
    stored: ModelStore, engine: StartEngine
) -> None:
    running, heard = await engine(), Heard()

    running.predictor.submit(Ask("m", keys=["v:1"], deadline=time.monotonic() - 1), heard)

    assert heard.kinds == [DeadlineExceeded]
    assert running.predictor.under_way == 0


async def test_rows_that_are_refused_are_answered_before_anything_is_read(
    stored: ModelStore, engine: StartEngine
) -> None:
    running, heard = await engine(), Heard()

    running.predictor.submit(Ask("m", keys=["x:1", "x:2"]), heard)

    assert heard.kinds == [Answer]
    answer = heard.outcomes[0]
    assert isinstance(answer, Answer)
    assert [row.error.code for row in answer.rows if row.error] == ["key_not_allowed"] * 2


async def test_callers_with_a_row_each_are_counted_as_so_many_requests(
    stored: ModelStore, engine: StartEngine
) -> None:
    running, heard = await engine(), Heard()

    running.predictor.submit(Ask("m", keys=["v:1", "v:2", "v:3"], callers=3), heard)
    during = running.predictor.under_way
    await until(lambda: bool(heard.outcomes))

    assert (during, running.predictor.under_way) == (3, 0)
    labels = '{model="m",version="1"}'
    assert told(running, f"insitu_request_seconds_count{labels}") == [
        f"insitu_request_seconds_count{labels} 3.0"
    ]
    assert told(running, f"insitu_rows_total{labels}") == [f"insitu_rows_total{labels} 3.0"]


async def test_what_cannot_be_read_takes_no_room_in_the_queue(
    engine: StartEngine, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    async with Redis.from_url(server.url) as client:
        await ModelStore(client).publish(bundle(scaled(), view=VIEW))
    running, heard = await engine(redis_url=server.url, redis_timeout_ms=200), Heard()
    await running.predictor.predict(Ask("m", inputs={"x": [[1, 2]]}))
    (serving,) = running.catalogue.loaded()

    server.pause()
    for number in range(10):
        running.predictor.submit(Ask("m", keys=[f"v:{number}"]), heard)
    during = serving.batcher.load
    await until(lambda: len(heard.outcomes) == 10)
    with pytest.raises(RedisUnavailable):
        await running.predictor.predict(Ask("m", keys=["v:1"]))
    server.resume()

    assert heard.kinds == [RedisUnavailable] * 10
    assert during > 0
    assert serving.batcher.load == 0
    assert running.predictor.under_way == 0


async def test_what_cannot_be_read_now_is_refused_at_once_and_takes_no_room(
    engine: StartEngine, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    async with Redis.from_url(server.url) as client:
        await ModelStore(client).publish(bundle(scaled(), view=VIEW))
    running, heard = await engine(redis_url=server.url), Heard()
    await running.predictor.predict(Ask("m", inputs={"x": [[1, 2]]}))
    (serving,) = running.catalogue.loaded()

    server.kill()
    await until(lambda: not running.redis_ok)
    await asyncio.sleep(0.1)
    running.predictor.submit(Ask("m", keys=["v:1"]), heard)

    assert heard.kinds == [RedisUnavailable]
    assert serving.batcher.load == 0
    assert (await running.predictor.predict(Ask("m", inputs={"x": [[1, 2]]}))).rows[0].error is None


async def test_a_request_that_a_rule_divides_is_refused_once(stored: ModelStore, engine: StartEngine) -> None:
    await stored.publish(bundle(scaled(3.0), view=VIEW), alias=None)
    await stored.set_traffic("m", {1: 60, 2: 40})
    running, heard = await engine(), Heard()
    keys = [f"v:{number}" for number in range(10)]
    answer = await running.predictor.predict(Ask("m", keys=keys))
    assert {row.version for row in answer.rows} == {None, 2}

    running.predictor.submit(Ask("m", keys=keys, missing={"nonsense": 1}), heard)

    assert heard.kinds == [BadRequest]
    assert told(running, "insitu_errors_total") == [
        'insitu_errors_total{model="m",version="1",code="bad_request"} 1.0'
    ]


async def test_who_cancels_in_the_moment_of_the_answer_is_not_told(
    stored: ModelStore, engine: StartEngine
) -> None:
    running = await engine()
    ask = Ask("m", inputs={"x": [[1, 2]]})
    for _ in range(30):
        await running.predictor.predict(ask)

    task = asyncio.create_task(running.predictor.predict(ask))
    asyncio.get_running_loop().call_soon(task.cancel)

    with pytest.raises(asyncio.CancelledError):
        await task
    assert running.predictor.under_way == 0


@pytest.mark.parametrize("pause", [0.0, 0.002, 0.01])
async def test_a_server_that_ends_tells_whoever_still_waits(
    stored: ModelStore, engine: StartEngine, pause: float
) -> None:
    running, heard = await engine(preload_models=0), Heard()
    for _ in range(3):
        running.predictor.submit(Ask("m", keys=["v:1"]), heard)
    await asyncio.sleep(pause)

    await running.stop()

    assert len(heard.outcomes) == 3
    assert set(heard.kinds) <= {Answer, Stopping, RedisUnavailable}
    assert running.predictor.under_way == 0


async def test_a_model_that_is_not_stored_makes_no_series_of_its_own(
    stored: ModelStore, engine: StartEngine
) -> None:
    running = await engine()

    for name in ("nobody", "knows", "these"):
        with pytest.raises(ModelNotFound):
            await running.predictor.predict(Ask(name, keys=["v:1"]))

    assert told(running, "insitu_errors_total") == [
        'insitu_errors_total{model="unknown",version="",code="model_not_found"} 3.0'
    ]


async def test_who_leaves_while_a_version_is_looked_up_is_not_answered(
    stored: ModelStore, engine: StartEngine
) -> None:
    running, heard = await engine(preload_models=0), Heard()

    request = running.predictor.submit(Ask("m", keys=["v:1"]), heard)
    running.predictor.leave(request)
    await until(lambda: bool(running.catalogue.loaded()))
    await asyncio.sleep(0.05)

    assert heard.outcomes == []
    assert running.predictor.under_way == 0


async def test_a_fault_of_ours_is_heard_of_and_is_no_error_of_the_caller(
    stored: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, heard = await engine(), Heard()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(running.catalogue, "route", broken)
        running.predictor.submit(Ask("m", keys=["v:1"]), heard)

    assert heard.kinds == [ZeroDivisionError]
    assert running.predictor.under_way == 0
    fault = 'insitu_errors_total{model="m",version="",code="internal_error"} 1.0'
    assert told(running, "insitu_errors_total") == [fault]


async def test_what_asks_again_as_it_hears_an_answer_is_answered_too(
    stored: ModelStore, engine: StartEngine
) -> None:
    running, heard = await engine(), Heard()

    def again(outcome: Answer | Exception) -> None:
        heard(outcome)
        if len(heard.outcomes) < 50:
            running.predictor.submit(Ask("m", inputs={"x": [[1, 2]]}), again)

    running.predictor.submit(Ask("m", inputs={"x": [[1, 2]]}), again)
    await until(lambda: len(heard.outcomes) == 50)

    assert set(heard.kinds) == {Answer}


async def test_a_server_that_ends_while_redis_hangs_tells_whoever_looks_a_model_up(
    engine: StartEngine, redis_server: Callable[..., RedisServer]
) -> None:
    server = redis_server()
    running, heard = await engine(redis_url=server.url), Heard()

    server.pause()
    running.predictor.submit(Ask("never-met", keys=["v:1"]), heard)
    await asyncio.sleep(0.05)
    await asyncio.wait_for(running.stop(), 10)
    server.resume()

    assert heard.kinds == [Stopping]


class Keys(list[str]):
    """Keys that can be seen to go."""


async def test_what_a_refused_request_asked_for_goes_with_it(stored: ModelStore, engine: StartEngine) -> None:
    predictor = (await engine()).predictor
    keys = Keys(["v:1"] * 5000)
    kept = weakref.ref(keys)
    codes = []

    gc.disable()  # large lists of texts are many bytes and few objects: a collection may be a long time off
    try:
        try:
            await predictor.predict(Ask("m", keys=keys))
        except TooManyRows as error:
            codes.append(error.code)
        del keys

        assert (codes, kept()) == (["too_many_rows"], None)
    finally:
        gc.enable()
