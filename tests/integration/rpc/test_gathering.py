"""Requests that begin alike are asked for together, and answered as if each were alone."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import numpy as np
from onnx import TensorProto

from models.store import ModelStore
from server.rpc.messages import message
from tests.graphs import bundle, dense, looked_up, model, node, running_total, scaled, value
from tests.integration.rpc.calling import Caller, infer_request, outputs_of, refused

CALLERS = 40


def row(number: float) -> bytes:
    x = np.full((1, 2), number, np.float32)
    return bytes(infer_request("scale", {"x": x}).SerializeToString())


async def doubled(door: Caller, number: float) -> list[float]:
    answer = message("ModelInferResponse").FromString(await door.raw("ModelInfer", row(number)))
    return [float(one) for one in outputs_of(answer)["y"][0]]


def executions(door: Caller) -> Any:
    return door.engine.metrics.every_statistics("scale")


async def test_callers_of_one_moment_share_runs_and_get_their_own_rows(
    store: ModelStore, door: Caller
) -> None:
    await store.publish(bundle(scaled(2.0), "scale"))
    await doubled(door, 1)

    found = await asyncio.gather(*(doubled(door, number) for number in range(CALLERS)))

    assert found == [[2.0 * number] * 2 for number in range(CALLERS)]
    ((_, counted),) = executions(door).items()
    assert counted.success.count == CALLERS + 1
    assert counted.inference_count == CALLERS + 1
    assert counted.execution_count <= CALLERS + 1


async def test_a_bad_row_fails_alone(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(looked_up(np.eye(3, 2, dtype=np.float32)), "gather"))

    def place(at: int) -> bytes:
        return bytes(infer_request("gather", {"i": np.array([at])}).SerializeToString())

    await door.raw("ModelInfer", place(0))
    found = await asyncio.gather(
        *(door.raw("ModelInfer", place(at)) for at in (0, 1, 99, 2)), return_exceptions=True
    )

    assert [isinstance(one, bytes) for one in found] == [True, True, False, True]
    assert isinstance(found[2], grpc.aio.AioRpcError)
    assert found[2].code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_request_that_fails_is_counted_once_however_many_it_came_with(
    store: ModelStore, door: Caller
) -> None:
    await store.publish(bundle(looked_up(np.eye(3, 2, dtype=np.float32)), "gather"))
    places = [99 if at % 4 == 0 else 1 for at in range(CALLERS)]
    said = [bytes(infer_request("gather", {"i": np.array([at])}).SerializeToString()) for at in places]
    await door.raw("ModelInfer", said[1])

    found = [
        one
        for _ in range(10)
        for one in await asyncio.gather(
            *(door.raw("ModelInfer", one) for one in said), return_exceptions=True
        )
    ]

    failed = sum(isinstance(one, grpc.aio.AioRpcError) for one in found)
    assert failed == 10 * places.count(99)
    counted = door.engine.metrics.statistics("gather", 1)
    assert (counted.fail.count, counted.success.count) == (failed, len(found) - failed + 1)
    assert counted.queue.count == len(found) + 1
    told = f'insitu_errors_total{{model="gather",version="1",code="run_failed"}} {failed}.0'
    assert told in door.engine.metrics.exposition().decode()


async def test_texts_are_run_and_counted_once(store: ModelStore, door: Caller) -> None:
    texts = [node("Cast", "x", "y", to=TensorProto.STRING)]
    onnx = model(texts, [value("x", ["rows", 2])], [value("y", ["rows", 2], TensorProto.STRING)])
    await store.publish(bundle(onnx, "scale"))

    for number in range(3):
        await door.raw("ModelInfer", row(number))

    ((_, counted),) = executions(door).items()
    assert (counted.success.count, counted.inference_count) == (3, 3)


async def test_an_answer_is_the_same_gathered_and_alone(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(dense(np.ones((2, 3), np.float32)), "wide"))
    request = infer_request("wide", {"x": np.array([[1, 2]], np.float32)})
    first, again = [await door.raw("ModelInfer", request.SerializeToString()) for _ in range(2)]
    request.id = "7"
    named = message("ModelInferResponse").FromString(
        await door.raw("ModelInfer", request.SerializeToString())
    )

    named.id = ""
    assert first == again
    assert message("ModelInferResponse").FromString(again) == named


async def test_a_caller_in_a_hurry_does_not_hurry_its_neighbours(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(scaled(2.0), "scale"))
    await doubled(door, 1)

    hurried = asyncio.create_task(refused(door.raw("ModelInfer", row(2), timeout=0.0005)))
    found = await asyncio.gather(*(doubled(door, number) for number in range(CALLERS)))

    assert found == [[2.0 * number] * 2 for number in range(CALLERS)]
    assert (await hurried).code() == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_rows_that_see_one_another_are_never_put_together(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(running_total(), "total"))

    async def asked(number: float) -> list[float]:
        x = np.full((1, 2), number, np.float32)
        data = bytes(infer_request("total", {"x": x}).SerializeToString())
        answer = message("ModelInferResponse").FromString(await door.raw("ModelInfer", data))
        return [float(one) for one in outputs_of(answer)["y"][0]]

    await asked(1)
    found = await asyncio.gather(*(asked(number) for number in range(CALLERS)))

    assert found == [[float(number)] * 2 for number in range(CALLERS)]
