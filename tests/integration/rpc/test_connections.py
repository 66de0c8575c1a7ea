"""HTTP/2 as a client in bytes speaks it: what the standard asks for, and what no client should send."""

import asyncio
import struct
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.store import ModelStore
from server.rpc import door as doors
from server.rpc.http2 import connection, frames
from server.rpc.http2.connection import BLOCK_BYTES, FRAME_BYTES, HEADERS_BYTES, IDLE_FRAMES
from server.rpc.http2.headers import Decoder, encoded
from server.rpc.http2.sending import WINDOW_BYTES
from server.rpc.messages import HEALTH, REFLECTION, SERVICE, message
from server.rpc.wire import prefixed
from tests.graphs import bundle, dense, passed
from tests.integration.rpc.calling import Caller, infer_request, outputs_of, refused
from tests.integration.rpc.conftest import OpenDoor
from tests.integration.rpc.tensors import ONNX

SECONDS = 20.0
FUZZED = 150
INFLATED_BYTES = 200 << 20
STREAMS, FLOODED = 4000, 50_000
UNTAKEN = 500  # answers of 256 KiB, of which sockets and a stream hold some forty and sixty-four
STILL_SECONDS = 0.3
FLOOD_SECONDS = 1.5  # a walk over every stream for each takes about three, and far more
BOMB = b"\x01" + prefixed(zlib.compress(bytes(1 << 20)))[1:]
Frame = tuple[int, int, int, bytes]


def call(name: str, service: str = SERVICE) -> bytes:
    return encoded(
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", f"/{service}/{name}".encode()),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        ]
    )


LIVE = call("ServerLive")
READY = prefixed(b"\x08\x01")  # live: true
OPENED = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, LIVE)
ASKED = OPENED + frames.frame(frames.DATA, frames.END_STREAM, 1, prefixed(b""))


@dataclass
class Line:
    """A connection in bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    decoder: Decoder

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def next(self) -> Frame:
        async with asyncio.timeout(SECONDS):
            length, flags, stream = frames.HEAD.unpack(await self.reader.readexactly(frames.HEAD_BYTES))
            return length & 255, flags, stream, await self.reader.readexactly(length >> 8)

    async def until(self, *kinds: int) -> Frame:
        while (found := await self.next())[0] not in kinds:
            pass
        return found

    async def answer(self, stream: int = 1) -> tuple[bytes, dict[bytes, bytes]]:
        """Return the data and the trailers of a stream."""
        data, trailers = b"", dict[bytes, bytes]()
        while True:
            kind, flags, number, payload = await self.until(frames.DATA, frames.HEADERS)
            assert number == stream
            if kind == frames.DATA:
                data += payload
            else:
                trailers |= dict(self.decoder.headers(payload))
            if flags & frames.END_STREAM:
                return data, trailers

    async def ends(self) -> tuple[int, bytes]:
        """Return why the server ends the connection."""
        _, _, _, payload = await self.until(frames.GOAWAY)
        async with asyncio.timeout(SECONDS):
            await self.reader.read()
        return struct.unpack(">I", payload[4:8])[0], payload[8:]


@asynccontextmanager
async def connected(
    door: Caller, *first: bytes, settings: dict[int, int] | None = None
) -> AsyncIterator[Line]:
    host, _, port = door.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    line = Line(reader, writer, Decoder(1 << 16))
    line.send(frames.PREFACE, frames.settings(settings or {}), *first)
    try:
        yield line
    finally:
        writer.close()


async def test_a_call_is_answered_with_its_data_and_status(door: Caller) -> None:
    async with connected(door, ASKED) as line:
        data, trailers = await line.answer()

    assert data == READY
    assert trailers[b"grpc-status"] == b"0"
    assert (trailers[b":status"], trailers[b"content-type"]) == (b"200", b"application/grpc")


async def test_a_ping_is_answered(door: Caller) -> None:
    async with connected(door, frames.frame(frames.PING, 0, 0, b"12345678")) as line:
        assert (await line.until(frames.PING))[1:] == (frames.ACK, 0, b"12345678")


async def test_headers_may_come_in_pieces_and_data_with_padding(door: Caller) -> None:
    pieces = [
        frames.frame(
            frames.HEADERS, frames.PADDED | frames.PRIORITISED, 1, b"\x03" + b"\0" * 5 + LIVE[:9] + b"\0" * 3
        ),
        frames.frame(frames.CONTINUATION, 0, 1, LIVE[9:20]),
        frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1, LIVE[20:]),
        frames.frame(frames.DATA, frames.PADDED, 1, b"\x04" + prefixed(b"")[:2] + b"\0" * 4),
        frames.frame(frames.DATA, frames.END_STREAM, 1, prefixed(b"")[2:]),
    ]
    async with connected(door) as line:
        for byte in b"".join(pieces):
            line.send(bytes((byte,)))
            await line.writer.drain()

        assert (await line.answer())[0] == READY


async def test_an_answer_waits_for_the_windows_of_the_client(door: Caller) -> None:
    async with connected(door, ASKED, settings={frames.INITIAL_WINDOW: 3}) as line:
        assert (await line.until(frames.DATA))[3] == READY[:3]
        line.send(frames.window(1, 2))
        assert (await line.until(frames.DATA))[3] == READY[3:5]
        line.send(frames.settings({frames.INITIAL_WINDOW: 100}))
        data, trailers = await line.answer()

    assert data == READY[5:]
    assert trailers[b"grpc-status"] == b"0"


async def test_a_stream_that_is_reset_is_given_up(store: ModelStore, door: Caller) -> None:
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, call("ModelStreamInfer"))
    async with connected(door, opened, frames.reset(1, frames.CANCEL)) as line:
        line.send(frames.frame(frames.PING, 0, 0, b"12345678"))
        await line.until(frames.PING)
        line.send(ASKED.replace(b"\x00\x00\x00\x01", b"\x00\x00\x00\x03"))
        assert (await line.answer(3))[0] == READY


MISTAKES: dict[str, tuple[bytes, int]] = {
    "a frame too large": (frames.HEAD.pack((1 << 21) << 8, 0, 1), frames.FRAME_SIZE_ERROR),
    "data of no stream": (frames.frame(frames.DATA, 0, 7, b"a"), frames.PROTOCOL_ERROR),
    "an even stream": (frames.frame(frames.HEADERS, frames.END_HEADERS, 2, LIVE), frames.PROTOCOL_ERROR),
    "headers that refer to nothing": (
        frames.frame(frames.HEADERS, frames.END_HEADERS, 1, b"\xff\x00"),
        frames.COMPRESSION_ERROR,
    ),
    "a block that is cut off": (
        frames.frame(frames.HEADERS, 0, 1, LIVE) + frames.frame(frames.PING, 0, 0, b"12345678"),
        frames.PROTOCOL_ERROR,
    ),
    "a continuation of nothing": (frames.frame(frames.CONTINUATION, 0, 1, LIVE), frames.PROTOCOL_ERROR),
    "headers without end": (
        frames.frame(frames.HEADERS, 0, 1, b"")
        + frames.frame(frames.CONTINUATION, 0, 1, b"\0" * (BLOCK_BYTES // 2 + 1)) * 2,
        frames.ENHANCE_YOUR_CALM,
    ),
    "headers of a frame too large": (
        frames.frame(frames.HEADERS, frames.END_HEADERS, 1, b"\x20" * BLOCK_BYTES + b"\x3f\xe1\x1f" + LIVE),
        frames.ENHANCE_YOUR_CALM,
    ),
    "headers of no stream": (
        frames.frame(frames.HEADERS, frames.END_HEADERS, 0, LIVE),
        frames.PROTOCOL_ERROR,
    ),
    "headers too short for their priority": (
        frames.frame(frames.HEADERS, frames.END_HEADERS | frames.PRIORITISED, 1, b"\0" * 4),
        frames.FRAME_SIZE_ERROR,
    ),
    "a priority of no stream": (frames.frame(frames.PRIORITY, 0, 0, b"\0" * 5), frames.PROTOCOL_ERROR),
    "a priority that is cut off": (frames.frame(frames.PRIORITY, 0, 3, b"\0" * 4), frames.FRAME_SIZE_ERROR),
    "a ping of a stream": (frames.frame(frames.PING, 0, 1, b"12345678"), frames.PROTOCOL_ERROR),
    "a ping that is cut off": (frames.frame(frames.PING, 0, 0, b"1234567"), frames.FRAME_SIZE_ERROR),
    "a reset of no stream": (frames.reset(1, frames.CANCEL), frames.PROTOCOL_ERROR),
    "a reset that is cut off": (
        OPENED + frames.frame(frames.RST_STREAM, 0, 1, b"\0"),
        frames.FRAME_SIZE_ERROR,
    ),
    "settings of a stream": (frames.frame(frames.SETTINGS, 0, 1), frames.PROTOCOL_ERROR),
    "settings that are cut off": (frames.frame(frames.SETTINGS, 0, 0, b"\0" * 5), frames.FRAME_SIZE_ERROR),
    "settings that are taken and said": (
        frames.frame(frames.SETTINGS, frames.ACK, 0, b"\0" * 6),
        frames.FRAME_SIZE_ERROR,
    ),
    "a farewell of a stream": (frames.frame(frames.GOAWAY, 0, 1, b"\0" * 8), frames.PROTOCOL_ERROR),
    "a window of nothing": (frames.window(0, 0), frames.PROTOCOL_ERROR),
    "a window too large": (frames.window(0, frames.LARGEST_WINDOW), frames.FLOW_CONTROL_ERROR),
    "a promise": (frames.frame(frames.PUSH_PROMISE, 0, 1, b""), frames.PROTOCOL_ERROR),
    "too much padding": (
        OPENED + frames.frame(frames.DATA, frames.PADDED, 1, b"\x09a"),
        frames.PROTOCOL_ERROR,
    ),
    "pings without end": (
        frames.frame(frames.PING, 0, 0, b"12345678") * (IDLE_FRAMES + 1),
        frames.ENHANCE_YOUR_CALM,
    ),
    "empty data without end": (
        OPENED + frames.frame(frames.DATA, 0, 1) * (IDLE_FRAMES + 1),
        frames.ENHANCE_YOUR_CALM,
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_connection_ends_at_what_is_no_http2(door: Caller, mistake: str) -> None:
    data, code = MISTAKES[mistake]
    async with connected(door, data) as line:
        assert (await line.ends())[0] == code
    assert (await door.call("ServerLive")).live


@pytest.mark.parametrize("size", [HEADERS_BYTES, BLOCK_BYTES // 2])
async def test_too_large_headers_end_one_call_and_no_other(
    store: ModelStore, door: Caller, size: int
) -> None:
    await store.publish(bundle(passed(ONNX["FP32"], ["rows", 2]), "two"))
    request = infer_request("two", {"x": np.ones((1, 2), np.float32)}).SerializeToString()
    go = asyncio.Event()

    async def requests() -> AsyncIterator[bytes]:
        yield request
        await go.wait()
        yield request

    answers = aiter(door.stream(requests()))
    await anext(answers)
    for number in range(2):  # the second refers to what the first added to the table, as the call after it
        error = await refused(door.call("ServerLive", metadata=[("baggage", str(number) + "x" * size)]))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"the limit is {HEADERS_BYTES}; the largest is 'baggage' with {size + 1}" in str(
            error.details()
        )
    assert (await door.call("ServerLive")).live
    go.set()

    assert len([one async for one in answers]) == 1


async def test_rapid_resets_end_a_connection(door: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in CVE-2023-44487: streams that are opened and reset at once, so that no limit of streams is met."""
    few = IDLE_FRAMES // 50  # that come within a second, however slow the machine is
    monkeypatch.setattr(connection, "IDLE_FRAMES", few)
    many = b"".join(
        frames.frame(frames.HEADERS, frames.END_HEADERS, number, call("ModelStreamInfer"))
        + frames.reset(number, 8)
        for number in range(1, 2 * few + 4, 2)
    )
    async with connected(door, many) as line:
        assert (await line.ends())[0] == frames.ENHANCE_YOUR_CALM
    assert (await door.call("ServerLive")).live


async def test_what_is_no_http2_at_all_is_told_so(door: Caller) -> None:
    host, _, port = door.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert (await asyncio.wait_for(reader.read(), SECONDS)).endswith(b"not HTTP/2")
    writer.close()


async def test_any_frames_leave_the_door_as_it_was(door: Caller) -> None:
    """A fuzz: frames of every kind with any contents."""
    cases: list[list[Any]] = []
    one = st.tuples(
        st.integers(0, 10), st.integers(0, 255), st.integers(0, 5), st.binary(max_size=40) | st.just(LIVE)
    )

    @settings(max_examples=FUZZED, deadline=None, database=None, suppress_health_check=[*HealthCheck])
    @given(st.lists(one, min_size=1, max_size=8))
    def collect(case: list[Any]) -> None:
        cases.append(case)

    collect()
    faults: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
    for case in cases:
        async with connected(door, *(frames.frame(*frame) for frame in case)) as line:
            line.writer.write_eof()
            await asyncio.wait_for(line.reader.read(), SECONDS)

    assert faults == []
    assert (await door.call("ServerLive")).live


async def test_tensors_larger_than_every_window_come_back_whole(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(passed(ONNX["FP32"], ["rows", 1024]), "wide"))
    tensor = np.arange(3000 * 1024, dtype=np.float32).reshape(3000, 1024)
    assert tensor.nbytes > 2 * WINDOW_BYTES
    request = infer_request("wide", {"x": tensor}).SerializeToString()

    async def twice() -> AsyncIterator[bytes]:
        yield request
        yield request

    np.testing.assert_array_equal((await door.infer("wide", {"x": tensor}))["y"], tensor)
    streamed = [message("ModelStreamInferResponse").FromString(one) async for one in door.stream(twice())]
    assert [one.error_message for one in streamed] == ["", ""]
    np.testing.assert_array_equal(outputs_of(streamed[1].infer_response)["y"], tensor)


async def test_answers_that_nobody_takes_are_not_made(store: ModelStore, door: Caller) -> None:
    await store.publish(bundle(dense(np.ones((1, 1 << 16), np.float32)), "large"))
    request = prefixed(infer_request("large", {"x": np.ones((1, 1), np.float32)}).SerializeToString())
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, call("ModelStreamInfer"))
    all_of_it = frames.window(0, frames.LARGEST_WINDOW - frames.DEFAULT_WINDOW)
    settings = {frames.INITIAL_WINDOW: frames.LARGEST_WINDOW}

    async def made() -> int:
        asking = message("ModelStatisticsRequest")(name="large")
        statistics = await door.call("ModelStatistics", asking)
        return int(statistics.model_stats[0].inference_count)

    async with connected(door, all_of_it, opened, settings=settings) as line:
        line.send(frames.frame(frames.DATA, frames.END_STREAM, 1, request * UNTAKEN))
        before = -1
        while (now := await made()) != before or not now:
            before = now
            await asyncio.sleep(STILL_SECONDS)
        taken, flags = 0, 0
        while not flags & frames.END_STREAM:
            kind, flags, _, payload = await line.until(frames.DATA, frames.HEADERS)
            taken += len(payload) if kind == frames.DATA else 0

    assert now < UNTAKEN // 2
    assert taken > UNTAKEN << 18
    assert await made() == UNTAKEN


async def test_frames_of_very_many_messages_hold_up_nobody(door: Caller) -> None:
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, call("ModelStreamInfer"))
    many = frames.frame(frames.DATA, 0, 1, prefixed(b"") * (FRAME_BYTES // len(prefixed(b""))))

    async with connected(door, opened, *[many] * 3) as line:
        assert (await line.until(frames.HEADERS))[2] == 1
        before = time.monotonic()
        assert (await door.call("ServerLive")).live

    assert time.monotonic() - before < SECONDS / 2  # to copy what is left after each takes longer


async def test_a_message_is_inflated_beside_the_event_loop(door: Caller) -> None:
    large = b"\x01" + prefixed(zlib.compress(bytes(INFLATED_BYTES)))[1:]
    gaps: list[float] = []

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.001)
            gaps.append(time.monotonic() - before)

    ticking = asyncio.create_task(tick())
    before = time.monotonic()
    trailers = await asked(door, "ModelInfer", large, grpc_encoding="deflate")
    took = time.monotonic() - before
    ticking.cancel()

    assert trailers[b"grpc-status"] == b"3"  # it is no message
    assert max(gaps) < took / 2


async def asked(door: Caller, name: str, *data: bytes, **more: str) -> dict[bytes, bytes]:
    """Return the trailers that a call ends with."""
    headers = call(name) + encoded(
        [(key.replace("_", "-").encode(), one.encode()) for key, one in more.items()]
    )
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, headers)
    async with connected(
        door, opened, frames.frame(frames.DATA, frames.END_STREAM, 1, b"".join(data))
    ) as line:
        return (await line.answer())[1]


@pytest.mark.parametrize(
    ("asking", "code", "told"),
    [
        (("Nothing", prefixed(b""), "identity"), b"12", b"there is no call"),
        (("ServerLive", b"\0\0\0", "identity"), b"3", b"cut off"),
        (("ServerLive", prefixed(b"")[:-1] + b"\x09", "identity"), b"3", b"cut off"),
        (("ServerLive", prefixed(b"") * 2, "identity"), b"12", b"one message"),
        (("ServerLive", b"\x01" + prefixed(b"abc")[1:], "gzip"), b"3", b"not compressed as it says"),
        (("ServerLive", b"\x01" + prefixed(b"abc")[1:], "snappy"), b"12", b"in a way"),
        (("ServerLive", BOMB, "deflate"), b"8", b"the limit is"),
        (("ServerLive", b"\0\xff\xff\xff\xff", "identity"), b"8", b"the limit is"),
    ],
)
async def test_a_message_that_is_none_ends_its_call_alone(
    open_door: OpenDoor, asking: tuple[str, bytes, str], code: bytes, told: bytes
) -> None:
    door = await open_door(max_grpc_message_bytes=1 << 16)
    name, data, encoding = asking

    trailers = await asked(door, name, data, grpc_encoding=encoding)

    assert trailers[b"grpc-status"] == code
    assert told in trailers[b"grpc-message"]


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (prefixed(b"abc")[:-1], b"3", b"cut off"),
        (b"\x01" + prefixed(b"abc")[1:], b"3", b"not compressed as it says"),
        (BOMB, b"8", b"the limit is"),
        (b"\0\xff\xff\xff\xff", b"8", b"the limit is"),
    ],
)
async def test_a_message_that_is_none_ends_its_stream_after_the_answers_before_it(
    open_door: OpenDoor, data: bytes, code: bytes, told: bytes
) -> None:
    door = await open_door(max_grpc_message_bytes=1 << 16)
    block = call("ModelStreamInfer") + encoded([(b"grpc-encoding", b"deflate")])
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, block)
    async with connected(door, opened, frames.frame(frames.DATA, 0, 1, prefixed(b""))) as line:
        _, _, _, answered = await line.until(frames.DATA)
        line.send(frames.frame(frames.DATA, frames.END_STREAM, 1, data))
        rest, trailers = await line.answer()

    assert b"is not a valid name" in answered
    assert rest == b""
    assert trailers[b"grpc-status"] == code
    assert told in trailers[b"grpc-message"]


async def test_a_stream_that_is_refused_leaves_nothing_behind(open_door: OpenDoor) -> None:
    door = await open_door(max_grpc_message_bytes=1 << 16)
    before = len(asyncio.all_tasks())
    for _ in range(3):
        assert (await asked(door, "ModelStreamInfer", b"\0\xff\xff\xff\xff"))[b"grpc-status"] == b"8"

    async with asyncio.timeout(SECONDS):
        while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110  # nobody tells that a task has ended
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("service", "name"), [(HEALTH, "Check"), (HEALTH, "Watch"), (REFLECTION[0], "ServerReflectionInfo")]
)
async def test_bytes_that_are_no_message_of_health_or_reflection_are_an_invalid_argument(
    door: Caller, service: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, call(name, service))
    async with connected(
        door, opened, frames.frame(frames.DATA, frames.END_STREAM, 1, prefixed(b"abc"))
    ) as line:
        _, trailers = await line.answer()

    assert trailers[b"grpc-status"] == b"3"
    assert b"are no message" in trailers[b"grpc-message"]
    assert caplog.records == []


async def test_a_time_that_is_none_is_refused(door: Caller) -> None:
    assert (await asked(door, "ServerLive", prefixed(b""), grpc_timeout="soon"))[b"grpc-status"] == b"3"


async def test_what_is_not_grpc_is_told_by_http(door: Caller) -> None:
    headers = encoded([(b":method", b"GET"), (b":path", b"/"), (b":scheme", b"http")])
    data = frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, headers)
    async with connected(door, data) as line:
        assert (await line.answer())[1] == {b":status": b"415"}


def begun(count: int, block: bytes) -> bytes:
    """Calls whose headers have come, and nothing else."""
    return b"".join(
        frames.frame(frames.HEADERS, frames.END_HEADERS, number, block) for number in range(1, 2 * count, 2)
    )


@pytest.mark.parametrize("block", [call("ModelInfer"), call("Watch", HEALTH)])
async def test_calls_that_never_come_or_take_no_token_are_in_nobodys_way(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch, block: bytes
) -> None:
    monkeypatch.setattr(doors, "CALLS", 2)
    door = await open_door()
    watching = b"".join(frames.frame(frames.DATA, 1, number, prefixed(b"")) for number in range(1, 8, 2))
    async with connected(door, begun(4, block), watching if block == call("Watch", HEALTH) else b"") as line:
        line.send(frames.frame(frames.PING, 0, 0, b"12345678"))
        await line.until(frames.PING)

        assert (await door.call("ServerLive")).live


async def test_one_call_too_many_is_refused(open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "CALLS", 1)
    door = await open_door()
    async with connected(door, begun(1, call("ModelStreamInfer"))) as line:
        line.send(frames.frame(frames.PING, 0, 0, b"12345678"))
        await line.until(frames.PING)
        assert (await asked(door, "ServerLive", prefixed(b"")))[b"grpc-status"] == b"8"

        line.send(frames.reset(1, frames.CANCEL), frames.frame(frames.PING, 0, 0, b"12345678"))
        await line.until(frames.PING)

        assert (await door.call("ServerLive")).live


@pytest.mark.parametrize(
    ("more", "told"), [(b"", b"no more of the message came for"), (b"grpc-timeout", b"the call's deadline")]
)
async def test_a_call_whose_message_stops_coming_ends(
    door: Caller, monkeypatch: pytest.MonkeyPatch, more: bytes, told: bytes
) -> None:
    monkeypatch.setattr(connection, "PREFACE_SECONDS", 0.1)
    monkeypatch.setattr(connection, "LOOK_SECONDS", 0.1)
    block = LIVE + (encoded([(more, b"1m")]) if more else b"")
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, block)
    async with connected(door, opened, frames.frame(frames.DATA, 0, 1, prefixed(b"abc")[:4])) as line:
        _, trailers = await line.answer()

    assert trailers[b"grpc-status"] == b"4"
    assert told in trailers[b"grpc-message"]


@pytest.mark.parametrize(
    "flood",
    [
        frames.frame(frames.SETTINGS, 0, 0, frames.SETTING.pack(frames.INITIAL_WINDOW, 100) * FLOODED),
        frames.window(0, 1) * FLOODED,
    ],
    ids=["settings", "windows"],
)
async def test_what_is_said_of_every_stream_costs_once_however_often_it_is_said(
    door: Caller, flood: bytes
) -> None:
    async with connected(door, begun(STREAMS, call("ModelStreamInfer"))) as line:
        line.send(frames.frame(frames.PING, 0, 0, b"12345678"))
        await line.until(frames.PING)
        before = time.process_time()

        line.send(flood, frames.frame(frames.PING, 0, 0, b"12345678"))
        await line.until(frames.PING)

    assert time.process_time() - before < FLOOD_SECONDS
