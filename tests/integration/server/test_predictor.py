"""One request, whole: every way of saying rows, every task, and the row that fails alone."""

import asyncio
import time
from typing import Any

import numpy as np
import pytest
from redis.asyncio import Redis

from models.errors import BadFeatureView, BadRequest
from models.store import ModelStore
from server.inference import predictor as predicting
from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.errors import BadInput, DeadlineExceeded, Overloaded, RunFailed, TooManyRows
from server.inference.sessions import Session
from tests.graphs import (
    bundle,
    dense,
    every_step,
    f32,
    last_step,
    looked_up,
    looping,
    mean_step,
    model,
    node,
    positions,
    running_total,
    scaled,
    total,
    value,
)
from tests.integration.server.conftest import StartEngine

HASH = {"key": "k:{id}", "as": "hash", "fields": [{"name": "a", "default": 5}, "b"]}
VIEW = {"inputs": [{"name": "x", "sources": [HASH]}]}
INLINE = {"inputs": [{"name": "x", "sources": [{"inline": True, "fields": ["a", "b"]}]}]}
LIST = {"key": "s:{id}", "as": "list", "shape": [2], "last": 9}
SEQUENCE = {"inputs": [{"name": "x", "lengths": "lengths", "sources": [LIST]}]}
WEIGHTS = f32([[1, 0, -1], [0, 2, 0]])


async def ask(engine: Engine, **asked: Any) -> Answer:
    return await engine.predictor.predict(Ask("m", **asked))


def values(answer: Answer) -> list[Any]:
    return [row.body.get("outputs", {}).get("y", row.error) for row in answer.rows]


@pytest.fixture
async def rows(redis: Redis) -> Redis:
    await redis.hset("k:1", mapping={"a": 1, "b": 2})
    await redis.hset("k:2", mapping={"b": 3})
    await redis.hset("k:3", mapping={"a": 1})
    await redis.set("k:4", "no hash")
    for name, steps in (("1", 2), ("2", 5), ("3", 2)):
        for step in range(steps):
            await redis.rpush(f"s:{name}", np.full(2, step + 1, "<f4").tobytes())
    return redis


async def test_keys_instances_and_inputs_give_the_same(
    store: ModelStore, engine: StartEngine, rows: Redis
) -> None:
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()

    answers = await asyncio.gather(
        ask(running, keys=["k:1", "k:2"]),
        ask(running, instances=[{"id": 1}, {"id": "2"}]),
        ask(running, inputs={"x": [[1, 2], [5, 3]]}),
    )

    assert [values(answer) for answer in answers] == [[[2, 4], [10, 6]]] * 3
    assert [row.key for row in answers[0].rows] == ["k:1", "k:2"]
    assert [row.key for row in answers[1].rows] == [None, None]
    assert [list(row.filled) for row in answers[0].rows] == [[], ["a"]]


async def test_a_row_that_fails_leaves_its_neighbours_alone(
    store: ModelStore, engine: StartEngine, rows: Redis
) -> None:
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()

    answer = await ask(running, keys=["k:1", "k:3", "k:4", "k:5", "other:1", "k:2"])

    codes = [row.error.code if row.error else None for row in answer.rows]
    assert codes == [None, "field_missing", "wrong_type", "key_missing", "key_not_allowed", None]
    assert values(answer)[0] == [2, 4]
    assert values(answer)[5] == [10, 6]
    told = running.metrics.exposition().decode()
    assert 'insitu_errors_total{model="m",version="1",code="wrong_type"} 1.0' in told
    assert 'insitu_rows_filled_total{model="m",version="1"} 1.0' in told


@pytest.mark.parametrize(
    ("missing", "expected"), [(7, ([2, 14], ["b"])), ({"b": 8}, ([2, 16], ["b"])), ({"a": 8}, (None, []))]
)
@pytest.mark.usefixtures("rows")
async def test_missing_says_what_stands_in(
    store: ModelStore, engine: StartEngine, missing: Any, expected: Any
) -> None:
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()

    (row,) = (await ask(running, keys=["k:3"], missing=missing)).rows

    assert (row.body.get("outputs", {}).get("y"), list(row.filled)) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"labels": ("a", "b", "c"), "task": "multilabel"}, {"labels", "probabilities"}),
        ({"labels": ("a", "b", "c"), "task": "classification"}, {"label", "probabilities"}),
        ({"task": "regression"}, {"value"}),
        ({}, {"outputs"}),
    ],
)
async def test_each_task_has_its_wording_and_raw_gives_the_tensors(
    store: ModelStore, engine: StartEngine, said: dict[str, Any], expected: set[str]
) -> None:
    activation = {"classification": "Softmax", "multilabel": "Sigmoid"}.get(said.get("task", ""))
    width = 1 if said.get("task") == "regression" else 3
    await store.publish(bundle(dense(WEIGHTS[:, :width], activation), view=INLINE, **said))
    running = await engine()

    (worded,) = (await ask(running, instances=[{"a": 1, "b": 2}])).rows
    (raw,) = (await ask(running, instances=[{"a": 1, "b": 2}], raw=True)).rows

    assert set(worded.body) == expected
    assert set(raw.body) == {"outputs"}
    assert len(raw.body["outputs"]["y"]) == width


async def test_an_answer_that_is_no_number_is_its_rows_error(store: ModelStore, engine: StartEngine) -> None:
    onnx = model([node("Log", "x", "y")], [value("x", ["rows", 1])], [value("y", ["rows", 1])])
    await store.publish(bundle(onnx, task="regression"))
    running = await engine()

    answer = await ask(running, inputs={"x": [[1], [-1], [0]]})

    assert answer.rows[0].body == {"value": 0.0}
    assert [type(row.error) for row in answer.rows] == [type(None), RunFailed, RunFailed]
    assert "gave -inf, which is no answer" in str(answer.rows[2].error)


async def test_an_output_that_fits_no_label_is_each_rows_error(
    store: ModelStore, engine: StartEngine
) -> None:
    free = scaled(width="width")
    await store.publish(bundle(free, labels=("a", "b", "c")))
    running = await engine()

    answer = await ask(running, inputs={"x": [[1, 2], [3, 4]]})

    assert [type(row.error) for row in answer.rows] == [RunFailed, RunFailed]


async def test_a_value_that_the_graph_refuses_is_its_rows_error(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(bundle(looked_up(f32([[0, 1], [2, 3]]))))
    running = await engine()

    answer = await ask(running, inputs={"i": [0, 7, 1]})

    assert [row.body.get("outputs", {}).get("y") for row in answer.rows] == [[0, 1], None, [2, 3]]
    assert "idx=7" in str(answer.rows[1].error)
    assert isinstance((await ask(running, inputs={"i": [7]})).rows[0].error, RunFailed)


async def test_sequences_of_any_length_are_answered_as_alone(
    store: ModelStore, engine: StartEngine, rows: Redis
) -> None:
    await store.publish(bundle(last_step(), view=SEQUENCE))
    running = await engine()

    together = await ask(running, keys=["s:1", "s:2", "s:9", "s:3"])
    alone = [values(await ask(running, keys=[key]))[0] for key in ("s:1", "s:2", "s:3")]

    assert [row.error.code if row.error else None for row in together.rows] == [
        None,
        None,
        "key_missing",
        None,
    ]
    assert [values(together)[at] for at in (0, 1, 3)] == alone == [[2, 2], [5, 5], [2, 2]]


async def test_a_graph_that_forgets_the_lengths_is_shown_no_padding(
    store: ModelStore, engine: StartEngine, rows: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await store.publish(bundle(mean_step(), view=SEQUENCE))
    running = await engine()
    keys = ["s:1", "s:2", "s:3"]
    alone = [values(await ask(running, keys=[key]))[0] for key in keys]

    assert values(await ask(running, keys=keys)) == alone
    every = await asyncio.gather(*[ask(running, keys=[key]) for key in keys])
    assert [values(one)[0] for one in every] == alone
    assert "padding changes its answers" in caplog.text


async def test_outputs_that_show_every_step_show_no_padding(
    store: ModelStore, engine: StartEngine, rows: Redis
) -> None:
    await store.publish(bundle(every_step(), view=SEQUENCE))
    running = await engine()

    answer = await ask(running, keys=["s:1", "s:2", "s:3"])

    assert [len(steps) for steps in values(answer)] == [2, 5, 2]
    assert values(answer)[1] == [[2 * step, 2 * step] for step in range(1, 6)]


async def test_a_graph_without_rows_answers_tensors_whole_and_keys_one_by_one(
    store: ModelStore, engine: StartEngine, rows: Redis
) -> None:
    await store.publish(bundle(total(), view=VIEW))
    running = await engine()

    assert values(await ask(running, inputs={"x": [[1, 2], [3, 4]]})) == [10]
    assert values(await ask(running, keys=["k:1", "k:3", "k:2"]))[::2] == [3, 8]


async def test_as_many_rows_as_a_graph_finds_are_one_answer(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(positions()))
    running = await engine()

    assert values(await ask(running, inputs={"x": [[0, 1], [1, 1]]})) == [[[0, 1], [1, 0], [1, 1]]]


async def test_rows_that_see_one_another_are_kept_together_only_where_the_caller_did(
    store: ModelStore, engine: StartEngine, rows: Redis
) -> None:
    await store.publish(bundle(running_total(), view=VIEW))
    running = await engine()

    assert values(await ask(running, inputs={"x": [[1, 2], [5, 3]]})) == [[1, 2], [6, 5]]
    assert values(await ask(running, keys=["k:1", "k:2"])) == [[1, 2], [5, 3]]


async def test_a_worded_model_whose_rows_see_one_another_answers_each_row_alone(
    store: ModelStore, engine: StartEngine
) -> None:
    nodes = [node("CumSum", "x axis", "y")]
    onnx = model(nodes, [value("x", ["rows", 1])], [value("y", ["rows", 1])], {"axis": np.array(0)})
    await store.publish(bundle(onnx, task="regression"))
    running = await engine()

    answer = await ask(running, inputs={"x": [[1], [2], [3]]})

    assert [row.body for row in answer.rows] == [{"value": 1.0}, {"value": 2.0}, {"value": 3.0}]


@pytest.mark.parametrize(
    ("asked", "error", "told"),
    [
        ({}, BadRequest, "exactly one of keys, instances and inputs"),
        ({"keys": ["k:1"], "inputs": {}}, BadRequest, "exactly one of keys, instances and inputs"),
        ({"keys": []}, BadRequest, "has no rows; name at least one"),
        ({"instances": []}, BadRequest, "has no rows; name at least one"),
        ({"inputs": {}}, BadInput, "input x is missing"),
        ({"keys": ["k:1"] * 5}, TooManyRows, "has 5 rows, the limit is 4"),
        ({"inputs": {"x": [[1, 2]] * 5}}, TooManyRows, "has 5 rows, the limit is 4"),
    ],
)
async def test_what_concerns_the_whole_request_is_its_error(
    store: ModelStore, engine: StartEngine, asked: dict[str, Any], error: type[Exception], told: str
) -> None:
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine(max_request_rows=4)

    with pytest.raises(error, match=told):
        await ask(running, **asked)


async def test_a_model_without_a_view_is_asked_by_tensors(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(scaled()))
    running = await engine()

    with pytest.raises(BadFeatureView, match="'m' has no feature view"):
        await ask(running, keys=["k:1"])


async def test_rows_are_bounded_by_the_memory_they_would_take(
    store: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    vector = {"key": "v:{id}", "as": "vector", "dtype": "float64", "shape": [2]}
    await store.publish(bundle(scaled(), view={"inputs": [{"name": "x", "sources": [vector]}]}))
    running = await engine()
    monkeypatch.setattr(predicting, "REQUEST_BYTES", 5 * 8 * 2)

    with pytest.raises(TooManyRows, match="has 6 rows, the limit is 5"):
        await ask(running, keys=["v:1"] * 6)

    assert len((await ask(running, keys=["v:1"] * 5)).rows) == 5


async def test_rows_are_bounded_by_the_numbers_of_their_answer(
    store: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = [node("ReduceSum", "x axes", "s", keepdims=1), node("Identity", "x", "y")]
    onnx = model(
        nodes,
        [value("x", ["rows", 3])],
        [value("s", ["rows", 1]), value("y", ["rows", 3])],
        {"axes": np.array([1])},
    )
    await store.publish(bundle(onnx, task="regression", output="s"))
    running = await engine()
    monkeypatch.setattr(predicting, "ANSWER_NUMBERS", 8)
    two, three = [[1, 2, 3]] * 2, [[1, 2, 3]] * 3

    with pytest.raises(TooManyRows, match="has 3 rows, the limit is 2, as the model answers 4 numbers a row"):
        await ask(running, inputs={"x": three}, raw=True)

    assert len((await ask(running, inputs={"x": two}, raw=True)).rows) == 2
    assert len((await ask(running, inputs={"x": three})).rows) == 3
    assert len((await ask(running, inputs={"x": three}, tensors=True)).rows) == 3


async def test_a_fault_of_ours_is_counted_as_what_it_is_told_as(
    store: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.publish(bundle(scaled()))
    running = await engine()

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a fault of ours")

    await ask(running, inputs={"x": [[1, 2]]})  # it is loaded by then
    monkeypatch.setattr(Session, "run", broken)
    with pytest.raises(ZeroDivisionError):
        await ask(running, inputs={"x": [[1, 2]]})

    told = running.metrics.exposition().decode()
    assert 'insitu_errors_total{model="m",version="1",code="internal_error"} 1.0' in told
    assert 'nv_inference_request_failure{model="m",version="1"} 1.0' in told


async def test_a_deadline_is_held_while_the_graph_runs(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(looping()))
    running = await engine()
    started = time.monotonic()

    with pytest.raises(DeadlineExceeded, match=r"not answered within 0\.\d+ s"):
        await ask(running, inputs={"x": [[1]], "turns": [1 << 60]}, deadline=time.monotonic() + 0.2)

    assert time.monotonic() - started < 5
    assert values(await ask(running, inputs={"x": [[1]], "turns": [3]})) == [[1]]
    told = running.metrics.exposition().decode()
    assert 'insitu_errors_total{model="m",version="1",code="deadline_exceeded"} 1.0' in told


async def test_the_servers_own_limit_bounds_every_request(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(looping()))
    running = await engine(request_timeout_seconds=0.2)

    with pytest.raises(DeadlineExceeded):
        await ask(running, inputs={"x": [[1]], "turns": [1 << 60]}, deadline=time.monotonic() + 60)


async def test_a_request_whose_time_is_over_is_not_run(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(scaled()))
    running = await engine()

    with pytest.raises(DeadlineExceeded):
        await ask(running, inputs={"x": [[1, 2]]}, deadline=time.monotonic() - 1)


async def test_a_full_queue_refuses_a_request_whole(
    store: ModelStore, engine: StartEngine, rows: Redis
) -> None:
    onnx = model(
        [node("ReduceSum", "x axes", "y", keepdims=0)],
        [value("x", ["rows", "steps", 2])],
        [value("y", ["rows", 2])],
        {"axes": np.array([1])},
    )
    await store.publish(bundle(onnx, view={"inputs": [{"name": "x", "sources": [LIST]}]}))
    running = await engine(max_queue_rows=1)

    given = await asyncio.gather(
        *(ask(running, keys=["s:1", "s:2", "s:3"]) for _ in range(2)), return_exceptions=True
    )

    assert [type(one) for one in given] == [Answer, Overloaded]
    assert values(await ask(running, keys=["s:1", "s:3"])) == [[3, 3], [3, 3]]


async def test_many_callers_at_once_get_their_own_rows(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    for number in range(200):
        await redis.hset(f"k:{number}", mapping={"a": number, "b": -number})
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()

    answers = await asyncio.gather(
        *(ask(running, keys=[f"k:{number}", f"k:{199 - number}"]) for number in range(200))
    )

    assert [values(answer) for answer in answers] == [
        [[2 * number, -2 * number], [2 * (199 - number), -2 * (199 - number)]] for number in range(200)
    ]


async def test_the_age_of_features_is_measured_where_they_carry_a_time(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    timed = {"key": "k:{id}", "as": "hash", "fields": ["a", "b"], "time_field": "at", "max_age_seconds": 60}
    await redis.hset("k:1", mapping={"a": 1, "b": 2, "at": time.time() - 20})
    await redis.hset("k:2", mapping={"a": 1, "b": 2, "at": time.time() - 90})
    await store.publish(bundle(scaled(), view={"inputs": [{"name": "x", "sources": [timed]}]}))
    running = await engine()

    await ask(running, keys=["k:1"])
    await ask(running, keys=["k:1", "k:2"])

    told = running.metrics.exposition().decode()
    assert 'insitu_feature_age_seconds_bucket{le="60.0",model="m",version="1"} 1.0' in told
    assert 'insitu_feature_age_seconds_bucket{le="300.0",model="m",version="1"} 2.0' in told
