"""ModelInfer: every datatype, raw and typed, and rows named by Redis keys."""

import asyncio
import time
from typing import Any

import grpc
import numpy as np
import pytest

from models.store import ModelStore
from server.open_inference.datatypes import DTYPES
from server.rpc.messages import message
from server.rpc.requests import CONTENTS
from tests.graphs import bundle, looping, passed, scaled
from tests.integration.rest.graphs import churn
from tests.integration.rpc.calling import KINDS, Caller, infer_request, outputs_of, refused
from tests.integration.rpc.conftest import OpenDoor
from tests.integration.rpc.tensors import ONNX, TENSORS

FORMS = [(form, one) for one in TENSORS for form in ("raw", "typed") if form == "raw" or one in CONTENTS]


@pytest.mark.parametrize(("form", "datatype"), FORMS)
async def test_a_tensor_of_every_datatype_comes_back_as_it_went(
    store: ModelStore, door: Caller, form: str, datatype: str
) -> None:
    await store.publish(bundle(passed(ONNX[datatype], ["rows", 2]), "same"))
    tensor = TENSORS[datatype]
    request = infer_request("same", {"x": tensor}, called="7")
    if form == "typed":
        del request.raw_input_contents[:]
        values = [one.encode() if isinstance(one, str) else one for one in tensor.reshape(-1).tolist()]
        getattr(request.inputs[0].contents, CONTENTS[datatype]).extend(values)

    response = await door.call("ModelInfer", request)

    assert (response.model_name, response.model_version, response.id) == ("same", "1", "7")
    assert [(one.name, one.datatype, [*one.shape]) for one in response.outputs] == [("y", datatype, [2, 2])]
    found = outputs_of(response)["y"]
    if datatype == "BYTES":
        assert found == [one.encode() for one in tensor.reshape(-1)]
    else:
        np.testing.assert_array_equal(found, tensor)
    assert set(KINDS.values()) == set(TENSORS) == set(DTYPES)


async def test_a_model_with_a_view_takes_its_keys_placeholders_in_place_of_tensors(
    redis: Any, store: ModelStore, door: Caller
) -> None:
    await store.publish(churn())
    await redis.hset("customer:1", mapping={"age": 40, "spend": 10})
    await redis.hset("customer:2", mapping={"age": 23, "spend": 48})

    by_key = await door.infer("churn", {"id": np.array(["1", "2"], object)})
    by_tensor = await door.infer("churn", {"x": np.array([[40, 10], [23, 48]], np.float32)})

    np.testing.assert_array_equal(by_key["y"], by_tensor["y"])


async def test_a_version_is_meant_by_its_number_or_an_alias(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(scaled(2.0), "scale"))
    await store.publish(bundle(scaled(3.0), "scale"))
    x = {"x": np.ones((1, 2), np.float32)}

    found = {
        version: (await door.infer("scale", x, version=version))["y"][0, 0]
        for version in ("", "1", "production", "2")
    }

    assert found == {"": 3.0, "1": 2.0, "production": 3.0, "2": 3.0}


async def test_classes_are_told_in_place_of_an_output(store: ModelStore, door: Caller) -> None:
    await store.publish(churn())
    request = infer_request("churn", {"x": np.array([[40, 10]], np.float32)}, outputs=["y"])
    request.outputs[0].parameters["classification"].int64_param = 2

    response = await door.call("ModelInfer", request)

    assert (response.outputs[0].datatype, [*response.outputs[0].shape]) == ("BYTES", [1, 2])
    assert {text.split(b":", 2)[2] for text in outputs_of(response)["y"]} == {b"stays", b"leaves"}


async def test_a_deadline_that_has_passed_is_told_as_such(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(scaled(), "scale"))
    request = infer_request("scale", {"x": np.ones((1, 2), np.float32)})
    request.parameters["timeout"].int64_param = 1

    error = await refused(door.call("ModelInfer", request))

    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert message("ModelInferRequest")  # the pool is ours


async def test_the_run_of_a_call_that_is_cancelled_is_stopped(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(looping(), "loop"))

    async def run(turns: int) -> None:
        await door.infer("loop", {"x": np.ones((1, 1), np.float32), "turns": np.array([turns])})

    await run(1)
    endless = asyncio.create_task(run(1 << 50))
    await asyncio.sleep(0.5)
    endless.cancel()
    before = time.monotonic()
    await run(1)

    assert time.monotonic() - before < door.engine.limits.timeout_seconds / 3


async def test_a_traffic_rule_shares_requests_out(store: ModelStore, open_door: OpenDoor) -> None:
    await store.publish(bundle(scaled(2.0), "scale"))
    await store.publish(bundle(scaled(3.0), "scale"))
    await store.set_traffic("scale", {1: 50, 2: 50})
    door = await open_door()
    x = {"x": np.ones((1, 2), np.float32)}

    found = [(await door.infer("scale", x))["y"][0, 0] for _ in range(40)]

    assert 10 < found.count(2.0) < 30
    assert set(found) == {2.0, 3.0}
