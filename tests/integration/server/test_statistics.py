"""Statistics are what was asked: requests that succeed and fail, rows, batches by size, and where their time went."""

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from models.errors import VersionNotFound
from models.store import ModelStore
from server.counting.version_statistics import Statistics
from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.errors import BadInput, DeadlineExceeded, Overloaded, RunFailed
from tests.graphs import bundle, f32, looked_up, looping, running_total, scaled
from tests.integration.server.conftest import StartEngine

HASH = {"key": "k:{id}", "as": "hash", "fields": ["a", "b"]}
VIEW = {"inputs": [{"name": "x", "sources": [HASH]}]}
ROW = {"x": [[1.0, 2.0]]}


async def ask(engine: Engine, **asked: Any) -> Answer:
    return await engine.predictor.predict(Ask("m", **asked))


async def together(engine: Engine, asks: list[Ask]) -> None:
    """Ask in one moment, and wait until all of them are answered."""
    heard = [asyncio.get_running_loop().create_future() for _ in asks]
    with engine.moment:
        for one, future in zip(asks, heard, strict=True):
            engine.predictor.submit(one, future.set_result)
    await asyncio.gather(*heard)


def of(engine: Engine, version: int = 1) -> Statistics:
    return engine.metrics.statistics("m", version)


@pytest.fixture
async def running(store: ModelStore, engine: StartEngine, redis: Redis) -> Engine:
    await redis.hset("k:1", mapping={"a": 1, "b": 2})
    await redis.hset("k:2", mapping={"a": 3, "b": 4})
    await store.publish(bundle(scaled(), view=VIEW))
    return await engine()


async def test_requests_rows_and_batches_are_those_that_were_sent(running: Engine) -> None:
    for rows in (1, 1, 3):
        await ask(running, inputs={"x": ROW["x"] * rows})
    await ask(running, keys=["k:1", "k:2", "k:1"])

    found = of(running)

    assert (found.inference_count, found.execution_count) == (8, 4)
    assert [(one.size, one.compute_infer.count) for one in found.batches] == [(1, 2), (3, 2)]
    counted = (found.success, found.queue, found.compute_input, found.compute_infer, found.compute_output)
    assert [one.count for one in counted] == [4] * 5
    assert found.fail.count == 0
    assert abs(found.last_inference_ms - 1000 * time.time()) < 10_000


async def test_the_parts_of_a_requests_time_are_within_the_whole(running: Engine) -> None:
    for _ in range(20):
        await ask(running, keys=["k:1", "k:2"])

    found = of(running)

    parts = (found.queue, found.compute_input, found.compute_infer)
    assert all(one.ns > 0 for one in (*parts, found.compute_output))
    assert sum(one.ns for one in parts) < found.success.ns
    assert found.compute_infer.ns == sum(one.compute_infer.ns for one in found.batches)


async def test_each_request_is_charged_with_the_whole_batch(running: Engine) -> None:
    await together(running, [Ask("m", inputs=ROW) for _ in range(4)])

    found = of(running)

    (batch,) = found.batches
    assert (batch.size, batch.compute_infer.count, found.execution_count) == (4, 1, 1)
    assert found.success.count == 4
    assert found.compute_infer.ns == pytest.approx(4 * batch.compute_infer.ns, abs=10)
    assert found.compute_output.ns == pytest.approx(4 * batch.compute_output.ns, abs=10)


async def test_a_row_for_each_of_several_callers_is_a_request_each(running: Engine) -> None:
    await together(running, [Ask("m", keys=["k:1", "k:9", "k:2"], callers=3)])

    found = of(running)

    assert (found.success.count, found.fail.count, found.inference_count) == (2, 1, 2)
    assert found.queue.count == 3


@pytest.mark.parametrize(
    ("keys", "failed"), [(["k:9"], 1), (["k:8", "k:9"], 1), (["k:1", "k:9"], 0), (["nothing:1"], 1)]
)
async def test_a_request_without_one_good_row_has_failed(
    running: Engine, keys: list[str], failed: int
) -> None:
    await ask(running, keys=keys)

    found = of(running)

    assert (found.success.count, found.fail.count) == (1 - failed, failed)
    assert (found.fail.ns > 0, found.success.ns > 0) == (bool(failed), not failed)
    assert b'insitu_requests_total{model="m",version="1"} 1.0' in running.metrics.exposition()


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"inputs": {"x": [["no number", 1]]}}, BadInput),
        ({"keys": ["k:1"], "tensors": True, "deadline": 0.0}, DeadlineExceeded),
    ],
)
async def test_a_request_that_fails_whole_is_counted_where_its_version_is_known(
    running: Engine, asked: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await ask(running, **asked)

    known = error is BadInput  # one that comes too late is not looked up
    assert (of(running).success.count, of(running).fail.count) == (0, int(known))


@pytest.mark.parametrize(("apart", "failed"), [((), 3), ((RunFailed,), 0), ((Overloaded,), 3)])
async def test_callers_who_are_asked_for_again_are_counted_then(
    store: ModelStore, engine: StartEngine, apart: tuple[type[Exception], ...], failed: int
) -> None:
    await store.publish(bundle(looked_up(f32([[1], [2]]))))
    running = await engine()
    asked = {"inputs": {"i": [0, 9, 1]}, "callers": 3, "tensors": True, "apart": apart}

    with pytest.raises(RunFailed):
        await ask(running, **asked)

    found = of(running)
    assert (found.fail.count, found.queue.count, found.success.count) == (failed, failed, 0)
    assert (b"insitu_errors_total{" in running.metrics.exposition()) is bool(failed)


async def test_the_wait_of_callers_who_might_have_been_asked_for_again_is_counted(running: Engine) -> None:
    await ask(running, inputs={"x": ROW["x"] * 3}, callers=3, tensors=True, apart=(RunFailed,))

    found = of(running)
    assert (found.success.count, found.queue.count) == (3, 3)
    assert found.queue.ns > 0


async def test_a_version_that_is_not_there_counts_nowhere(running: Engine) -> None:
    with pytest.raises(VersionNotFound):
        await ask(running, reference=7, inputs=ROW)

    assert set(running.metrics.every_statistics()) == {("m", 1)}


async def test_the_time_of_a_run_that_is_stopped_is_a_failures(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(bundle(looping()))
    running = await engine()

    with pytest.raises(DeadlineExceeded):
        await ask(running, inputs={"x": [[1.0]], "turns": [1 << 60]}, deadline=time.monotonic() + 0.2)

    found = of(running)
    assert (found.success.count, found.fail.count) == (0, 1)
    assert 0.1e9 < found.fail.ns < 5e9


async def test_rows_that_run_one_by_one_make_one_request(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(running_total(), view=VIEW))
    running = await engine()

    await ask(running, inputs={"x": ROW["x"] * 3})

    found = of(running)
    assert (found.success.count, found.inference_count) == (1, 3)
    assert sum(one.size * one.compute_infer.count for one in found.batches) == 3


async def test_versions_under_a_rule_count_what_each_has_answered(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    for number in range(40):
        await redis.hset(f"k:{number}", mapping={"a": 1, "b": 2})
    for _ in range(2):
        await store.publish(bundle(scaled(), view=VIEW))
    await store.set_traffic("m", {1: 50, 2: 50})
    running = await engine()

    await together(running, [Ask("m", keys=[f"k:{number}" for number in range(40)], callers=40)])

    both = [of(running, version) for version in (1, 2)]
    assert sum(one.inference_count for one in both) == 40
    assert [one.success.count for one in both] == [one.inference_count for one in both]
    assert [one.queue.count for one in both] == [one.success.count for one in both]


async def test_what_waits_is_a_gauge(running: Engine) -> None:
    def waiting() -> float:
        lines = running.metrics.exposition().decode().splitlines()
        (line,) = (one for one in lines if one.startswith("nv_inference_pending_request_count{"))
        return float(line.rpartition(" ")[2])

    heard = asyncio.get_running_loop().create_future()
    before = waiting()
    running.predictor.submit(Ask("m", keys=["k:1", "k:2"]), heard.set_result)
    during = waiting()
    await heard

    assert (before, during, waiting()) == (0, 2, 0)
