"""A request for tensors is answered with the graph's own outputs, in one piece, by one version."""

import asyncio
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from redis.asyncio import Redis

from models.errors import KeyMissing
from models.store import ModelStore
from models.tensors import numpy_dtype
from server.inference.asking import Answer, Ask
from server.inference.engine import Engine
from server.inference.errors import BadInput, RunFailed
from tests.graphs import (
    bundle,
    every_step,
    f32,
    last_step,
    looked_up,
    model,
    node,
    running_total,
    scaled,
    total,
    value,
)
from tests.integration.server.conftest import StartEngine, until

HASH = {"key": "k:{id}", "as": "hash", "fields": [{"name": "a", "default": 5}, "b"]}
VIEW = {"inputs": [{"name": "x", "sources": [HASH]}]}
LIST = {"key": "s:{id}", "as": "list", "shape": [2], "last": 9}
SEQUENCE = {"inputs": [{"name": "x", "lengths": "lengths", "sources": [LIST]}]}


async def tensors(engine: Engine, **asked: Any) -> Answer:
    return await engine.predictor.predict(Ask("m", tensors=True, **asked))


def output(answer: Answer) -> Any:
    assert answer.outputs is not None
    return answer.outputs["y"]


@pytest.fixture
async def rows(redis: Redis) -> Redis:
    await redis.hset("k:1", mapping={"a": 1, "b": 2})
    await redis.hset("k:2", mapping={"b": 3})
    for name, steps in (("1", 2), ("2", 5), ("3", 2)):
        for step in range(steps):
            await redis.rpush(f"s:{name}", np.full(2, step + 1, "<f4").tobytes())
    return redis


@pytest.mark.parametrize("order", ["xw", "wx"])
async def test_an_input_of_a_fixed_size_goes_with_all_rows_wherever_it_stands(
    store: ModelStore, engine: StartEngine, order: str
) -> None:
    nodes = [node("ReduceSum", "w axes", "s", keepdims=0), node("Mul", "x s", "y")]
    shapes = {"x": value("x", ["N", 2]), "w": value("w", [3])}
    graph = model(nodes, [shapes[one] for one in order], [value("y", ["N", 2])], {"axes": np.array([0])})
    await store.publish(bundle(graph))
    running = await engine()

    for count in (2, 3):
        answer = await tensors(running, inputs={"x": np.ones((count, 2), np.float32), "w": f32(1, 2, 3)})
        assert output(answer).tolist() == [[6.0, 6.0]] * count
    with pytest.raises(BadInput, match=r"input 'w' has shape \[2\], the model takes \[3\]"):
        await tensors(running, inputs={"x": np.ones((2, 2), np.float32), "w": f32(1, 2)})


async def test_tensors_and_keys_asked_together_get_their_own_rows(
    store: ModelStore, engine: StartEngine, rows: Redis
) -> None:
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()
    x = f32([[1, 2], [5, 3], [7, 7]])

    dense, keyed, worded = await asyncio.gather(
        tensors(running, inputs={"x": x}),
        tensors(running, keys=["k:1", "k:2"]),
        running.predictor.predict(Ask("m", keys=["k:2"])),
    )

    assert output(dense).tolist() == [[2, 4], [10, 6], [14, 14]]
    assert output(keyed).tolist() == [[2, 4], [10, 6]]
    assert [list(row.filled) for row in keyed.rows] == [[], ["a"]]
    assert worded.rows[0].body == {"outputs": {"y": [10, 6]}}
    assert worded.outputs is None


async def test_a_row_that_fails_fails_the_request_and_no_other(
    store: ModelStore, engine: StartEngine, rows: Redis
) -> None:
    await store.publish(bundle(scaled(), view=VIEW))
    running = await engine()

    bad, good = await asyncio.gather(
        tensors(running, keys=["k:1", "k:9"]), tensors(running, keys=["k:1"]), return_exceptions=True
    )

    assert isinstance(bad, KeyMissing)
    assert isinstance(good, Answer)
    assert output(good).tolist() == [[2, 4]]


async def test_a_run_that_fails_fails_the_request_and_no_other(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(bundle(looked_up(f32([[1], [2]]))))
    running = await engine()
    inputs = [np.array([0, 99, 1]), np.array([1])]

    bad, good = await asyncio.gather(
        *(tensors(running, inputs={"i": one}) for one in inputs), return_exceptions=True
    )

    assert isinstance(bad, RunFailed)
    assert isinstance(good, Answer)


async def test_sequences_of_several_lengths_come_back_in_the_order_of_the_rows(
    store: ModelStore, engine: StartEngine, rows: Redis
) -> None:
    await store.publish(bundle(last_step(), view=SEQUENCE))
    running = await engine()

    answer = await tensors(running, keys=["s:2", "s:1", "s:2", "s:3"])

    assert output(answer)[:, 0].tolist() == [5, 2, 5, 2]


async def test_rows_whose_outputs_differ_in_shape_make_no_tensor(
    store: ModelStore, engine: StartEngine, rows: Redis
) -> None:
    await store.publish(bundle(every_step(), view=SEQUENCE))
    running = await engine()

    with pytest.raises(BadInput, match="ask for them one by one"):
        await tensors(running, keys=["s:1", "s:2"])

    assert output(await tensors(running, keys=["s:1", "s:3"])).shape[:2] == (2, 2)


async def test_a_graph_that_sees_all_rows_gets_them_as_they_were_sent(
    store: ModelStore, engine: StartEngine
) -> None:
    x = f32([[1, 2], [3, 4]])
    await store.publish(bundle(running_total()))
    await store.publish(bundle(total(), name="whole"))
    running = await engine()

    coupled = await tensors(running, inputs={"x": x})
    whole = await running.predictor.predict(Ask("whole", inputs={"x": x}, tensors=True))

    assert output(coupled).tolist() == [[1, 2], [4, 6]]
    assert float(np.sum(output(whole))) == 10


async def test_all_rows_of_a_request_go_to_one_version_of_a_rule(
    store: ModelStore, engine: StartEngine, redis: Redis
) -> None:
    for row in range(40):
        await redis.hset(f"k:{row}", mapping={"a": 1, "b": 1})
    await store.publish(bundle(scaled(2), view=VIEW))
    await store.publish(bundle(scaled(3), view=VIEW))
    await store.set_traffic("m", {1: 50, 2: 50})
    running = await engine()

    answers = [
        await tensors(running, keys=[f"k:{(2 * row + at) % 40}" for at in range(8)]) for row in range(20)
    ]
    dense = [await tensors(running, inputs={"x": f32([[1, 1]])}) for _ in range(20)]

    for answer in (*answers, *dense):
        assert {*output(answer).reshape(-1).tolist()} == {answer.version + 1}
    assert {answer.version for answer in answers} == {answer.version for answer in dense} == {1, 2}


async def test_a_shadow_is_compared_by_its_tensors(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(bundle(scaled(2)))
    second = await store.publish(bundle(scaled(3)), None)
    await store.promote("m", second.version, "shadow")
    running = await engine()
    await running.catalogue.get("m", 2)

    await tensors(running, inputs={"x": f32([[1, 1], [0, 0]])})

    def told() -> str:
        return running.metrics.exposition().decode()

    await until(lambda: 'insitu_shadow_rows_total{model="m",version="2"} 2' in told())
    assert 'insitu_shadow_different_rows_total{model="m",version="2"} 1' in told()


async def test_bfloat16_goes_in_and_out_as_it_is(store: ModelStore, engine: StartEngine) -> None:
    nodes = [
        node("Cast", "x", "wide", to=TensorProto.FLOAT),
        node("Add", "wide wide", "twice"),
        node("Cast", "twice", "y", to=TensorProto.BFLOAT16),
    ]
    kind = TensorProto.BFLOAT16
    graph = model(nodes, [value("x", ["rows", 2], kind)], [value("y", ["rows", 2], kind)])
    await store.publish(bundle(graph))
    running = await engine()
    x = f32([[1.5, -2], [3.140625, 1e30]]).astype(numpy_dtype("bfloat16"))

    answers = await asyncio.gather(*(tensors(running, inputs={"x": x[row : row + 1]}) for row in (0, 1)))
    said = await running.predictor.predict(Ask("m", inputs={"x": [[1.5, -2]]}))

    for row, answer in enumerate(answers):
        assert output(answer).dtype == x.dtype
        assert (output(answer).astype(float) == 2 * x[row : row + 1].astype(float)).all()
    assert said.rows[0].body == {"outputs": {"y": [3.0, -4.0]}}
    with pytest.raises(BadInput, match=r"holds '1e\+39', which is not a finite bfloat16"):
        await running.predictor.predict(Ask("m", inputs={"x": [[1e39, 0]]}))
