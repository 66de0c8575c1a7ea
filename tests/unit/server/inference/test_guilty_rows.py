"""A row that cannot be run fails alone, in few runs; a fault of ours fails its requests and hangs nobody."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnxruntime as ort
import pytest

from models.assembly import Plan
from models.tensors import Tensor
from server.inference.batcher import Batcher
from server.inference.errors import DeadlineExceeded, RunFailed
from server.inference.sessions import Session
from tests.graphs import bundle, looked_up, numbered, scaled
from tests.unit.server.inference.asked import Asked, all_of, ask, put, read, tensors
from tests.unit.server.inference.conftest import Held

MakeHeld = Callable[..., Held]
MakeBatcher = Callable[..., Batcher]
TABLE = np.arange(6, dtype=np.float32).reshape(3, 2)


def look_up(batcher: Batcher, *indices: int) -> Asked:
    return put(batcher, tensors({"i": np.array(indices, np.int64)}))


def faulty(answers: Sequence[object]) -> list[int]:
    return [row for row, answer in enumerate(answers) if isinstance(answer, RunFailed)]


async def test_the_guilty_row_of_a_request_fails_alone(held: MakeHeld, batcher: MakeBatcher) -> None:
    answers = await look_up(batcher(held(looked_up(TABLE))), 0, 1, 9, 2, 1).answers()

    assert faulty(answers) == [2]
    assert "idx=9" in str(answers[2])
    assert [answers[row] for row in (0, 1, 3, 4)] == TABLE[[0, 1, 2, 1]].tolist()


async def test_the_neighbours_of_a_guilty_request_are_answered(held: MakeHeld, batcher: MakeBatcher) -> None:
    queue = batcher(held(looked_up(TABLE)))

    answers = await all_of(*(look_up(queue, index) for index in (1, 2, 9, 0)))

    assert [faulty(rows) for rows in answers] == [[], [], [0], []]
    assert answers[3] == [[0, 1]]


async def test_one_guilty_row_among_many_costs_few_runs(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(looked_up(TABLE))
    rows = [1] * 1024
    rows[700] = 9

    answers = await look_up(batcher(session, batch_rows=1024), *rows).answers()

    assert faulty(answers) == [700]
    assert len(session.runs) <= 21


async def test_one_guilty_request_among_many_costs_few_runs(held: MakeHeld, batcher: MakeBatcher) -> None:
    session = held(looked_up(TABLE))
    queue = batcher(session)

    answers = await all_of(*(look_up(queue, 9 if at == 700 else 1) for at in range(1024)))

    assert [at for at, rows in enumerate(answers) if faulty(rows)] == [700]
    assert len(session.runs) <= 21


async def test_a_request_of_guilty_rows_only_ends_in_bounded_runs(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(looked_up(TABLE))

    answers = await look_up(batcher(session, batch_rows=4096), *[9] * 4096).answers()

    assert len(faulty(answers)) == 4096
    assert len(session.runs) < 140


async def test_rows_that_see_one_another_are_not_taken_apart_to_find_the_guilty_one(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    answers = await look_up(batcher(held(looked_up(TABLE)), "coupled"), 0, 9).answers()

    assert faulty(answers) == [0, 1]


async def test_a_guilty_row_that_runs_on_the_loop_fails_alone_too(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(looked_up(TABLE))
    queue = batcher(session)
    for rows in (1, 2, 4) * 30:
        await all_of(*(look_up(queue, 1) for _ in range(rows)))

    answers = await all_of(*(look_up(queue, index) for index in (1, 9, 0, 2)))

    assert session.ran_in[-1] == "MainThread"
    assert [faulty(rows) for rows in answers] == [[], [0], [], []]


class Picky(Session):
    """A session that runs no two rows at once, and with a nine has no end."""

    def run(self, feeds: Mapping[str, Tensor], stop: ort.RunOptions | None = None) -> dict[str, Tensor]:
        x = feeds["x"]
        if len(x) > 1:
            raise RunFailed("m", 1, "two rows at once")
        while x[0, 0] == 9 and stop is not None and not stop.terminate:
            time.sleep(0.01)
        return super().run(feeds, stop)


async def test_a_guilty_request_that_has_no_end_spares_its_neighbours(batcher: MakeBatcher) -> None:
    queue = batcher(Picky(numbered(bundle(scaled()))))

    endless = ask(queue, 9, deadline=time.monotonic() + 0.2)
    others = [ask(queue, 1), ask(queue, 2)]

    assert isinstance(await endless.fault(), DeadlineExceeded)
    assert await all_of(*others) == [[[2, 2]], [[4, 4]]]


class Broken(Session):
    """A session with a fault that is no answer of ONNX Runtime."""

    def run(self, feeds: Mapping[str, Tensor], stop: ort.RunOptions | None = None) -> dict[str, Tensor]:
        raise ZeroDivisionError("a fault of ours")


async def test_a_fault_of_ours_fails_its_requests_and_hangs_nobody(batcher: MakeBatcher) -> None:
    queue = batcher(Broken(numbered(bundle(scaled()))))

    faults = [await job.fault() for job in (ask(queue, 1), ask(queue, 2))]
    after = await ask(queue, 3).fault()

    assert [type(fault) for fault in (*faults, after)] == [ZeroDivisionError] * 3


async def test_a_fault_of_ours_on_the_loop_fails_its_requests_and_hangs_nobody(
    held: MakeHeld, batcher: MakeBatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = held(scaled())
    queue = batcher(session)
    for _ in range(30):
        await ask(queue, 1).answers()
    with monkeypatch.context() as broken:
        broken.setattr(session, "run", Broken.run.__get__(session))
        faults = [await job.fault() for job in (ask(queue, 1), ask(queue, 2))]

    assert [type(fault) for fault in faults] == [ZeroDivisionError] * 2
    assert await ask(queue, 3).answers() == [[6, 6]]


VECTORS = {"inputs": [{"name": "x", "sources": [{"key": "p:{id}", "as": "vector", "shape": [2]}]}]}


async def test_a_fault_of_ours_in_reading_replies_fails_its_requests_and_hangs_nobody(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(scaled(), view=VECTORS)
    queue = batcher(session)
    features = session.manifest.features
    assert features is not None
    plan = Plan(features)
    reply = np.ones(2, "<f4").tobytes()

    odd = read(queue, plan, [reply, None])
    odd.replies = [reply]  # another number than was asked for
    beside = read(queue, plan, [reply])
    faults = [await odd.fault(), await beside.fault()]
    after = await read(queue, plan, [reply]).answers()

    assert [type(fault) for fault in faults] == [ValueError, ValueError]
    assert after == [[2, 2]]


async def test_a_job_of_nothing_that_could_run_is_a_fault_and_hangs_nobody(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    queue = batcher(held(scaled()))

    fault = await put(queue, Asked(1)).fault()

    assert "neither tensors nor anything that was read" in str(fault)
    assert await ask(queue, 3).answers() == [[6, 6]]


async def test_a_caller_that_cannot_hear_its_answer_hangs_nobody_else(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    queue = batcher(held(scaled()))

    class Deaf(Asked):
        """Whoever asked cannot be told."""

        def end(self, error: Exception | None = None) -> None:
            raise ZeroDivisionError

    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context))
    for _ in range(30):
        await ask(queue, 1).answers()
    deaf = Deaf(1)
    deaf.feeds = {"x": np.ones((1, 2), np.float32)}
    put(queue, deaf)
    await asyncio.sleep(0.05)

    assert await ask(queue, 3).answers() == [[6, 6]]
    assert len(told) == 1


async def test_callers_that_were_asked_for_together_never_answer_for_one_another(
    held: MakeHeld, batcher: MakeBatcher
) -> None:
    session = held(looked_up(TABLE))
    queue = batcher(session)
    together = tensors({"i": np.array([9, 1] * 128, np.int64)})
    together.callers = 256

    answers = await put(queue, together).answers()

    assert faulty(answers) == list(range(0, 256, 2))
    assert len(session.runs) < 2 * 2 * 256
