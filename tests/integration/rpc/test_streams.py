"""ModelStreamInfer, health and reflection, and how a door ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from models.store import ModelStore
from server.access import Access
from server.rpc.calls import Calls
from server.rpc.exchange import Context
from server.rpc.http2 import frames
from server.rpc.http2.holding import Holding
from server.rpc.messages import HEALTH, REFLECTION, SERVICE, message
from server.rpc.streaming import UNDER_WAY, Streams
from server.rpc.wire import prefixed
from tests.graphs import bundle, looping, scaled
from tests.integration.rpc.calling import SECONDS, Caller, infer_request, refused
from tests.integration.rpc.test_connections import call, connected

TURNS = 20_000  # of a loop: some milliseconds
X = {"x": np.ones((1, 2), np.float32)}
Answers = list[Any]


def asked(name: str = "scale", called: str = "") -> bytes:
    return bytes(infer_request(name, X, called=called).SerializeToString())


async def read(stream: Any) -> Answers:
    return [message("ModelStreamInferResponse").FromString(one) async for one in stream]


async def each(*requests: bytes) -> AsyncIterator[bytes]:
    for one in requests:
        yield one


async def test_answers_come_in_the_order_of_their_requests(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(scaled(), "scale"))
    numbers = [str(number) for number in range(3 * UNDER_WAY)]

    answers = await read(door.stream(each(*(asked(called=number) for number in numbers))))

    assert [one.infer_response.id for one in answers] == numbers
    assert {one.error_message for one in answers} == {""}


async def test_an_error_is_a_message_and_the_stream_goes_on(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(scaled(), "scale"))

    answers = await read(
        door.stream(each(asked(called="1"), asked("nope", "2"), b"\xff\xff", asked(called="4")))
    )

    assert [one.infer_response.id for one in answers] == ["1", "2", "", "4"]
    assert [bool(one.error_message) for one in answers] == [False, True, True, False]
    assert "model 'nope' is not stored" in answers[1].error_message
    assert "no ModelInferRequest" in answers[2].error_message


async def test_a_stream_that_is_cancelled_leaves_nothing_behind(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(scaled(), "scale"))
    before = asyncio.all_tasks()

    def under_way() -> bool:
        return bool(door.engine.predictor.under_way) or len(asyncio.all_tasks()) > len(before) + 1

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield asked()
            await asyncio.sleep(0)

    stream = door.stream(endless())
    await stream.read()
    stream.cancel()
    async with asyncio.timeout(SECONDS):
        while under_way():  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.01)


async def test_a_stream_that_is_cancelled_again_leaves_nothing_behind(
    store: ModelStore, door: Caller
) -> None:
    await store.publish(bundle(looping(), "loop"))
    slow = {"x": np.ones((1, 1), np.float32), "turns": np.array([1 << 60])}
    request = bytes(infer_request("loop", slow).SerializeToString())
    streams = Streams(Calls(door.engine, "1"), Access(anonymous=("predict",)))
    answers = Holding(1 << 20)
    stay = asyncio.Event()

    async def requests() -> AsyncIterator[bytes]:
        yield request
        yield b"\xff"  # no message: its answer is made, and waits behind the one before it
        await stay.wait()

    async def written() -> None:
        async for _ in streams.infer(requests(), Context((), None, answers, lambda: False)):
            pass

    stream = asyncio.create_task(written())
    async with asyncio.timeout(SECONDS):
        while not answers.taken:  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.01)
        while not stream.done():
            stream.cancel()  # its time has ended, its client has gone, the server ends
            await asyncio.sleep(0)
        await streams.left()

    assert stream.cancelled()
    assert answers.taken == 0
    assert door.engine.predictor.under_way == 0


async def test_an_open_stream_does_not_hold_up_the_end(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(scaled(), "scale"))
    stay = asyncio.Event()

    async def once() -> AsyncIterator[bytes]:
        yield asked()
        await stay.wait()

    stream = door.stream(once())
    answers = aiter(stream)
    await anext(answers)
    async with asyncio.timeout(5):
        await door.door.close()

    error = await refused(anext(answers))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert "this server ends" in (error.details() or "")


async def test_a_stream_that_its_client_has_ended_is_answered_whole_while_the_server_ends(
    store: ModelStore, door: Caller
) -> None:
    await store.publish(bundle(looping(), "loop"))
    slow = {"x": np.ones((1, 1), np.float32), "turns": np.array([TURNS])}
    request = prefixed(infer_request("loop", slow).SerializeToString())
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, call("ModelStreamInfer"))
    body = b""

    async with connected(door, opened) as line:
        line.send(frames.frame(frames.DATA, frames.END_STREAM, 1, request * 4 * UNDER_WAY))
        while True:
            kind, flags, _, payload = await line.until(frames.DATA, frames.HEADERS, frames.PING)
            if kind == frames.DATA:
                body += payload
                door.door.end()
            elif kind == frames.PING:
                line.send(frames.frame(frames.PING, frames.ACK, 0, payload))
            elif flags & frames.END_STREAM:
                break

    assert dict(line.decoder.headers(payload))[b"grpc-status"] == b"0"
    assert body.count(b"loop") == 4 * UNDER_WAY


async def test_a_call_that_is_cancelled_while_the_server_ends_does_not_hold_up_the_end(door: Caller) -> None:
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, call("ModelInfer"))

    async with connected(door, opened, frames.frame(frames.PING, 0, 0, bytes(8))) as line:
        while (await line.until(frames.PING))[1] != frames.ACK:
            pass
        door.door.end()
        await line.until(frames.GOAWAY)
        asks = (await line.until(frames.PING))[3]
        line.send(frames.reset(1, frames.CANCEL), frames.frame(frames.PING, frames.ACK, 0, asks))
        await line.until(frames.GOAWAY)
        async with asyncio.timeout(5):
            assert await line.reader.read() == b""
            await door.door.close()


async def test_health_tells_about_the_server_and_the_service(door: Caller) -> None:
    check = door.channel.unary_unary(
        f"/{HEALTH}/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )

    for service in ("", SERVICE):
        told = await check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS)
        assert told.status == health_pb2.HealthCheckResponse.SERVING
    error = await refused(check(health_pb2.HealthCheckRequest(service="other"), timeout=SECONDS))
    assert error.code() == grpc.StatusCode.NOT_FOUND


async def test_whoever_watches_health_is_told_of_the_end(door: Caller) -> None:
    watch = door.channel.unary_stream(
        f"/{HEALTH}/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    watching = watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
    answers = aiter(watching)
    first = await anext(answers)

    await door.door.close()

    told = [first.status, *[one.status async for one in answers]]
    assert told == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]


async def test_reflection_tells_every_service_from_our_own_descriptors(door: Caller) -> None:
    for name in REFLECTION:
        ask = door.channel.stream_stream(
            f"/{name}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        listing, symbol = [
            one
            async for one in ask(
                iter(
                    [
                        reflection_pb2.ServerReflectionRequest(list_services=""),
                        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
                    ]
                ),
                timeout=SECONDS,
            )
        ]

        assert {one.name for one in listing.list_services_response.service} == {SERVICE, HEALTH, *REFLECTION}
        file = FileDescriptorProto.FromString(symbol.file_descriptor_response.file_descriptor_proto[0])
        assert [one.name for one in file.service] == ["GRPCInferenceService"]
