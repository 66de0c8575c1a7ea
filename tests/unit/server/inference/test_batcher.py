"""Rows of requests that wait together run together, each caller gets its own back, in bounded time."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from models.tensors import Tensor
from server.inference.batcher import Batcher
from server.inference.errors import DeadlineExceeded, Overloaded, RunFailed
from server.inference.jobs import Outcome
from server.inference.sessions import Session
from tests.graphs import (
    bundle,
    every_step,
    last_step,
    looked_up,
    looping,
    numbered,
    positions,
    running_total,
    scaled,
    summed_over_steps,
    total,
)
from tests.unit.server.inference.conftest import Held, numbers

MakeHeld = Callable[..., Held]
MakeBatcher = Callable[..., Batcher]
TABLE = np.arange(6, dtype=np.float32).reshape(3, 2)


def soon() -> float:
    return time.monotonic() + 10.0


async def ask(batcher: Batcher, *values: float, deadline: float | None = None) -> Outcome:
    return await batcher.submit({"x": numbers(*values)}, len(values), deadline or soon())


async def look_up(batcher: Batcher, *indices: int) -> Outcome:
    return await batcher.submit({"i": np.array(indices, np.int64)}, len(indices), soon())


async def held_back(session: Held, work: Coroutine[Any, Any, Outcome]) -> "asyncio.Task[Outcome]":
    """Start a request whose run begins and does not end before the session's gate is set."""
    session.hold()
    task = asyncio.create_task(work)
    await asyncio.to_thread(session.running.wait)
    return task


async def queued(*works: Coroutine[Any, Any, Outcome]) -> "list[asyncio.Task[Outcome]]":
    """Put requests into the queue, in order."""
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.sleep(0)
    return tasks


async def test_a_request_gets_its_rows(held: MakeHeld, batcher: MakeBatcher) -> None:
    outcome = await ask(batcher(held(scaled(3.0))), 1, 2)

    assert outcome.outputs["y"].tolist() == [[3, 3], [6, 6]]
    assert list(outcome.rows) == [0, 1]
    assert outcome.errors == {}


async def test_what_arrives_during_a_run_is_the_next_batch_in_order(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)
    first = await held_back(session, ask(queue, 0))

    others = await queued(ask(queue, 1), ask(queue, 2, 3, 4), ask(queue, 5, 6))
    session.gate.set()
    outcomes = await asyncio.gather(first, *others)

    assert session.runs == [1, 6]
    assert [outcome.outputs["y"][:, 0].tolist() for outcome in outcomes] == [[0], [2], [4, 6, 8], [10, 12]]


async def test_a_batch_has_at_most_the_rows_it_may_have(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session, batch_rows=4)
    first = await held_back(session, ask(queue, 0))

    others = await queued(*(ask(queue, *range(rows)) for rows in (3, 2, 2, 1)))
    session.gate.set()
    await asyncio.gather(first, *others)

    assert session.runs == [1, 3, 4, 1]


async def test_a_request_larger_than_a_batch_runs_in_slices(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())

    outcome = await ask(batcher(session, batch_rows=4), *range(10))

    assert session.runs == [4, 4, 2]
    assert outcome.outputs["y"][:, 0].tolist() == [2 * number for number in range(10)]


@pytest.mark.parametrize(("size", "runs"), [(1, [1, 1, 1, 1, 1]), (4, [4, 4])])
async def test_a_graph_of_fixed_size_gets_exactly_that_many_rows(
    held: MakeHeld, batcher: MakeBatcher, size: int, runs: list[int]
) -> None:
    session = held(scaled(rows=size))

    outcome = await ask(batcher(session), 1, 2, 3, 4, 5)

    assert session.runs == runs
    assert outcome.outputs["y"].tolist() == numbers(2, 4, 6, 8, 10).tolist()


async def test_the_guilty_row_of_a_request_fails_alone(held: MakeHeld, batcher: MakeBatcher) -> None:
    outcome = await look_up(batcher(held(looked_up(TABLE))), 0, 1, 9, 2, 1)

    assert list(outcome.rows) == [0, 1, 3, 4]
    assert outcome.outputs["y"].tolist() == TABLE[[0, 1, 2, 1]].tolist()
    assert list(outcome.errors) == [2]
    assert "idx=9" in str(outcome.errors[2])


async def test_the_neighbours_of_a_guilty_request_are_answered(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(looked_up(TABLE))
    queue = batcher(session)
    first = await held_back(session, look_up(queue, 0))

    others = await queued(*(look_up(queue, index) for index in (1, 2, 9, 0)))
    session.gate.set()
    await first
    outcomes = await asyncio.gather(*others)

    assert [sorted(outcome.errors) for outcome in outcomes] == [[], [], [0], []]
    assert outcomes[3].outputs["y"].tolist() == [[0, 1]]
    assert isinstance(outcomes[2].errors[0], RunFailed)


async def test_one_guilty_row_among_many_costs_few_runs(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(looked_up(TABLE))
    rows = [1] * 1024
    rows[700] = 9

    outcome = await look_up(batcher(session, batch_rows=1024), *rows)

    assert list(outcome.errors) == [700]
    assert len(session.runs) <= 21


async def test_a_request_of_guilty_rows_only_ends_in_bounded_runs(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(looked_up(TABLE))

    outcome = await look_up(batcher(session, batch_rows=4096), *[9] * 4096)

    assert len(outcome.errors) == 4096
    assert outcome.outputs == {}
    assert len(session.runs) < 100


async def test_a_full_queue_refuses_at_once(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session, queue_rows=3)
    first = await held_back(session, ask(queue, 0))
    others = await queued(ask(queue, 1, 2, 3))

    with pytest.raises(Overloaded, match=r"model 'm' is busy \(3 waiting\)") as caught:
        await ask(queue, 4)

    assert caught.value.retry_after_seconds > 0
    session.gate.set()
    assert [len(outcome.rows) for outcome in await asyncio.gather(first, *others)] == [1, 3]


async def test_the_first_of_an_empty_queue_may_be_larger_than_it(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    outcome = await ask(batcher(held(scaled()), queue_rows=1), 1, 2, 3)

    assert len(outcome.rows) == 3


async def test_expired_work_never_runs(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session)
    first = await held_back(session, ask(queue, 0))

    (late,) = await queued(ask(queue, 1, deadline=time.monotonic() + 0.01))
    await asyncio.sleep(0.05)
    session.gate.set()
    await first

    with pytest.raises(DeadlineExceeded):
        await late
    assert session.runs == [1]


async def test_rows_whose_caller_left_never_run(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session, queue_rows=2)
    first = await held_back(session, ask(queue, 0))

    (gone,) = await queued(ask(queue, 1, 2))
    gone.cancel()
    session.gate.set()
    await first
    outcome = await ask(queue, 3, 4)

    assert session.runs == [1, 2]
    assert outcome.outputs["y"][:, 0].tolist() == [6, 8]


async def test_a_caller_that_leaves_during_the_run_disturbs_nobody(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)
    gone = await held_back(session, ask(queue, 0))

    gone.cancel()
    (after,) = await queued(ask(queue, 1))
    session.gate.set()

    assert (await after).outputs["y"].tolist() == [[2, 2]]


async def test_requests_of_a_graph_without_rows_never_share_a_run(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(total())
    queue = batcher(session, "whole")

    outcomes = await asyncio.gather(*(queue.submit({"x": numbers(n, n)}, 1, soon()) for n in (1, 2)))

    assert [float(outcome.outputs["y"]) for outcome in outcomes] == [4, 8]
    assert session.runs == [2, 2]


async def test_requests_whose_rows_see_one_another_never_share_a_run(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    queue = batcher(held(running_total()), "coupled", batch_rows=2)

    outcomes = await asyncio.gather(ask(queue, 1, 1, 1), ask(queue, 5))

    assert [outcome.outputs["y"][:, 0].tolist() for outcome in outcomes] == [[1, 2, 3], [5]]


async def test_rows_that_see_one_another_are_not_taken_apart_to_find_the_guilty_one(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    outcome = await look_up(batcher(held(looked_up(TABLE)), "coupled"), 0, 9)

    assert sorted(outcome.errors) == [0, 1]


SEQUENCE = {
    "inputs": [
        {
            "name": "x",
            "lengths": "lengths",
            "sources": [{"key": "s:{id}", "as": "list", "shape": [2], "last": 9}],
        }
    ]
}


async def test_sequences_with_lengths_share_a_run_and_are_answered_as_alone(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(last_step(), view=SEQUENCE)
    queue = batcher(session)
    short, long = np.full((1, 2, 2), 2, np.float32), np.full((1, 5, 2), 5, np.float32)
    feeds = [{"x": one, "lengths": np.array([one.shape[1]])} for one in (short, long)]
    first = await held_back(session, queue.submit(feeds[0], 1, soon()))

    others = await queued(*(queue.submit(one, 1, soon()) for one in feeds))
    session.gate.set()
    outcomes = await asyncio.gather(first, *others)

    assert session.runs == [1, 2]
    assert [outcome.outputs["y"].tolist() for outcome in outcomes] == [[[2, 2]], [[2, 2]], [[5, 5]]]


def steps(count: int, *, lengths: bool = False) -> dict[str, Tensor]:
    """Return one sequence of ones."""
    x = {"x": np.ones((1, count, 2), np.float32)}
    return x | {"lengths": np.array([count])} if lengths else x


@pytest.mark.parametrize("lengths", [False, True])
async def test_sequences_that_may_not_be_padded_are_run_by_length(
    held: MakeHeld, batcher: MakeBatcher, lengths: bool
) -> None:
    session = held(every_step(), view=SEQUENCE) if lengths else held(summed_over_steps())
    queue = batcher(session)
    first = await held_back(session, queue.submit(steps(9, lengths=lengths), 1, soon()))

    others = await queued(*(queue.submit(steps(n, lengths=lengths), 1, soon()) for n in (2, 3, 2, 3)))
    session.gate.set()
    outcomes = await asyncio.gather(first, *others)

    twice = 2 if lengths else 1
    assert session.runs == [1, 2, 2]
    assert [outcome.outputs["y"].sum() / twice for outcome in outcomes] == [18, 4, 6, 4, 6]


async def test_requests_that_cannot_share_a_run_take_turns(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(summed_over_steps())
    queue = batcher(session, batch_rows=2)
    order: list[int] = []

    async def submitted(count: int) -> Outcome:
        outcome = await queue.submit(steps(count), 1, soon())
        order.append(count)
        return outcome

    first = await held_back(session, submitted(9))
    others = await queued(*(submitted(count) for count in (1, 1, 1, 1, 7)))
    session.gate.set()
    await asyncio.gather(first, *others)

    assert order == [9, 1, 1, 7, 1, 1]


async def test_many_requests_that_cannot_share_a_run_wait_without_being_walked(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    queue = batcher(held(total()), "whole")
    started = time.perf_counter()

    await asyncio.gather(*(queue.submit({"x": numbers(1)}, 1, soon()) for _ in range(4000)))

    assert time.perf_counter() - started < 5


async def test_a_batch_may_wait_for_more_and_ends_waiting_when_full(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session, batch_rows=3, wait_seconds=30.0)

    async def late() -> Outcome:
        await asyncio.sleep(0.02)
        return await ask(queue, 2, 3)

    await asyncio.wait_for(asyncio.gather(ask(queue, 1), late()), 10)

    assert session.runs == [3]


async def test_a_batch_that_stays_small_runs_after_its_wait(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(scaled()), wait_seconds=0.01)

    outcome = await asyncio.wait_for(ask(queue, 1), 10)

    assert outcome.outputs["y"].tolist() == [[2, 2]]


async def test_a_full_batch_does_not_wait(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(scaled()), batch_rows=2, wait_seconds=30.0)

    outcome = await asyncio.wait_for(ask(queue, 1, 2), 10)

    assert len(outcome.rows) == 2


async def test_short_runs_leave_the_threads_once_they_were_measured(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)

    for _ in range(30):
        await ask(queue, 1)

    assert session.threads[0].startswith("run")
    assert session.threads[-1] == "MainThread"


async def test_a_size_never_run_before_is_measured_in_a_thread(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session)
    for _ in range(30):
        await ask(queue, 1)

    await ask(queue, *range(500))

    assert session.threads[-1].startswith("run")


async def test_a_graph_with_a_loop_never_runs_on_the_event_loop(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(looping(1))
    queue = batcher(session)

    for _ in range(30):
        await queue.submit({"x": np.ones((1, 1), np.float32)}, 1, soon())

    assert all(name.startswith("run") for name in session.threads)


async def test_a_run_without_an_end_is_stopped_at_its_deadline(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(looping())
    queue = batcher(session)
    x = np.ones((1, 1), np.float32)

    with pytest.raises(DeadlineExceeded):
        await queue.submit({"x": x, "turns": np.array([1 << 60])}, 1, time.monotonic() + 0.2)

    outcome = await queue.submit({"x": x, "turns": np.array([2])}, 1, soon())
    assert outcome.outputs["y"].tolist() == [[1]]


async def test_a_run_that_cannot_be_stopped_is_left_to_its_thread(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)
    session.hold()
    started = time.monotonic()

    with pytest.raises(DeadlineExceeded):
        await ask(queue, 1, deadline=time.monotonic() + 0.05)

    assert time.monotonic() - started < 5
    session.gate.set()
    assert (await ask(queue, 2)).outputs["y"].tolist() == [[4, 4]]


async def test_outputs_with_other_rows_than_the_inputs_are_nobodys_answer(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    outcome = await batcher(held(positions())).submit({"x": numbers(0, 1, 1)}, 3, soon())

    assert sorted(outcome.errors) == [0, 1, 2]
    assert "output 'y' has" in str(outcome.errors[0])


class Broken(Session):
    """A session with a fault that is no answer of ONNX Runtime."""

    def run(self, feeds: Mapping[str, Tensor], stop: ort.RunOptions | None = None) -> dict[str, Tensor]:
        raise ZeroDivisionError("a fault of ours")


async def test_a_fault_of_ours_fails_its_requests_and_hangs_nobody(batcher: MakeBatcher) -> None:
    queue = batcher(Broken(numbered(bundle(scaled()))))

    faults = await asyncio.gather(ask(queue, 1), ask(queue, 2), return_exceptions=True)
    after = await asyncio.gather(ask(queue, 3), return_exceptions=True)

    assert [type(fault) for fault in (*faults, *after)] == [ZeroDivisionError] * 3


async def test_close_lets_runs_end(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(scaled()))
    work = asyncio.create_task(ask(queue, 1))
    await asyncio.sleep(0)

    await queue.close(5.0)

    assert work.done()
    assert (await work).outputs["y"].tolist() == [[2, 2]]


async def test_close_of_an_idle_queue_waits_for_nothing(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(scaled()))
    await ask(queue, 1)
    await asyncio.sleep(0)

    await asyncio.wait_for(queue.close(60.0), 1)


async def test_close_stops_a_run_without_an_end_and_tells_who_waits(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(looping())
    queue = batcher(session)
    endless = {"x": np.ones((1, 1), np.float32), "turns": np.array([1 << 60])}
    runs = await held_back(session, queue.submit(endless, 1, soon()))
    (waits,) = await queued(queue.submit(endless, 1, soon()))
    session.gate.set()

    await asyncio.wait_for(queue.close(0.05), 5)

    faults = await asyncio.gather(runs, waits, return_exceptions=True)
    assert [type(fault) for fault in faults] == [DeadlineExceeded, DeadlineExceeded]
