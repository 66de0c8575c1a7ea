"""What was read for many requests is decoded together; whatever is irregular costs its own request alone."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from models.assembly import Plan
from models.errors import FieldMissing, InsituError, KeyMissing, NotANumber, WrongType
from models.features import FeatureView
from server.inference.batcher import EARLY_ROWS, Batcher
from server.inference.gathering import Gatherer
from tests.graphs import (
    dense,
    f32,
    last_step,
    model,
    node,
    running_total,
    scaled,
    summed_over_steps,
    total,
    value,
)
from tests.unit.server.inference.asked import Asked, all_of, ask, put, read, tensors
from tests.unit.server.inference.conftest import Held, numbers

MakeHeld = Callable[..., Held]
MakeBatcher = Callable[..., Batcher]
Queue = Callable[..., tuple[Held, Batcher, Plan]]
HASH = {"key": "p:{id}", "as": "hash", "fields": [{"name": "a", "default": 5}, "b"]}
VECTOR = {"key": "p:{id}", "as": "vector", "shape": [2]}
LIST = {"key": "p:{id}", "as": "list", "shape": [2], "last": 9}


def seen(*sources: dict[str, Any], **facts: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "x", "sources": list(sources), **facts}]}


def vector(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


@pytest.fixture
def queue(held: MakeHeld, batcher: MakeBatcher) -> Queue:
    """A factory: the session of a graph with a view, its queue and the view's plan."""

    def make(
        onnx: bytes, view: dict[str, Any], rows: str = "apart", **said: Any
    ) -> tuple[Held, Batcher, Plan]:
        session = held(onnx, view=view, **said)
        features = session.manifest.features
        assert isinstance(features, FeatureView)
        return session, batcher(session, rows), Plan(features)

    return make


@pytest.mark.parametrize(
    ("view", "replies"),
    [
        (HASH, [[[b"1", b"2"]], [[b"3", b"4"], [b"5", b"6"]], [[b"7", b"8"]]]),
        (VECTOR, [[vector(1, 2)], [vector(3, 4), vector(5, 6)], [vector(7, 8)]]),
    ],
)
async def test_rows_of_many_requests_are_one_run_in_order(
    queue: Queue, view: dict[str, Any], replies: list[Any]
) -> None:
    session, batcher, plan = queue(scaled(), seen(view))

    answers = await all_of(*(read(batcher, plan, some) for some in replies))

    assert answers == [[[2, 4]], [[6, 8], [10, 12]], [[14, 16]]]
    assert session.runs == [4]


@pytest.mark.parametrize(
    ("odd", "error"),
    [
        ([b"x", b"2"], NotANumber),
        ([b"1", None], FieldMissing),
        ([b"1", b"1_0"], NotANumber),
        (WrongType("p:0", "a hash"), WrongType),
    ],
)
async def test_one_irregular_reply_among_many_costs_its_own_row_alone(
    queue: Queue, odd: Any, error: type[Exception]
) -> None:
    session, batcher, plan = queue(scaled(), seen(HASH))
    replies: list[Any] = [[b"%d" % at, b"1"] for at in range(64)]
    replies[17] = odd

    jobs = [read(batcher, plan, [reply]) for reply in replies]
    answers = await all_of(*jobs)

    assert session.runs == [63]
    assert type(answers.pop(17)[0]) is error
    assert answers == [[[2 * at, 2]] for at in range(64) if at != 17]


@pytest.mark.parametrize("rows", [EARLY_ROWS, EARLY_ROWS - 1])
async def test_large_requests_and_small_ones_share_a_run(queue: Queue, rows: int) -> None:
    session, batcher, plan = queue(scaled(), seen(HASH))
    replies: list[Any] = [[b"%d" % at, b"1"] for at in range(rows)]

    first = read(batcher, plan, replies)
    second = read(batcher, plan, [[b"7", b"8"]])
    third = read(batcher, plan, replies[::-1])

    whole = [[2 * at, 2] for at in range(rows)]
    assert await all_of(first, second, third) == [whole, [[14, 16]], whole[::-1]]
    assert session.runs == [2 * rows + 1]


async def test_an_odd_row_of_a_large_request_costs_only_itself(queue: Queue) -> None:
    session, batcher, plan = queue(scaled(), seen(HASH))
    replies: list[Any] = [[b"%d" % at, b"1"] for at in range(EARLY_ROWS)]
    odd = [*replies[:-1], [b"x", b"1"]]

    answers = await all_of(read(batcher, plan, replies), read(batcher, plan, odd))

    assert answers[0] == [[2 * at, 2] for at in range(EARLY_ROWS)]
    assert answers[1][:-1] == answers[0][:-1]
    assert type(answers[1][-1]) is NotANumber
    assert session.runs == [2 * EARLY_ROWS - 1]


async def test_a_value_that_is_stood_in_for_shares_the_run_of_the_others(queue: Queue) -> None:
    session, batcher, plan = queue(scaled(), seen(HASH))
    replies: list[Any] = [[b"1", b"2"], [None, b"3"], [b"4", b"5"]]

    jobs = [read(batcher, plan, [reply]) for reply in replies]
    answers = await all_of(*jobs)

    assert session.runs == [3]
    assert answers == [[[2, 4]], [[10, 6]], [[8, 10]]]
    assert [list(job.rows[0].filled) for job in jobs] == [[], ["a"], []]


async def test_what_one_request_lets_stand_in_is_no_value_of_another(queue: Queue) -> None:
    session, batcher, plan = queue(scaled(), seen(HASH))

    jobs = [read(batcher, plan, [[None, None]], missing=missing) for missing in (None, 7, {"b": 8})]
    answers = await all_of(*jobs)

    assert [type(one) for one in answers[0]] == [KeyMissing]
    assert answers[1:] == [[[14, 14]], [[10, 16]]]
    assert session.runs == [2]


async def test_bad_rows_of_a_request_leave_its_good_ones_in_place(queue: Queue) -> None:
    session, batcher, plan = queue(scaled(), seen(HASH))

    job = read(batcher, plan, [[b"1", b"1"], [b"x", b"1"], [b"2", b"2"], [b"1", None]])
    good = read(batcher, plan, [[b"3", b"3"]])
    answers = await all_of(job, good)

    assert [type(one) for one in answers[0]] == [list, NotANumber, list, FieldMissing]
    assert [answers[0][0], answers[0][2], answers[1][0]] == [[2, 2], [4, 4], [6, 6]]
    assert session.runs == [3]


async def test_a_request_without_a_good_row_ends_without_a_run(queue: Queue) -> None:
    session, batcher, plan = queue(scaled(), seen(HASH))

    answers = await read(batcher, plan, [[b"x", b"1"], [b"1", None]]).answers()

    assert [type(one) for one in answers] == [NotANumber, FieldMissing]
    assert session.runs == []


async def test_rows_that_were_refused_before_they_were_read_keep_their_place(queue: Queue) -> None:
    session, batcher, plan = queue(scaled(), seen(HASH))
    prepared = plan.prepare_keys(["p:1", "q:1", "p:2"])
    jobs = []
    for replies in ([[b"1", b"1"], [b"2", b"2"]], [[b"3", b"3"], [b"x", b"4"]]):
        job = Asked(3)
        job.prepared, job.replies = prepared, replies
        job.refuse(1, prepared.errors[1])
        jobs.append(put(batcher, job))

    answers = await all_of(*jobs)

    assert [one.code if isinstance(one, InsituError) else one for rows in answers for one in rows] == [
        [2, 2], "key_not_allowed", [4, 4], [6, 6], "key_not_allowed", "not_a_number",
    ]  # fmt: skip
    assert session.runs == [3]


async def test_rows_of_keys_and_rows_of_tensors_share_a_run(queue: Queue) -> None:
    session, batcher, plan = queue(scaled(), seen(VECTOR))

    answers = await all_of(
        read(batcher, plan, [vector(1, 2)]), ask(batcher, 3, 4), read(batcher, plan, [vector(5, 6)])
    )

    assert answers == [[[2, 4]], [[6, 6], [8, 8]], [[10, 12]]]
    assert session.runs == [4]


async def test_rows_of_two_inputs_share_a_run_in_whatever_order_they_are_named(queue: Queue) -> None:
    onnx = model(
        [node("Sub", "x y", "d"), node("Identity", "d", "z")],
        [value("x", ["rows", 2]), value("y", ["rows", 2])],
        [value("z", ["rows", 2])],
    )
    first, second = VECTOR, {**VECTOR, "key": "q:{id}"}
    view = {"inputs": [{"name": "y", "sources": [second]}, {"name": "x", "sources": [first]}]}
    session, batcher, plan = queue(onnx, view)

    keyed = read(batcher, plan, [vector(1, 2), vector(10, 20)])
    given = put(batcher, tensors({"x": numbers(10), "y": numbers(1)}))
    await keyed.fault()
    await given.fault()

    assert [job.rows[0].body["outputs"]["z"] for job in (keyed, given)] == [[9, 18], [9, 9]]
    assert session.runs == [2]


async def test_one_who_asks_for_tensors_gets_them_beside_others_who_do_not(queue: Queue) -> None:
    session, batcher, plan = queue(dense(f32([[1], [1]])), seen(VECTOR), task="regression")

    jobs = [
        read(batcher, plan, [vector(1, 2)]),
        read(batcher, plan, [vector(3, 4), vector(5, 6)], raw=True),
        read(batcher, plan, [vector(7, 8), vector(9, 10)]),
    ]
    for job in jobs:
        await job.fault()

    assert [row.body for job in jobs for row in job.rows] == [
        {"value": 3.0},
        {"outputs": {"y": [7.0]}},
        {"outputs": {"y": [11.0]}},
        {"value": 15.0},
        {"value": 19.0},
    ]
    assert session.runs == [5]


async def test_an_output_that_says_nothing_is_the_error_of_its_row_alone(queue: Queue) -> None:
    onnx = model([node("Log", "x", "y")], [value("x", ["rows", 1])], [value("y", ["rows", 1])])
    session, batcher, plan = queue(onnx, seen({**VECTOR, "shape": [1]}), task="regression")

    jobs = [read(batcher, plan, [vector(number)]) for number in (1, -1, 1)]
    for job in jobs:
        await job.fault()

    assert [job.rows[0].body for job in jobs] == [{"value": 0.0}, {}, {"value": 0.0}]
    assert "which is no answer" in str(jobs[1].rows[0].error)
    assert session.runs == [3]


async def test_an_output_that_fits_no_wording_is_the_error_of_every_row(queue: Queue) -> None:
    session, batcher, plan = queue(scaled(width="width"), seen(VECTOR), labels=("a", "b", "c"))

    jobs = [read(batcher, plan, [vector(1, 2)] * count) for count in (1, 2)]
    raw = read(batcher, plan, [vector(1, 2)], raw=True)
    for job in (*jobs, raw):
        await job.fault()

    assert [type(row.error).__name__ for job in jobs for row in job.rows] == ["RunFailed"] * 3
    assert raw.values() == [[2, 4]]
    assert session.runs == [4]


async def test_sequences_of_keys_are_padded_together_where_the_graph_takes_lengths(queue: Queue) -> None:
    session, batcher, plan = queue(last_step(), seen(LIST, lengths="lengths"))

    answers = await all_of(
        read(batcher, plan, [[vector(1, 1)]]), read(batcher, plan, [[vector(2, 2), vector(3, 3)]])
    )

    assert answers == [[[1, 1]], [[3, 3]]]
    assert session.runs == [2]


async def test_sequences_of_keys_run_by_length_where_the_graph_takes_none(queue: Queue) -> None:
    session, batcher, plan = queue(summed_over_steps(), seen(LIST))

    answers = await all_of(
        *(
            read(batcher, plan, [[vector(1, 1)] * first, [vector(1, 1)] * second])
            for first, second in ((1, 2), (2, 1))
        )
    )

    assert answers == [[[1, 1], [2, 2]], [[2, 2], [1, 1]]]
    assert session.runs == [2, 2]


async def test_padded_sequences_of_many_requests_are_one_run(queue: Queue) -> None:
    padded = {**LIST, "last": 3, "pad": "left"}
    session, batcher, plan = queue(summed_over_steps(), seen(padded))

    answers = await all_of(*(read(batcher, plan, [[vector(1, 1)] * count]) for count in (1, 2, 3) * 10))

    assert answers == [[[count, count]] for count in (1, 2, 3) * 10]
    assert session.runs == [30]


async def test_rows_of_keys_that_see_one_another_each_run_alone(queue: Queue) -> None:
    session, batcher, plan = queue(running_total(), seen(VECTOR), "coupled")

    answers = await all_of(
        read(batcher, plan, [vector(1, 2), vector(3, 4)]), read(batcher, plan, [vector(5, 6)])
    )

    assert answers == [[[1, 2], [3, 4]], [[5, 6]]]
    assert session.runs == [1, 1, 1]


async def test_rows_of_keys_of_a_graph_without_rows_each_run_alone(queue: Queue) -> None:
    session, batcher, plan = queue(total(), seen(VECTOR), "whole")

    answers = await read(batcher, plan, [vector(1, 2), None, vector(3, 4)]).answers()

    assert [answers[0], answers[2]] == [3.0, 7.0]
    assert isinstance(answers[1], KeyMissing)
    assert session.runs == [1, 1]


async def test_tensors_of_a_worded_model_whose_rows_see_one_another_run_row_by_row(queue: Queue) -> None:
    nodes = [node("CumSum", "x axis", "y")]
    onnx = model(nodes, [value("x", ["rows", 1])], [value("y", ["rows", 1])], {"axis": np.array(0)})
    session, batcher, _ = queue(onnx, seen({**VECTOR, "shape": [1]}), "coupled", task="regression")

    job = put(batcher, tensors({"x": f32([[1], [2]])}))
    await job.fault()

    assert [row.body for row in job.rows] == [{"value": 1.0}, {"value": 2.0}]
    assert session.runs == [1, 1]


async def test_rows_of_values_that_the_request_brings_share_a_run(queue: Queue) -> None:
    session, batcher, plan = queue(scaled(), seen({"inline": True, "fields": ["a", "b"]}))
    jobs = []
    for number in (1, 2, 3):
        job = Asked(1)
        job.prepared = plan.prepare([{"a": number, "b": number}])
        jobs.append(put(batcher, job))

    assert await all_of(*jobs) == [[[2, 2]], [[4, 4]], [[6, 6]]]
    assert session.runs == [3]


async def test_the_oldest_feature_of_a_request_is_what_is_measured(queue: Queue) -> None:
    timed = {**HASH, "time_field": "at", "max_age_seconds": 1e9}
    session, _, plan = queue(scaled(), seen(timed))
    ages: list[float] = []
    job = Asked(2)
    job.prepared = plan.prepare([{"id": 1}, {"id": 2}])
    now = time.time()
    job.replies = [[b"1", b"2", b"%f" % (now - age)] for age in (50, 100)]

    Gatherer(session.manifest, plan, "apart", ages.append).batches([job])

    assert ages == pytest.approx([100], abs=5)
