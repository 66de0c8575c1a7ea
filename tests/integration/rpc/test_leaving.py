"""How a door ends for those who are connected: what they began is answered, and they know of what was not begun."""

import asyncio
import struct
from collections.abc import AsyncIterator

import grpc
import pytest

from models.store import ModelStore
from server.access import Access
from server.rpc.calls import Calls
from server.rpc.exchange import Context
from server.rpc.http2 import frames
from server.rpc.http2.holding import Holding
from server.rpc.streaming import Streams
from server.rpc.wire import Refused, prefixed
from tests.integration.rpc.calling import Caller
from tests.integration.rpc.test_connections import LIVE, READY, Line, call, connected

SECONDS = 5.0


def asked(number: int) -> bytes:
    """Return a whole call."""
    return frames.frame(frames.HEADERS, frames.END_HEADERS, number, LIVE) + frames.frame(
        frames.DATA, frames.END_STREAM, number, prefixed(b"")
    )


async def farewell(line: Line) -> int:
    """Return the last stream that is answered, as the server tells it."""
    payload = (await line.until(frames.GOAWAY))[3]
    last, code = struct.unpack_from(">II", payload)
    assert code == frames.NO_ERROR
    return int(last)


async def test_calls_are_answered_until_the_client_has_heard_of_the_end(door: Caller) -> None:
    async with connected(door, asked(1)) as line:
        await line.answer(1)
        door.door.end()
        assert await farewell(line) == frames.LARGEST_STREAM
        asks = (await line.until(frames.PING))[3]

        line.send(asked(3))
        assert (await line.answer(3))[0] == READY
        line.send(frames.frame(frames.PING, frames.ACK, 0, asks), asked(5))
        assert await farewell(line) == 3
        refused = await line.until(frames.RST_STREAM)

    assert refused[2:] == (5, struct.pack(">I", frames.REFUSED_STREAM))
    async with asyncio.timeout(SECONDS):
        await door.door.close()


async def test_a_connection_is_not_closed_on_what_its_client_still_says(door: Caller) -> None:
    """It would be reset, and the client might never read how its call ended."""
    opened = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, call("ModelStreamInfer"))
    async with connected(door, opened, frames.frame(frames.DATA, 0, 1, prefixed(b""))) as line:
        await line.until(frames.DATA)
        door.door.end()
        line.send(frames.frame(frames.PING, frames.ACK, 0, (await line.until(frames.PING))[3]))
        _, trailers = await line.answer()
        line.send(frames.frame(frames.DATA, 0, 1, prefixed(b"")), frames.frame(frames.PING, 0, 0, bytes(8)))
        assert (await line.until(frames.PING))[1:] == (frames.ACK, 0, bytes(8))

    assert trailers[b"grpc-status"] == b"14"
    async with asyncio.timeout(SECONDS):
        await door.door.close()


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_a_stream_that_begins_as_the_door_ends_does_not_hold_up_the_end(
    store: ModelStore, door: Caller, turns: int
) -> None:
    streams = Streams(Calls(door.engine, "0"), Access(anonymous=("predict",)))

    async def none_come() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    answers = streams.infer(none_come(), Context((), None, Holding(1 << 20), lambda: False))
    first = asyncio.ensure_future(anext(answers))
    for _ in range(turns):
        await asyncio.sleep(0)
    streams.end()

    async with asyncio.timeout(SECONDS):
        with pytest.raises(Refused) as raised:
            await first
        await streams.left()
    assert raised.value.code == grpc.StatusCode.UNAVAILABLE
