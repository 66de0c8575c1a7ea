"""Work that nobody waits for is not run, and a queue ends in bounded time whatever it runs."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from models.tensors import Tensor
from server.inference import runs
from server.inference.batcher import Batcher
from server.inference.errors import DeadlineExceeded
from server.inference.runs import LOOK_SECONDS, STOP_SECONDS
from tests.graphs import looping, scaled, summed_over_steps
from tests.unit.server.inference.asked import ENOUGH_SECONDS, ask, held_back, put, tensors
from tests.unit.server.inference.conftest import Held

MakeHeld = Callable[..., Held]
MakeBatcher = Callable[..., Batcher]


def endless(width: int = 1) -> dict[str, Tensor]:
    return {"x": np.ones((width, 1), np.float32), "turns": np.full(width, 1 << 60)}


async def test_expired_work_never_runs(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session)
    session.hold()
    first = await held_back(session, ask(queue, 0))

    late = ask(queue, 1, deadline=time.monotonic() + 0.01)
    await asyncio.sleep(0.05)
    session.gate.set()
    await first.answers()

    assert isinstance(await late.fault(), DeadlineExceeded)
    assert session.runs == [1]


async def test_a_batch_whose_callers_have_left_is_not_run(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(summed_over_steps())
    queue = batcher(session)
    sequences = [np.ones((1, steps, 2), np.float32) for steps in (3, 4, 5)]
    session.hold()
    first, gone, last = (put(queue, tensors({"x": sequence})) for sequence in sequences)
    await held_back(session, first)

    gone.open = False
    session.gate.set()

    assert await last.answers() == [[5, 5]]
    assert session.runs == [1, 1]


async def test_a_run_is_stopped_when_all_its_callers_have_left(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(looping())
    queue = batcher(session)
    gone = [put(queue, tensors(endless())) for _ in range(2)]
    await asyncio.to_thread(session.running.wait)

    gone[0].open = False
    await asyncio.sleep(2 * LOOK_SECONDS)
    after = put(queue, tensors({"x": np.ones((1, 1), np.float32), "turns": np.array([1])}))
    await asyncio.sleep(2 * LOOK_SECONDS)
    waited = not after.heard.done()
    gone[1].open = False

    assert waited  # one of the two was still there
    assert await asyncio.wait_for(after.answers(), STOP_SECONDS + 2) == [[1.0]]
    assert session.runs == [2, 1]


async def test_a_run_that_has_not_begun_is_taken_back_when_its_caller_has_left(
    held: MakeHeld, batcher: MakeBatcher, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "STOP_SECONDS", 3600.0)
    session, others = held(looping()), threading.Event()
    queue = batcher(session)
    busy = [pool.submit(others.wait, ENOUGH_SECONDS) for _ in range(2)]  # other models have every thread
    gone = put(queue, tensors(endless()))
    await asyncio.sleep(2 * LOOK_SECONDS)

    gone.open = False
    after = put(queue, tensors({"x": np.ones((1, 1), np.float32), "turns": np.array([1])}))
    await asyncio.sleep(2 * LOOK_SECONDS)
    others.set()

    assert await after.answers() == [[1.0]]
    assert session.runs == [1]
    assert all(one.result() for one in busy)


async def test_close_lets_runs_end(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(scaled()))
    job = ask(queue, 1)

    await queue.close(5.0)

    assert job.heard.done()
    assert job.values() == [[2, 2]]


async def test_close_of_an_idle_queue_waits_for_nothing(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(scaled()))
    await ask(queue, 1).answers()

    await asyncio.wait_for(queue.close(60.0), 1)


async def test_close_does_not_wait_for_a_fuller_batch(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(scaled()), wait_seconds=60.0)
    job = ask(queue, 1)

    await asyncio.wait_for(queue.close(30.0), 5)

    assert job.values() == [[2, 2]]


async def test_close_stops_a_run_without_an_end_and_tells_who_waits(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(looping())
    queue = batcher(session)
    session.hold()
    runs = await held_back(session, put(queue, tensors(endless())))
    waits = put(queue, tensors(endless()))
    session.gate.set()

    await asyncio.wait_for(queue.close(0.05), 5)

    assert [type(await job.fault()) for job in (runs, waits)] == [DeadlineExceeded] * 2


async def test_close_stops_every_run_of_a_batch_in_parts(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(looping())
    queue = batcher(session, "coupled")
    jobs = [put(queue, tensors(endless())) for _ in range(50)]

    await asyncio.wait_for(queue.close(0.05), 5)

    assert [type(await job.fault()) for job in jobs] == [DeadlineExceeded] * 50
    assert len(session.runs) == 1


async def test_close_ends_what_waits_behind_a_run_that_cannot_be_stopped(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)
    session.hold()
    runs = await held_back(session, ask(queue, 1))
    waits = ask(queue, 2)

    await asyncio.wait_for(queue.close(0.0), 5)

    assert [type(await job.fault()) for job in (runs, waits)] == [DeadlineExceeded] * 2
    session.gate.set()


async def test_close_without_time_tells_who_waits_at_once(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session)
    job = ask(queue, 1)

    await queue.close(0.0)
    await asyncio.sleep(0.01)

    assert isinstance(await job.fault(), DeadlineExceeded)
    assert session.runs == []


async def test_what_comes_after_the_end_is_told_so(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(scaled()))
    await queue.close(0.0)

    assert isinstance(await ask(queue, 1).fault(), DeadlineExceeded)


async def test_a_queue_goes_on_after_a_batch_that_nobody_waits_for(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)
    ask(queue, 1).open = False
    await asyncio.sleep(0)

    assert await ask(queue, 2).answers() == [[4, 4]]
    assert session.runs == [1]
    assert queue.load == 0


def test_a_run_ends_with_its_loop_where_nobody_has_closed_its_queue(
    held: MakeHeld, batcher: MakeBatcher, pool: ThreadPoolExecutor
) -> None:
    session, free = held(looping()), threading.Barrier(2)

    async def leave_running() -> None:
        queue = batcher(session)
        session.hold()
        await held_back(session, put(queue, tensors(endless())))
        session.gate.set()

    asyncio.run(leave_running())

    waiting = [pool.submit(free.wait, 5.0) for _ in range(2)]
    assert {one.result(10.0) for one in waiting} == {0, 1}
