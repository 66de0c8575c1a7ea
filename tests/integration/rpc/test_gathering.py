"""Requests that begin alike are asked for together, and answered as if each were alone."""

import asyncio
from typing import Any

import grpc
import grpc.aio
import numpy as np

from models.store import ModelStore
from server.rpc.messages import message
from tests.graphs import bundle, dense, looked_up, running_total, scaled
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
