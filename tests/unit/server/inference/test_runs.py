"""Short runs happen on the loop, long ones in a thread; none outlives its deadline for long."""

import time
from collections.abc import Callable

import numpy as np
import pytest

from server.inference.batcher import Batcher
from server.inference.errors import DeadlineExceeded
from tests.graphs import looping, positions, scaled
from tests.unit.server.inference.asked import ask, held_back, put, tensors
from tests.unit.server.inference.conftest import Held, numbers

MakeHeld = Callable[..., Held]
MakeBatcher = Callable[..., Batcher]
ONE = np.ones((1, 1), np.float32)


async def test_short_runs_leave_the_threads_once_they_were_measured(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)

    for _ in range(30):
        await ask(queue, 1).answers()

    assert session.ran_in[0].startswith("run")
    assert session.ran_in[-1] == "MainThread"


async def test_a_size_never_run_before_is_measured_in_a_thread(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(scaled())
    queue = batcher(session)
    for _ in range(30):
        await ask(queue, 1).answers()

    await ask(queue, *range(500)).answers()

    assert session.ran_in[-1].startswith("run")


async def test_a_graph_with_a_loop_never_runs_on_the_event_loop(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(looping(1))
    queue = batcher(session)

    for _ in range(30):
        await put(queue, tensors({"x": ONE})).answers()

    assert all(name.startswith("run") for name in session.ran_in)


async def test_a_run_without_an_end_is_stopped_at_its_deadline(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(looping()))
    endless = tensors({"x": ONE, "turns": np.array([1 << 60])}, time.monotonic() + 0.2)

    with pytest.raises(DeadlineExceeded):
        await put(queue, endless).answers()

    assert await put(queue, tensors({"x": ONE, "turns": np.array([2])})).answers() == [[1]]


async def test_a_run_that_cannot_be_stopped_is_left_to_its_thread(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)
    session.hold()
    started = time.monotonic()

    job = await held_back(session, ask(queue, 1, deadline=started + 0.05))
    with pytest.raises(DeadlineExceeded):
        await job.answers()

    assert time.monotonic() - started < 5
    session.gate.set()
    assert await ask(queue, 2).answers() == [[4, 4]]


async def test_outputs_with_other_rows_than_the_inputs_are_nobodys_answer(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    job = ask(batcher(held(positions())), 0, 1, 1)

    errors = await job.answers()

    assert all("output 'y' has" in str(error) for error in errors)
    assert len(errors) == 3


async def test_a_run_in_a_thread_that_fails_for_the_deadline_spares_who_asked_with_more_time(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled())
    queue = batcher(session)
    session.hold()

    first = await held_back(session, ask(queue, 1, deadline=time.monotonic() + 0.05))
    second = ask(queue, 2)
    with pytest.raises(DeadlineExceeded):
        await first.answers()
    session.gate.set()

    assert await second.answers() == numbers(4).tolist()
