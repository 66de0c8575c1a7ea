"""What a caller does wrong is INVALID_ARGUMENT that names it, and never INTERNAL; nothing is allocated on a promise."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.store import ModelStore
from server.inference.errors import Overloaded
from server.rpc.errors import CODE
from server.rpc.messages import message
from tests.graphs import bundle, looping, passed, scaled
from tests.integration.rest.graphs import churn
from tests.integration.rpc.calling import Caller, infer_request, refused
from tests.integration.rpc.conftest import OpenDoor
from tests.integration.rpc.tensors import ONNX
from tests.servers import RedisServer

HUGE = 1 << 40
Change = Callable[[Any], None]
X = np.ones((1, 2), np.float32)
FUZZED = 400
TURNS = 20_000  # of a loop: a run that takes a while


def shaped(*dims: int) -> Change:
    def change(request: Any) -> None:
        request.inputs[0].shape[:] = dims

    return change


def named(name: str) -> Change:
    def change(request: Any) -> None:
        request.inputs[0].name = name

    return change


def of_type(datatype: str) -> Change:
    def change(request: Any) -> None:
        request.inputs[0].datatype = datatype

    return change


def raw(*data: bytes) -> Change:
    def change(request: Any) -> None:
        request.raw_input_contents[:] = data

    return change


def typed(field: str, *values: Any, also_raw: bool = False, datatype: str = "FP32") -> Change:
    def change(request: Any) -> None:
        request.inputs[0].datatype = datatype
        getattr(request.inputs[0].contents, field).extend(values)
        if not also_raw:
            del request.raw_input_contents[:]

    return change


def twice(request: Any) -> None:
    request.inputs.append(request.inputs[0])
    request.raw_input_contents.append(request.raw_input_contents[0])


def wanting(*names: str) -> Change:
    def change(request: Any) -> None:
        for name in names:
            request.outputs.add(name=name)

    return change


def classes(count: int) -> Change:
    def change(request: Any) -> None:
        request.outputs.add(name="y").parameters["classification"].int64_param = count

    return change


def parameter(field: str, value: Any, name: str = "timeout") -> Change:
    def change(request: Any) -> None:
        setattr(request.parameters[name], field, value)

    return change


def shared(request: Any) -> None:
    request.inputs[0].parameters["shared_memory_region"].string_param = "region0"


def shared_output(request: Any) -> None:
    request.outputs.add(name="y").parameters["shared_memory_region"].string_param = "region1"


def without_inputs(request: Any) -> None:
    del request.inputs[:], request.raw_input_contents[:]


MISTAKES: dict[str, tuple[Change, str]] = {
    "wrong name": (named("z"), "no input 'z'"),
    "wrong type": (of_type("FP64"), "input 'x'"),
    "no type": (of_type("FLOAT"), "the datatype 'FLOAT'"),
    "another type of half": (of_type("BF16"), "input 'x' has 8 bytes"),
    "wrong shape": (shaped(2, 1), "input 'x' has shape"),
    "another rank": (shaped(1, 1, 2), "input 'x' has shape"),
    "a negative dimension": (shaped(-1, 2), "dimension -1"),
    "a huge dimension": (shaped(HUGE, 2), "more elements than any request carries"),
    "many elements": (shaped(HUGE // 4, 2), "bytes"),
    "overflowing dimensions": (shaped(1 << 32, 1 << 32), "more elements than any request carries"),
    "too many axes": (shaped(*[1] * 100), "100 axes"),
    "no rows": (shaped(0, 2), "input 'x'"),
    "too few bytes": (raw(b"1234567"), "has 7 bytes"),
    "too many bytes": (raw(b"123456789"), "has 9 bytes"),
    "too few tensors": (raw(b"12345678", b"12345678"), "2 entries for 1 inputs"),
    "values of another type": (typed("int_contents", 1, 2), "fp32_contents"),
    "too few values": (typed("fp32_contents", 1.0), "1 values"),
    "raw and typed": (typed("fp32_contents", 1.0, 2.0, also_raw=True), "beside raw_input_contents"),
    "half, typed": (typed("fp32_contents", 1.0, 2.0, datatype="FP16"), "no typed contents"),
    "bfloat16, typed": (typed("fp32_contents", 1.0, 2.0, datatype="BF16"), "send raw_input_contents"),
    "an integer beyond its type": (typed("int_contents", 1, 300, datatype="INT8"), "holds 300"),
    "no UTF-8": (typed("bytes_contents", b"a", b"\xff", datatype="BYTES"), "element 1 is no UTF-8"),
    "no contents": (raw(), "0 values"),
    "an input twice": (twice, "given twice"),
    "no inputs": (without_inputs, "input"),
    "an unknown output": (wanting("z"), "no output 'z'"),
    "an output twice": (wanting("y", "y"), "asked for twice"),
    "negative classes": (classes(-1), "classification"),
    "a negative time": (parameter("int64_param", -1), "'timeout' is '-1'"),
    "a time in words": (parameter("string_param", "soon"), "'timeout' is 'soon'"),
    "a priority there is not": (parameter("uint64_param", 11, "priority"), "'priority' is '11'"),
    "a negative priority": (parameter("int64_param", -1, "priority"), "'priority' is '-1'"),
    "a huge priority": (parameter("uint64_param", (1 << 64) - 1, "priority"), "a whole number from 1"),
    "a priority in words": (parameter("string_param", "1", "priority"), "'priority' is '1'"),
    "shared memory": (shared, "input 'x' is in the shared memory 'region0'"),
    "shared memory for an output": (shared_output, "output 'y' is in the shared memory 'region1'"),
    "a name with a colon": (lambda request: setattr(request, "model_name", "a:b{c}"), "a:b"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_is_an_invalid_argument_that_names_it(
    store: ModelStore, door: Caller, mistake: str
) -> None:
    await store.publish(bundle(scaled(rows="rows"), "scale"))
    change, told = MISTAKES[mistake]
    request = infer_request("scale", {"x": X})
    change(request)

    error = await refused(door.call("ModelInfer", request))

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error.details()
    assert told in (error.details() or "")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\xff\xff\xff\x7fabc", "it is said to have 2147483647 bytes"),
        (b"\x01\x00\x00\x00", "it is said to have 1 bytes"),
        (b"\x00\x00", "too few for 1 texts"),
        (b"\x01\x00\x00\x00ab", "1 bytes after its 1 texts"),
        (b"\x01\x00\x00\x00\xff", "element 0 is no UTF-8"),
    ],
)
async def test_lengths_that_lie_are_an_invalid_argument(
    store: ModelStore, door: Caller, data: bytes, told: str
) -> None:
    await store.publish(bundle(passed(ONNX["BYTES"], ["rows"]), "texts"))
    request = infer_request("texts", {"x": np.array(["a"], object)})
    request.raw_input_contents[:] = [data]

    error = await refused(door.call("ModelInfer", request))

    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert told in (error.details() or "")


async def test_bytes_that_are_no_message_are_an_invalid_argument_of_every_call(door: Caller) -> None:
    for name in (
        "ModelInfer",
        "ModelMetadata",
        "ModelConfig",
        "ModelReady",
        "RepositoryModelLoad",
        "TraceSetting",
    ):
        error = await refused(door.raw(name, b"\x0a\x05\xff"))

        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert f"no {name}Request" in (error.details() or "")


async def test_no_bytes_at_all_are_internal(store: ModelStore, door: Caller) -> None:
    """A fuzz: requests built of any fields, and good ones with bytes of theirs changed."""
    await store.publish(bundle(scaled(), "scale"))
    good = infer_request("scale", {"x": X}).SerializeToString()
    codes: list[grpc.StatusCode] = []
    cases: list[bytes] = []

    @settings(max_examples=FUZZED, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(st.one_of(st.binary(max_size=200), spoilt(good), built()))
    def collect(data: bytes) -> None:
        cases.append(data)

    collect()
    for data in cases:
        try:
            await door.raw("ModelInfer", data)
        except grpc.aio.AioRpcError as error:
            codes.append(error.code())

    assert len(codes) > FUZZED // 2
    assert set(codes) <= {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


@st.composite
def spoilt(draw: st.DrawFn, good: bytes) -> bytes:
    """A good request of which some bytes are changed."""
    data = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@st.composite
def built(draw: st.DrawFn) -> bytes:
    """A request whose fields are of the right kinds, and whose values are any."""
    request = message("ModelInferRequest")(model_name=draw(st.sampled_from(["scale", "scale", ""])))
    for _ in range(draw(st.integers(0, 3))):
        request.inputs.add(
            name=draw(st.sampled_from(["x", "y", ""])),
            datatype=draw(st.sampled_from(["FP32", "INT8", "BYTES", "BOOL", "BF16", ""])),
            shape=draw(st.lists(st.integers(-2, 1 << 62) | st.integers(0, 3), max_size=4)),
        )
    request.raw_input_contents.extend(draw(st.lists(st.binary(max_size=16), max_size=3)))
    for name in draw(st.lists(st.sampled_from(["y", "z"]), max_size=2)):
        request.outputs.add(name=name)
    if draw(st.booleans()):
        request.parameters["timeout"].int64_param = draw(st.integers(-5, 0) | st.integers(1 << 24, 1 << 62))
    return bytes(request.SerializeToString())


async def test_a_full_queue_is_unavailable_with_a_time_to_come_again(
    store: ModelStore, open_door: OpenDoor
) -> None:
    await store.publish(bundle(looping(), "loop"))
    door = await open_door(max_queue_rows=2, max_batch_rows=1)
    slow = {"x": np.ones((1, 1), np.float32), "turns": np.array([TURNS])}
    await door.infer("loop", slow)

    outcomes = await asyncio.gather(*(door.infer("loop", slow) for _ in range(20)), return_exceptions=True)

    errors = [one for one in outcomes if isinstance(one, grpc.aio.AioRpcError)]
    assert 0 < len(errors) < len(outcomes)
    assert {error.code() for error in errors} == {grpc.StatusCode.UNAVAILABLE}
    told = dict(errors[0].trailing_metadata())
    assert told[CODE] == Overloaded.code
    assert int(told["grpc-retry-pushback-ms"]) > 0


async def test_keys_are_unavailable_while_redis_is_away_and_tensors_are_answered(
    redis_server: Callable[..., RedisServer], open_door: OpenDoor
) -> None:
    server = redis_server()
    door = await open_door(redis_url=server.url)
    await ModelStore(door.engine.store.redis).publish(churn())
    tensors = {"x": np.array([[40, 10]], np.float32)}
    await door.infer("churn", tensors)
    server.kill()

    error = await refused(door.infer("churn", {"id": np.array(["1"], object)}))

    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert "Redis" in (error.details() or "")
    assert (await door.infer("churn", tensors))["y"].shape == (1, 2)


async def test_a_message_over_the_limit_is_refused_and_one_below_is_not(
    store: ModelStore, open_door: OpenDoor
) -> None:
    await store.publish(bundle(passed(ONNX["FP32"], ["rows", 1024]), "wide"))
    door = await open_door(max_grpc_message_bytes=6 << 20)
    inputs = {"x": np.ones((1200, 1024), np.float32)}  # 4.7 MiB: over the 4 MiB that gRPC allows by itself

    assert (await door.infer("wide", inputs))["y"].shape == (1200, 1024)
    error = await refused(door.infer("wide", {"x": np.ones((1600, 1024), np.float32)}))

    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_shorter_of_deadline_and_parameter_ends_a_call(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(scaled(), "scale"))
    request = infer_request("scale", {"x": X})
    request.parameters["timeout"].int64_param = 1

    began = time.monotonic()
    error = await refused(door.raw("ModelInfer", request.SerializeToString(), timeout=20))

    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 10


async def test_a_request_that_cannot_be_read_counts_as_its_model(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(scaled(), "scale"))
    await door.infer("scale", {"x": np.ones((1, 2), np.float32)})
    for model in ("scale", "any text"):
        request = infer_request(model, {"x": np.ones((1, 2), np.float32)})
        request.inputs[0].datatype = "FP8"
        await refused(door.call("ModelInfer", request))

    told = door.engine.metrics.exposition().decode()
    assert 'insitu_errors_total{model="scale",version="",code="bad_request"} 1.0' in told
    assert 'insitu_errors_total{model="unknown",version="",code="bad_request"} 1.0' in told
