"""What is kept for clients is bounded: answers that they do not take, and messages that are not whole."""

import asyncio
import gc
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from models.store import ModelStore
from server.rpc import door as doors
from server.rpc import exchanges
from server.rpc.exchange import Exchange
from server.rpc.http2 import connection, frames
from server.rpc.http2.holding import Holding
from server.rpc.messages import HEALTH, REFLECTION, message
from server.rpc.wire import prefixed
from tests.graphs import bundle, dense, looping
from tests.integration.rest.test_access import READER, digest
from tests.integration.rpc.calling import SECONDS, Caller, infer_request
from tests.integration.rpc.conftest import OpenDoor
from tests.integration.rpc.test_connections import Line, call, connected

ANSWER_BYTES = 1 << 18
MOST_BYTES = 1 << 20
ASKED = 40
UNREAD = 400  # answers, 100 MiB: sockets hold a few
SETTLED_SECONDS = 0.3
ALL_OF_IT = frames.window(0, frames.LARGEST_WINDOW - frames.DEFAULT_WINDOW)
NOTHING = {frames.INITIAL_WINDOW: 0}
EVERYTHING = {frames.INITIAL_WINDOW: frames.LARGEST_WINDOW}
REQUEST = prefixed(infer_request("large", {"x": np.ones((1, 1), np.float32)}).SerializeToString())
LARGEST = 1 << 20  # bytes of a message


def asking(numbers: range) -> bytes:
    """Calls of ModelInfer, one a stream."""
    return b"".join(
        frames.frame(frames.HEADERS, frames.END_HEADERS, number, call("ModelInfer"))
        + frames.frame(frames.DATA, frames.END_STREAM, number, REQUEST)
        for number in numbers
    )


async def ends_of(line: Line, count: int) -> Counter[bytes]:
    """Return how many of so many streams end with each status."""
    ends: Counter[bytes] = Counter()
    while ends.total() < count:
        _, flags, _, payload = await line.until(frames.HEADERS)
        if flags & frames.END_STREAM:
            trailers = dict(line.decoder.headers(payload))
            ends[trailers[b"grpc-status"]] += 1
            if trailers[b"grpc-status"] == b"8":
                assert b"have not taken yet" in trailers[b"grpc-message"]
    return ends


async def taken(line: Line, numbers: range) -> Counter[bytes]:
    """Let the server send what it holds of these streams, and return how they end."""
    line.send(*(frames.window(number, 1 << 20) for number in numbers))
    return await ends_of(line, len(numbers))


@dataclass
class Narrow:
    """A door, and what it holds of answers for all clients."""

    door: Caller
    answers: Holding


@pytest.fixture
async def narrow(store: ModelStore, open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> "Narrow":
    """A door that holds a megabyte of answers for one client, and two for all."""
    made: list[Holding] = []

    def holding(most: int, all_: Holding | None = None) -> Holding:
        made.append(Holding(most, all_))
        return made[-1]

    monkeypatch.setattr(doors, "Holding", holding)
    monkeypatch.setattr(doors, "CONNECTION_ANSWERS_BYTES", MOST_BYTES)
    monkeypatch.setattr(doors, "ANSWERS_BYTES", 2 * MOST_BYTES)
    await store.publish(bundle(dense(np.ones((1, ANSWER_BYTES // 4), np.float32)), "large"))
    door = await open_door()
    (answers,) = (one for one in made if one.most == 2 * MOST_BYTES)
    return Narrow(door, answers)


async def test_answers_that_a_client_does_not_take_are_held_up_to_a_bound(narrow: Narrow) -> None:
    held = -(-MOST_BYTES // ANSWER_BYTES)
    async with connected(narrow.door, ALL_OF_IT, asking(range(1, 2 * ASKED, 2)), settings=NOTHING) as line:
        assert await ends_of(line, ASKED - held) == {b"8": ASKED - held}

        ends = await taken(line, range(1, 2 * held, 2))
        line.send(asking(range(2 * ASKED + 1, 2 * ASKED + 3, 2)))
        await line.until(frames.HEADERS)
        ends += await taken(line, range(2 * ASKED + 1, 2 * ASKED + 3, 2))

    assert ends == {b"0": held + 1}


async def test_what_a_client_leaves_in_its_socket_counts_too(narrow: Narrow) -> None:
    async with connected(narrow.door, ALL_OF_IT, settings=EVERYTHING) as line:
        # Else it grows while it is filled, and may have taken in the end what was held.
        line.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        for number in range(1, 2 * UNREAD, 2):
            line.send(asking(range(number, number + 1)))
            await asyncio.sleep(0)
        await asyncio.sleep(SETTLED_SECONDS)

        assert 0 < narrow.answers.taken <= MOST_BYTES + ANSWER_BYTES
        assert (await ends_of(line, UNREAD))[b"0"] > 0


async def test_all_clients_together_have_a_bound_too_and_leave_room_when_they_leave(narrow: Narrow) -> None:
    held = MOST_BYTES // ANSWER_BYTES
    numbers = range(1, 2 * held, 2)
    async with (
        connected(narrow.door, ALL_OF_IT, settings=NOTHING) as first,
        connected(narrow.door, ALL_OF_IT, settings=NOTHING) as second,
        connected(narrow.door, ALL_OF_IT, settings=NOTHING) as third,
    ):
        for line in (first, second):
            line.send(asking(numbers))
            for _ in numbers:
                await line.until(frames.HEADERS)
        third.send(asking(range(1, 2, 2)))
        assert await ends_of(third, 1) == {b"8": 1}

        first.writer.transport.abort()
        while narrow.answers.full:  # noqa: ASYNC110  # the server tells nobody that it has noticed
            await asyncio.sleep(0.01)
        third.send(asking(range(3, 4, 2)))
        await third.until(frames.HEADERS)

        assert await taken(third, range(3, 4, 2)) == {b"0": 1}


async def test_answers_of_streams_count_too(narrow: Narrow) -> None:
    streams = range(1, 40, 2)
    opened = [
        frames.frame(frames.HEADERS, frames.END_HEADERS, number, call("ModelStreamInfer"))
        + frames.frame(frames.DATA, frames.END_STREAM, number, REQUEST * 4)
        for number in streams
    ]
    async with connected(narrow.door, ALL_OF_IT, *opened, settings=NOTHING) as line:
        await asyncio.sleep(SETTLED_SECONDS)
        assert narrow.answers.taken <= MOST_BYTES + 8 * ANSWER_BYTES

        line.send(*(frames.window(number, 8 << 20) for number in streams))
        data, ended = dict.fromkeys(streams, b""), 0
        while ended < len(streams):
            kind, flags, number, payload = await line.until(frames.DATA, frames.HEADERS)
            ended += bool(flags & frames.END_STREAM)
            data[number] += payload if kind == frames.DATA else b""

    told: Counter[bool] = Counter()
    for one in data.values():
        at = 0
        while at < len(one):
            end = at + 5 + int.from_bytes(one[at + 1 : at + 5], "big")
            said = message("ModelStreamInferResponse").FromString(one[at + 5 : end])
            told["have not taken yet" in said.error_message] += 1
            at = end
    assert told.total() == 4 * len(streams)
    assert told[False] >= MOST_BYTES // ANSWER_BYTES
    assert told[True] > told[False]


def part_of(number: int, name: str, size: int) -> bytes:
    """The beginning of a message as large as they may be."""
    data = prefixed(bytes(LARGEST))[:size]
    return frames.frame(frames.HEADERS, frames.END_HEADERS, number, call(name)) + frames.frame(
        frames.DATA, 0, number, data
    )


async def test_messages_that_are_not_whole_have_a_bound(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one connection two as large as they may be, of all together four."""
    monkeypatch.setattr(doors, "MESSAGES_BYTES", 0)
    door = await open_door(max_grpc_message_bytes=LARGEST)
    most = range(1, 7, 2)
    async with (
        connected(door, *(part_of(number, "ModelInfer", 700_000) for number in most)) as first,
        connected(door, *(part_of(number, "ModelStreamInfer", 700_000) for number in most)) as second,
    ):
        for line in (first, second):
            line.send(part_of(7, "ModelInfer", 700_000))
            _, trailers = await line.answer(7)
            assert trailers[b"grpc-status"] == b"8"
            assert b"until they are whole" in trailers[b"grpc-message"]
        async with connected(door, part_of(1, "ModelInfer", 100)) as third:
            _, trailers = await third.answer()
            assert trailers[b"grpc-status"] == b"8"
        assert (await door.call("ServerLive")).live  # what is short and whole needs no room

        first.send(frames.reset(1, frames.CANCEL), frames.frame(frames.PING, 0, 0, b"12345678"))
        await first.until(frames.PING)
        async with connected(door, part_of(1, "ModelInfer", 100)) as third:
            third.send(frames.frame(frames.DATA, frames.END_STREAM, 1, b""))
            _, trailers = await third.answer()
            assert trailers[b"grpc-status"] == b"3"


async def test_a_small_limit_of_a_message_leaves_room_for_many_of_them(open_door: OpenDoor) -> None:
    """A hundred megabyte-long messages that come side by side over one connection."""
    door = await open_door(max_grpc_message_bytes=LARGEST)
    numbers = range(1, 201, 2)
    async with connected(door, *(part_of(number, "ModelInfer", 700_000) for number in numbers)) as line:
        line.send(*(frames.frame(frames.DATA, frames.END_STREAM, number, b"") for number in numbers))
        assert await ends_of(line, len(numbers)) == {b"3": len(numbers)}  # each is cut off, none is refused


async def test_who_has_no_token_takes_no_room_of_those_who_have(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "OPEN_MESSAGES_BYTES", 20_000)
    door = await open_door(tokens=f"predict:{digest(READER)}")
    part = prefixed(bytes(60_000))[:20_000]
    block = call("Check", HEALTH)
    opened = [
        frames.frame(frames.HEADERS, frames.END_HEADERS, number, block)
        + frames.frame(frames.DATA, 0, number, part)
        for number in (1, 3)
    ]
    async with connected(door, *opened) as line:
        _, trailers = await line.answer(3)
        metadata = (("authorization", f"Bearer {READER}"),)
        index = await door.call("RepositoryIndex", metadata=metadata)

    assert trailers[b"grpc-status"] == b"8"
    assert list(index.models) == []


@pytest.mark.parametrize(("rest", "status"), [(b"", b"0"), (b"\0\0\0", b"3")])
async def test_messages_of_no_length_stay_bytes_until_they_are_taken(
    door: Caller, monkeypatch: pytest.MonkeyPatch, rest: bytes, status: bytes
) -> None:
    longest = 0

    class Watched(asyncio.Queue[Any]):
        def put_nowait(self, item: Any) -> None:
            nonlocal longest
            super().put_nowait(item)
            longest = max(longest, self.qsize())

    monkeypatch.setattr(asyncio, "Queue", Watched)
    count = 3000
    asked = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, call("ServerReflectionInfo", REFLECTION[0]))
    empty = prefixed(b"") * (count // 2)

    first, last = (
        frames.frame(frames.DATA, 0, 1, empty),
        frames.frame(frames.DATA, frames.END_STREAM, 1, empty + rest),
    )
    async with connected(door, asked, first, last, ALL_OF_IT, frames.window(1, 1 << 24)) as line:
        data, trailers = await line.answer()

    assert trailers[b"grpc-status"] == status
    assert len(data) % count == 0
    assert exchanges.UNREAD <= longest <= exchanges.UNREAD + 1


async def test_a_message_of_a_stream_that_stops_coming_ends_it(
    door: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PREFACE_SECONDS", 0.1)
    monkeypatch.setattr(connection, "LOOK_SECONDS", 0.2)
    async with connected(door) as quiet, connected(door, part_of(1, "ModelStreamInfer", 100)) as line:
        quiet.send(frames.frame(frames.HEADERS, frames.END_HEADERS, 1, call("ModelStreamInfer")))
        _, trailers = await line.answer()
        quiet.send(frames.frame(frames.DATA, frames.END_STREAM, 1, b""))
        _, other = await quiet.answer()

    assert trailers[b"grpc-status"] == b"4"
    assert b"no more of the message came" in trailers[b"grpc-message"]
    assert other[b"grpc-status"] == b"0"


@contextmanager
def uncollected() -> Iterator[None]:
    """Let no collection run."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("name", ["ModelInfer", "ModelStreamInfer"])
async def test_a_call_that_is_cancelled_is_forgotten_without_a_collection(
    store: ModelStore, door: Caller, name: str
) -> None:
    await store.publish(bundle(looping(), "loop"))
    slow = {"x": np.ones((1, 1), np.float32), "turns": np.array([1 << 60])}
    request = prefixed(infer_request("loop", slow).SerializeToString())
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, call(name))

    def kept() -> bool:
        return any(isinstance(one, Exchange) for one in gc.get_objects())

    with uncollected():
        async with connected(door, opened, frames.frame(frames.DATA, frames.END_STREAM, 1, request)) as line:
            async with asyncio.timeout(SECONDS):
                while not door.engine.predictor.under_way:  # noqa: ASYNC110  # nobody tells a test
                    await asyncio.sleep(0.01)
                line.send(frames.reset(1, frames.CANCEL))
                while kept():  # noqa: ASYNC110  # nobody tells a test
                    await asyncio.sleep(0.01)
