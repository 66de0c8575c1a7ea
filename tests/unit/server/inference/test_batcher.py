"""Rows of requests that wait together run together, each caller gets its own back, in bounded time."""

import asyncio
import time
from collections.abc import Callable

import numpy as np
import pytest

from models.tensors import Tensor
from server.inference.batcher import Batcher
from server.inference.errors import Overloaded
from tests.graphs import (
    every_step,
    last_step,
    running_total,
    scaled,
    summed_over_steps,
    total,
)
from tests.unit.server.inference.asked import Asked, all_of, ask, held_back, put, tensors
from tests.unit.server.inference.conftest import Held, numbers

MakeHeld = Callable[..., Held]
MakeBatcher = Callable[..., Batcher]


def firsts(rows: list[list[float]]) -> list[float]:
    return [row[0] for row in rows]


async def test_a_request_gets_its_rows(held: MakeHeld, batcher: MakeBatcher) -> None:
    job = ask(batcher(held(scaled(3.0))), 1, 2)

    assert await job.answers() == [[3, 3], [6, 6]]


async def test_what_arrives_during_a_run_is_the_next_batch_in_order(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)
    session.hold()
    first = await held_back(session, ask(queue, 0))

    others = [ask(queue, 1), ask(queue, 2, 3, 4), ask(queue, 5, 6)]
    session.gate.set()
    answers = await all_of(first, *others)

    assert session.runs == [1, 6]
    assert [firsts(rows) for rows in answers] == [[0], [2], [4, 6, 8], [10, 12]]


async def test_what_arrives_in_one_turn_of_the_loop_is_one_batch(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)

    answers = await all_of(ask(queue, 1), ask(queue, 2), ask(queue, 3, 4))

    assert session.runs == [4]
    assert [firsts(rows) for rows in answers] == [[2], [4], [6, 8]]


async def test_a_batch_has_at_most_the_rows_it_may_have(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session, batch_rows=4)

    await all_of(*(ask(queue, *range(rows)) for rows in (1, 4, 3, 2, 2, 1)))

    assert session.runs == [1, 4, 3, 4, 1]


async def test_a_request_larger_than_a_batch_runs_in_slices(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())

    rows = await ask(batcher(session, batch_rows=4), *range(10)).answers()

    assert session.runs == [4, 4, 2]
    assert firsts(rows) == [2 * number for number in range(10)]


@pytest.mark.parametrize(("size", "runs"), [(1, [1, 1, 1, 1, 1]), (4, [4, 4])])
async def test_a_graph_of_fixed_size_gets_exactly_that_many_rows(
    held: MakeHeld, batcher: MakeBatcher, size: int, runs: list[int]
) -> None:
    session = held(scaled(rows=size))

    rows = await ask(batcher(session), 1, 2, 3, 4, 5).answers()

    assert session.runs == runs
    assert rows == numbers(2, 4, 6, 8, 10).tolist()


async def test_a_full_queue_refuses_at_once(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session, queue_rows=3)
    session.hold()
    first = await held_back(session, ask(queue, 0))
    other = ask(queue, 1, 2, 3)

    with pytest.raises(Overloaded, match=r"model 'm' is busy \(3 waiting\)") as caught:
        queue.admit(1)

    assert caught.value.retry_after_seconds > 0
    session.gate.set()
    assert [len(rows) for rows in await all_of(first, other)] == [1, 3]
    queue.admit(3)


async def test_the_first_of_an_empty_queue_may_be_larger_than_it(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    job = ask(batcher(held(scaled()), queue_rows=1), 1, 2, 3)

    assert len(await job.answers()) == 3


async def test_rows_that_are_still_being_read_for_take_room_in_the_queue(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    queue = batcher(held(scaled()), queue_rows=4)

    queue.admit(3)
    loads = [queue.load]
    with pytest.raises(Overloaded):
        queue.admit(2)
    queue.release(3)
    loads.append(queue.load)
    job = ask(queue, 1, 2)
    loads.append(queue.load)
    await job.answers()
    loads.append(queue.load)

    assert loads == [0.75, 0.0, 0.5, 0.0]


async def test_rows_whose_caller_left_never_run(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session, queue_rows=2)
    session.hold()
    first = await held_back(session, ask(queue, 0))

    ask(queue, 1, 2).open = False
    session.gate.set()
    await first.answers()
    async with asyncio.timeout(10):
        while queue.waiting:  # noqa: ASYNC110  # the next turn of the loop drops them, and tells nobody
            await asyncio.sleep(0)
    after = await ask(queue, 3, 4).answers()

    assert session.runs == [1, 2]
    assert firsts(after) == [6, 8]


async def test_a_caller_that_leaves_during_the_run_disturbs_nobody(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)
    session.hold()
    gone = await held_back(session, ask(queue, 0))

    gone.open = False
    after = ask(queue, 1)
    session.gate.set()

    assert await after.answers() == [[2, 2]]
    assert not gone.heard.done()


async def test_requests_of_a_graph_without_rows_never_share_a_run(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(total())
    queue = batcher(session, "whole")

    jobs = [put(queue, tensors({"x": numbers(n, n)}, rows=1)) for n in (1, 2)]

    assert await all_of(*jobs) == [[4.0], [8.0]]
    assert session.runs == [2, 2]


async def test_requests_whose_rows_see_one_another_never_share_a_run(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    queue = batcher(held(running_total()), "coupled", batch_rows=2)

    answers = await all_of(ask(queue, 1, 1, 1), ask(queue, 5))

    assert [firsts(rows) for rows in answers] == [[1, 2, 3], [5]]


async def test_many_requests_that_cannot_share_a_run_wait_without_being_walked(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    queue = batcher(held(total()), "whole")
    started = time.perf_counter()

    await all_of(*(put(queue, tensors({"x": numbers(1)})) for _ in range(4000)))

    assert time.perf_counter() - started < 5


async def test_many_short_runs_in_a_row_let_others_on_the_loop_in_between(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(total())
    queue = batcher(session, "whole")
    for _ in range(3):
        await put(queue, tensors({"x": numbers(1)})).answers()
    gaps: list[int] = []
    jobs = [put(queue, tensors({"x": numbers(1)})) for _ in range(1000)]

    while not all(job.heard.done() for job in jobs):
        before = len(session.runs)
        await asyncio.sleep(0)
        gaps.append(len(session.runs) - before)

    assert len(session.runs) == 1003
    assert max(gaps) <= 8


SEQUENCE = {
    "inputs": [
        {
            "name": "x",
            "lengths": "lengths",
            "sources": [{"key": "s:{id}", "as": "list", "shape": [2], "last": 9}],
        }
    ]
}


def steps(count: int, filled: float = 1.0, *, lengths: bool = False) -> dict[str, Tensor]:
    """Return one sequence."""
    x = {"x": np.full((1, count, 2), filled, np.float32)}
    return x | {"lengths": np.array([count])} if lengths else x


async def test_sequences_with_lengths_share_a_run_and_are_answered_as_alone(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(last_step(), view=SEQUENCE)
    queue = batcher(session)

    jobs = [put(queue, tensors(steps(count, count, lengths=True))) for count in (2, 5)]

    assert await all_of(*jobs) == [[[2, 2]], [[5, 5]]]
    assert session.runs == [2]


@pytest.mark.parametrize("lengths", [False, True])
async def test_sequences_that_may_not_be_padded_are_run_by_length(
    held: MakeHeld, batcher: MakeBatcher, lengths: bool
) -> None:
    session = held(every_step(), view=SEQUENCE) if lengths else held(summed_over_steps())
    queue = batcher(session)

    jobs = [put(queue, tensors(steps(count, lengths=lengths))) for count in (2, 3, 2, 3)]
    sums = [np.sum(rows) for rows in await all_of(*jobs)]

    twice = 2 if lengths else 1
    assert session.runs == [2, 2]
    assert [one / twice for one in sums] == [4, 6, 4, 6]


async def test_a_request_of_another_shape_does_not_wait_for_those_behind_it(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(summed_over_steps())
    queue = batcher(session, batch_rows=3)
    order: list[int] = []

    async def heard(job: Asked, count: int) -> None:
        await job.answers()
        order.append(count)

    counts = (1, 7, 1, 1, 1, 1)
    jobs = [put(queue, tensors(steps(count))) for count in counts]
    await asyncio.gather(*(heard(job, count) for job, count in zip(jobs, counts, strict=True)))

    assert order == [1, 1, 7, 1, 1, 1]
    assert session.runs == [2, 1, 3]


async def test_a_batch_may_wait_for_more_and_ends_waiting_when_full(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session, batch_rows=3, wait_seconds=30.0)

    first = ask(queue, 1)
    await asyncio.sleep(0.02)
    await all_of(first, ask(queue, 2, 3))

    assert session.runs == [3]


async def test_a_batch_that_stays_small_runs_after_its_wait(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(scaled()), wait_seconds=0.05)
    started = time.monotonic()

    rows = await ask(queue, 1).answers()

    assert rows == [[2, 2]]
    assert time.monotonic() - started >= 0.05


async def test_a_batch_with_enough_rows_runs_though_it_is_not_full(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session, batch_rows=100, least_rows=3, wait_seconds=30.0)

    first = ask(queue, 1)
    await asyncio.sleep(0.02)
    assert session.runs == []
    await all_of(first, ask(queue, 2, 3))

    assert session.runs == [3]


async def test_a_small_batch_waits_from_when_its_first_row_came(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(scaled()), least_rows=100, wait_seconds=1.0)
    started = time.monotonic()

    first = ask(queue, 1)
    await asyncio.sleep(0.5)
    await all_of(first, ask(queue, 2))

    assert 1.0 <= time.monotonic() - started < 1.5


async def test_what_comes_during_a_run_waits_for_enough_as_well(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session, least_rows=2, wait_seconds=30.0)

    session.hold()
    first = await held_back(session, ask(queue, 0, 0))
    second = ask(queue, 1)
    session.gate.set()
    await first.answers()
    await asyncio.sleep(0.02)
    assert session.runs == [2]
    await all_of(second, ask(queue, 2))

    assert session.runs == [2, 2]


async def test_a_full_batch_does_not_wait(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(scaled()), batch_rows=2, wait_seconds=30.0)

    assert len(await ask(queue, 1, 2).answers()) == 2


async def test_what_is_asked_as_an_answer_is_heard_runs_next_and_alone(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(summed_over_steps())
    queue = batcher(session)
    for _ in range(30):
        await put(queue, tensors(steps(1))).answers()
    session.runs.clear()
    again: list[Asked] = []

    class Chained(Asked):
        """Asks for more the moment it is answered, as a client that pipelines does."""

        def end(self, error: Exception | None = None) -> None:
            super().end(error)
            again.append(put(queue, tensors(steps(3000))))

    short, long = Chained(1), tensors(steps(4000))
    short.feeds = steps(1)
    session.hold(free=2)
    put(queue, short)
    await held_back(session, put(queue, long))
    await asyncio.sleep(0.05)
    during = list(session.runs)
    session.gate.set()
    await all_of(short, long, *again)

    assert during == [1, 1]
    assert session.runs == [1, 1, 1]
