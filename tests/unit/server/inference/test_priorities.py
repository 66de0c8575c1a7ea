"""Jobs that name a priority run before less urgent ones, nobody starves, and each level keeps its order."""

import time
from collections import deque
from collections.abc import Callable

import numpy as np
import pytest

from server.inference.batch_limits import BatchLimits
from server.inference.batcher import Batcher
from server.inference.errors import DeadlineExceeded, Overloaded
from server.inference.jobs import Job
from server.inference.priorities import DEFAULT_LEVEL, LEVELS, STARVING_SECONDS, TURN_JOBS, Lanes
from server.settings import ServerSettings
from tests.graphs import scaled, summed_over_steps, total
from tests.unit.server.inference.asked import Asked, held_back, put, tensors
from tests.unit.server.inference.conftest import Held, numbers

MakeHeld = Callable[..., Held]
MakeBatcher = Callable[..., Batcher]


class Ran(Asked):
    """A job that notes in a list that it has ended."""

    def __init__(self, ended: list[int], number: int, priority: int) -> None:
        super().__init__(1)
        self.ended, self.number, self.priority = ended, number, priority
        self.feeds = {"x": numbers(number)}

    def end(self, error: Exception | None = None) -> None:
        super().end(error)
        self.ended.append(self.number)


def waiting(priority: int = 0, arrived: float = 0.0) -> Job:
    job = Job(0.0, 0.0)
    job.priority, job.arrived = priority, arrived
    return job


def taken(queue: Lanes, count: int) -> list[int]:
    return [queue.popleft().priority for _ in range(count)]


def lanes(default: int = DEFAULT_LEVEL, plain: tuple[Job, ...] = ()) -> Lanes:
    return Lanes.around(deque(plain), default)


async def ran(held: MakeHeld, batcher: MakeBatcher, *priorities: int, **limits: int) -> list[int]:
    """Let jobs of these priorities wait for a run that is under way; return in which order they ended."""
    session = held(scaled())
    queue = batcher(session, batch_rows=1, **limits)
    session.hold()
    first = await held_back(session, put(queue, tensors({"x": numbers(0)})))
    ended: list[int] = []
    jobs = [put(queue, Ran(ended, at, priority)) for at, priority in enumerate(priorities)]
    session.gate.set()
    await first.answers()
    for job in jobs:
        await job.answers()
    return ended


async def test_of_what_waits_the_most_urgent_runs_first(held: MakeHeld, batcher: MakeBatcher) -> None:
    assert await ran(held, batcher, 9, 3, 7, 1, 3) == [3, 1, 4, 2, 0]


async def test_without_a_priority_the_order_is_that_of_arrival(held: MakeHeld, batcher: MakeBatcher) -> None:
    assert await ran(held, batcher, 0, 0, 0, 0) == [0, 1, 2, 3]


async def test_what_names_no_priority_is_of_the_default_one(held: MakeHeld, batcher: MakeBatcher) -> None:
    assert await ran(held, batcher, 0, 6, 5, 4, 0) == [3, 0, 2, 4, 1]
    assert await ran(held, batcher, 0, 2, 1, default_priority=1) == [0, 2, 1]


async def test_what_waited_before_anybody_named_a_priority_is_overtaken(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    assert await ran(held, batcher, 0, 0, 0, 1) == [3, 0, 1, 2]


async def test_rows_of_different_priorities_share_a_batch(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session, batch_rows=3)
    session.hold()
    first = await held_back(session, put(queue, tensors({"x": numbers(0)})))
    ended: list[int] = []

    jobs = [put(queue, Ran(ended, at, priority)) for at, priority in enumerate((8, 0, 9, 2))]
    session.gate.set()
    answers = [await job.answers() for job in (first, *jobs)]

    assert session.runs == [1, 3, 1]
    assert ended == [3, 1, 0, 2]
    assert answers[1:] == [[[2 * at, 2 * at]] for at in range(4)]


async def test_a_queue_is_as_before_once_it_was_empty(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session)
    ended: list[int] = []
    for priority in (2, 9):
        await put(queue, Ran(ended, priority, priority)).answers()

    session.hold()
    large = await held_back(session, put(queue, tensors({"x": numbers(*range(100))})))  # runs in a thread
    jobs = [put(queue, Ran(ended, at, priority)) for at, priority in enumerate((0, 0, 1))]
    session.gate.set()
    for job in (large, *jobs):
        await job.answers()

    assert ended == [2, 9, 2, 0, 1]
    assert queue.waiting == 0


async def test_a_job_whose_time_is_over_is_given_up_whatever_its_priority(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)
    session.hold()
    first = await held_back(session, put(queue, tensors({"x": numbers(0)})))
    late = Asked(1, time.monotonic() - 1)
    late.feeds, late.priority = {"x": numbers(1)}, 1

    put(queue, late)
    session.gate.set()

    await first.answers()
    assert isinstance(await late.fault(), DeadlineExceeded)


async def test_an_urgent_job_runs_between_two_runs_of_a_batch_that_takes_several(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(total())
    queue = batcher(session, "whole")
    ended: list[int] = []
    session.hold()

    jobs = [put(queue, Ran(ended, at, 0)) for at in range(4)]
    await held_back(session, jobs[0])
    jobs += [put(queue, Ran(ended, 4, 6)), put(queue, Ran(ended, 5, 1))]
    session.gate.set()
    for job in jobs:
        await job.answers()

    assert ended == [0, 5, 1, 2, 3, 4]


async def test_batches_that_cannot_share_a_run_are_run_by_priority(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(summed_over_steps())
    queue = batcher(session)
    session.hold()
    ended: list[int] = []
    first = await held_back(session, put(queue, tensors({"x": np.ones((1, 1, 2), np.float32)})))

    jobs = [Ran(ended, 2, 0), Ran(ended, 3, 9), Ran(ended, 4, 1), Ran(ended, 5, 0)]
    for job in jobs:
        job.feeds = {"x": np.ones((1, job.number, 2), np.float32)}
        put(queue, job)
    session.gate.set()
    for one in (first, *jobs):
        await one.answers()

    assert ended == [4, 2, 5, 3]


async def test_closing_tells_jobs_of_every_priority(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session, batch_rows=1)
    session.hold()
    ended: list[int] = []
    first = await held_back(session, put(queue, Ran(ended, 0, 0)))
    jobs = [put(queue, Ran(ended, priority, priority)) for priority in (9, 0, 1)]

    await queue.close(0.0)
    session.gate.set()

    for job in (first, *jobs):
        assert isinstance(await job.fault(), DeadlineExceeded)


def test_each_level_keeps_its_order() -> None:
    queue = lanes()
    jobs = [waiting(priority) for priority in (3, 1, 3, 0, 3)]
    for job in jobs:
        queue.append(job)

    assert [queue.popleft() for _ in jobs] == [jobs[1], jobs[0], jobs[2], jobs[4], jobs[3]]
    assert not queue


def test_what_is_looked_at_is_what_is_taken_unless_something_more_urgent_comes() -> None:
    queue = lanes()
    low, high = waiting(8), waiting(2)
    queue.append(low)
    looked_at = [queue[0], queue[0]]
    queue.append(high)

    assert looked_at == [low, low]
    assert queue[0] is high
    assert queue.popleft() is high


def test_every_ninth_job_is_the_one_that_waits_longest_where_it_has_waited_too_long() -> None:
    now = time.monotonic()
    old = now - 2 * STARVING_SECONDS
    queue = lanes()
    for at in range(3):
        queue.append(waiting(LEVELS, old + at / 1000))
    for _ in range(3 * TURN_JOBS):
        queue.append(waiting(1, now))

    urgent = [1] * (TURN_JOBS - 1)
    assert taken(queue, 3 * TURN_JOBS) == [*urgent, LEVELS] * 3


def test_nobody_has_a_turn_before_it_has_waited_long() -> None:
    now = time.monotonic()
    queue = lanes()
    queue.append(waiting(LEVELS, now))
    for _ in range(2 * TURN_JOBS):
        queue.append(waiting(1, now))

    assert taken(queue, 2 * TURN_JOBS + 1) == [*[1] * 2 * TURN_JOBS, LEVELS]


@pytest.mark.parametrize("before", range(4))
def test_a_job_goes_in_bounded_time_however_many_urgent_ones_come(before: int) -> None:
    old = time.monotonic() - 2 * STARVING_SECONDS
    queue = lanes()
    for at in range(before):
        queue.append(waiting(0, old + at / 1000))
    queue.append(waiting(LEVELS, old + 0.1))
    order: list[int] = []

    while LEVELS not in order:
        queue.append(waiting(1, time.monotonic()))
        order += taken(queue, 1)

    assert len(order) <= TURN_JOBS * (before + 1)


def test_the_longest_waiting_is_told_whatever_its_level() -> None:
    queue = lanes(plain=(waiting(0, 7.0),))
    queue.append(waiting(1, 9.0))
    queue.append(waiting(10, 8.0))

    assert queue.since == 7.0
    assert queue[0].arrived == 9.0


def test_what_is_above_a_level_is_taken_from_the_queue_itself() -> None:
    queue = lanes(plain=(waiting(),))
    for priority in (1, 4, 5, 6):
        queue.append(waiting(priority))

    above = queue.above(DEFAULT_LEVEL)

    assert [above.popleft().priority for _ in range(len(above))] == [1, 4]
    assert not above
    assert taken(queue, 3) == [0, 5, 6]
    assert not queue.above(1)


async def full(held: MakeHeld, batcher: MakeBatcher, *priorities: int) -> tuple[Held, Batcher, list[Ran]]:
    """Return a queue of two rows with jobs of these priorities, all of which wait for a run that is under way."""
    session = held(scaled())
    queue = batcher(session, batch_rows=1, queue_rows=2)
    session.hold()
    await held_back(session, put(queue, tensors({"x": numbers(0)})))
    ended: list[int] = []
    jobs = [Ran(ended, at, one) for at, one in enumerate(priorities)]
    for job in jobs:
        put(queue, job)
    return session, queue, jobs


async def test_what_is_less_urgent_keeps_nobody_out(held: MakeHeld, batcher: MakeBatcher) -> None:
    session, queue, jobs = await full(held, batcher, 7, 7, 0, 0, 1, 1)

    for priority in (10, 7, 5, 0, 1):
        with pytest.raises(Overloaded, match="busy"):
            queue.admit(1, priority)
    session.gate.set()
    for job in jobs:
        await job.answers()

    assert jobs[0].ended == [4, 5, 2, 3, 0, 1]
    assert queue.waiting == 0


@pytest.mark.parametrize(("priority", "waiting"), [(0, 2), (5, 2), (6, 2), (7, 4)])
async def test_a_level_is_full_of_what_is_as_urgent_or_more(
    held: MakeHeld, batcher: MakeBatcher, priority: int, waiting: int
) -> None:
    session, queue, jobs = await full(held, batcher, 7, 7, 4, 0)

    with pytest.raises(Overloaded, match=rf"\({waiting} waiting\)"):
        queue.admit(1, priority)
    queue.admit(1, 4)
    queue.release(1, 4)

    session.gate.set()
    for job in jobs:
        await job.answers()
    queue.admit(2, priority)


async def test_a_request_larger_than_the_queue_is_taken_when_nothing_is_before_it(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session, queue, _ = await full(held, batcher, 7)

    queue.admit(9, 6)
    with pytest.raises(Overloaded):
        queue.admit(1, 6)

    queue.release(9, 6)
    session.gate.set()


def test_settings_and_limits_bound_the_same_levels() -> None:
    field = ServerSettings.model_fields["default_priority"]

    assert field.default == DEFAULT_LEVEL == BatchLimits().default_priority
    assert [one.le for one in field.metadata if hasattr(one, "le")] == [LEVELS]
