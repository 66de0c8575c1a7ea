"""A request is answered once, or given up when its time is over; watching many costs next to nothing."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from models.assembly import Plan
from models.errors import RedisUnavailable
from server.inference import requests as watching
from server.inference.asking import Ask, Row
from server.inference.batcher import Batcher
from server.inference.errors import DeadlineExceeded, Stopping
from server.inference.loading import Serving
from server.inference.requests import Part, Request, Requests
from server.metrics import Metrics
from tests.graphs import scaled
from tests.unit.server.inference.conftest import Held

VIEW = {"inputs": [{"name": "x", "sources": [{"key": "p:{id}", "as": "vector", "shape": [2]}]}]}
REPLY = np.ones(2, "<f4").tobytes()
Heard = list[tuple[Request, Exception | None]]


class Watch:
    """Requests that are watched, and what was heard of each."""

    def __init__(self) -> None:
        self.requests = Requests()
        self.heard: Heard = []
        self.at: list[float] = []

    def add(self, seconds: float) -> Request:
        now = time.monotonic()
        request = Request(Ask("m"), now, now + seconds, lambda _: None, self.ended)
        self.requests.add(request)
        return request

    def ended(self, request: Request, error: Exception | None) -> None:
        self.requests.discard(request)
        self.heard.append((request, error))
        self.at.append(time.monotonic())

    async def none_left(self) -> None:
        async with asyncio.timeout(10):
            while self.requests.callers:  # noqa: ASYNC110  # the timer tells requests, not tests
                await asyncio.sleep(0.001)


class Timers:
    """The timers that a loop was asked for, and how often one has fired."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.started = 0
        self.fired = 0
        self._call_later: Callable[..., asyncio.TimerHandle] = loop.call_later
        loop.call_later = self.call_later  # type: ignore[method-assign, assignment]  # what is watched here

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> asyncio.TimerHandle:
        self.started += 1

        def fired() -> None:
            self.fired += 1
            callback(*args)

        return self._call_later(delay, fired)


@pytest.fixture
def watch() -> Iterator[Watch]:
    one = Watch()
    yield one
    one.requests.close(Stopping())


async def test_each_request_is_given_up_when_its_own_time_is_over(watch: Watch) -> None:
    given = [watch.add(seconds) for seconds in (0.12, 0.04, 0.08)]

    await watch.none_left()

    assert [request for request, _ in watch.heard] == [given[1], given[2], given[0]]
    for (request, error), at in zip(watch.heard, watch.at, strict=True):
        assert isinstance(error, DeadlineExceeded)
        assert request.deadline <= at < request.deadline + 0.1


async def test_a_shorter_time_after_a_longer_one_is_not_kept_late(watch: Watch) -> None:
    long = watch.add(30.0)
    short = watch.add(0.02)

    await asyncio.sleep(0.1)

    assert [request for request, _ in watch.heard] == [short]
    assert watch.requests.callers == 1
    assert long.open


async def test_what_is_wrong_says_how_long_it_was_waited_for(watch: Watch) -> None:
    watch.add(0.02)

    await watch.none_left()

    assert "within 0.02 s" in str(watch.heard[0][1])


async def test_ten_thousand_requests_have_one_timer(watch: Watch) -> None:
    timers = Timers()
    now = time.monotonic()
    for _ in range(10_000):
        watch.requests.add(Request(Ask("m"), now, now + 0.05, lambda _: None, watch.ended))
    started = timers.started

    await asyncio.sleep(0.1)
    await watch.none_left()

    assert started == 1
    assert len(watch.heard) == 10_000


async def test_nothing_is_timed_when_no_request_is_left(watch: Watch) -> None:
    timers = Timers()
    watch.requests.discard(watch.add(0.02))

    await asyncio.get_running_loop().create_task(asyncio.sleep(0.05))
    before = timers.started
    time.sleep(0.01)  # noqa: ASYNC251  # whatever is due by now
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert timers.started == before
    assert watch.heard == []


async def test_requests_with_next_to_no_time_do_not_keep_the_loop_busy(watch: Watch) -> None:
    for _ in range(100_000):  # finding those that are over takes milliseconds
        watch.add(60.0)
    timers = Timers()
    started = time.perf_counter()

    while time.perf_counter() - started < 1.0:
        watch.add(0.001)
        await asyncio.sleep(0)

    assert 1 <= timers.fired < 60
    assert len(watch.heard) > 0


async def test_a_caller_that_cannot_be_told_keeps_no_other_from_being_told(watch: Watch) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))

    def deaf(request: Request, _error: Exception | None) -> None:
        watch.requests.discard(request)
        raise ZeroDivisionError

    now = time.monotonic()
    for ended in (deaf, watch.ended, deaf, watch.ended):
        watch.requests.add(Request(Ask("m"), now, now + 0.02, lambda _: None, ended))

    await watch.none_left()

    assert len(watch.heard) == 2
    assert len(told) == 2


async def test_who_is_given_up_may_ask_again_at_once(watch: Watch) -> None:
    again: list[Request] = []

    def ended(request: Request, error: Exception | None) -> None:
        watch.ended(request, error)
        again.append(watch.add(0.02))

    now = time.monotonic()
    watch.requests.add(Request(Ask("m"), now, now + 0.02, lambda _: None, ended))

    await watch.none_left()

    assert len(watch.heard) == 2


async def test_a_request_is_ended_once(watch: Watch) -> None:
    answered, failed, left = (watch.add(0.02) for _ in range(3))
    fault = RedisUnavailable("gone")

    answered.end()
    failed.end(fault)
    failed.end()
    left.leave()
    left.end(fault)
    answered.end(fault)
    watch.requests.discard(left)
    await asyncio.sleep(0.05)

    assert watch.heard == [(answered, None), (failed, fault)]


async def test_a_request_that_is_not_watched_can_be_left_out_twice(watch: Watch) -> None:
    one, _ = watch.add(30.0), watch.add(30.0)

    watch.requests.discard(one)
    watch.requests.discard(one)

    assert watch.requests.callers == 1


async def test_closing_tells_whoever_still_waits(watch: Watch) -> None:
    left = [watch.add(0.01), watch.add(30.0)]
    stopping = Stopping()

    watch.requests.close(stopping)
    await asyncio.sleep(0.05)

    assert dict(watch.heard) == dict.fromkeys(left, stopping)


def test_watching_nothing_can_be_closed() -> None:
    Requests().close(Stopping())


@pytest.fixture
async def serving(held: Callable[..., Held], batcher: Callable[..., Batcher]) -> Serving:
    """A loaded version without a loader."""
    session = held(scaled(), view=VIEW)
    manifest = session.manifest
    assert manifest.features is not None
    return Serving(
        manifest=manifest,
        provider=session.provider,
        memory_bytes=1,
        rows="apart",
        row_bytes=8,
        told=(2, 2),
        plan=Plan(manifest.features),
        ways=None,
        batcher=batcher(session, queue_rows=8),
        metrics=Metrics().of("m", 1),
    )


def parts(watch: Watch, serving: Serving, *keys: list[str]) -> tuple[Request, list[Part]]:
    """Return a request and its parts, each of which has room in the queue."""
    request = watch.add(10.0)
    assert serving.plan is not None
    made = []
    for some in keys:
        part = Part(request, serving, [Row(key) for key in some])
        part.take(serving.plan.prepare_keys(some), None)
        serving.batcher.admit(len(some))
        made.append(part)
    request.parts, request.waiting = made, len(made)
    request.of([row for part in made for row in part.rows])
    return request, made


async def test_a_request_ends_with_its_last_part(watch: Watch, serving: Serving) -> None:
    request, (first, second) = parts(watch, serving, ["p:1", "q:1"], ["p:2"])

    first.replied([REPLY])
    await asyncio.sleep(0.05)
    before = list(watch.heard)
    second.replied([REPLY])
    await watch.none_left()

    assert before == []
    assert watch.heard == [(request, None)]
    assert [row.error.code if row.error else row.body["outputs"]["y"] for row in request.rows] == [
        [2, 2],
        "key_not_allowed",
        [2, 2],
    ]


async def test_what_could_not_be_read_gives_its_room_in_the_queue_back(
    watch: Watch, serving: Serving
) -> None:
    request, (part,) = parts(watch, serving, ["p:1", "p:2"])
    gone = RedisUnavailable("gone")
    loads = [serving.batcher.load]

    part.replied(gone)
    loads.append(serving.batcher.load)

    assert loads == [0.25, 0.0]
    assert watch.heard == [(request, gone)]


async def test_what_could_not_be_read_for_the_first_part_is_the_whole_requests(
    watch: Watch, serving: Serving
) -> None:
    request, (first, second) = parts(watch, serving, ["p:1"], ["p:2"])
    gone = RedisUnavailable("gone")

    first.replied(gone)
    second.replied([REPLY])
    await asyncio.sleep(0.05)

    assert watch.heard == [(request, gone)]
    assert request.rows[1].body == {}
    assert serving.batcher.load == 0


async def test_what_could_not_be_read_for_another_part_is_its_rows_alone(
    watch: Watch, serving: Serving
) -> None:
    request, (first, second) = parts(watch, serving, ["p:1"], ["p:2", "q:2"])
    gone = RedisUnavailable("gone")

    second.replied(gone)
    first.replied([REPLY])
    await watch.none_left()

    assert watch.heard == [(request, None)]
    assert [row.error.code if row.error else None for row in request.rows] == [
        None,
        "redis_unavailable",
        "key_not_allowed",
    ]


async def test_a_part_is_ended_once(watch: Watch, serving: Serving) -> None:
    request, (first, second) = parts(watch, serving, ["p:1"], ["p:2"])

    second.end()
    second.end()
    before = list(watch.heard)
    first.end()

    assert before == []
    assert watch.heard == [(request, None)]


async def test_a_fault_of_ours_in_any_part_is_the_whole_requests(watch: Watch, serving: Serving) -> None:
    request, (_, second) = parts(watch, serving, ["p:1"], ["p:2"])
    fault = ZeroDivisionError()

    second.end(fault)

    assert watch.heard == [(request, fault)]


async def test_what_comes_for_a_request_that_was_given_up_is_not_run(
    watch: Watch, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "SWEEP_SECONDS", 0.0)
    request, (part,) = parts(watch, serving, ["p:1"])
    request.end(DeadlineExceeded(0.0))

    part.replied([REPLY])
    await asyncio.sleep(0.02)

    assert len(watch.heard) == 1
    assert request.rows[0].body == {}
    assert serving.batcher.load == 0
