"""What waits for the windows of a client leaves piece by piece, and is not copied again for each piece."""

import time
from collections.abc import Sequence

from server.rpc.http2 import frames
from server.rpc.http2.connection import Connection, Open
from server.rpc.http2.headers import Header, encoded
from server.rpc.http2.holding import Holding
from server.rpc.http2.streams import Stream

LARGE_BYTES = 64 << 20
LINEAR_SECONDS = 4.0  # copying what is left for each frame of 16 KiB takes 130 GB of it, and over a minute
ENDED = encoded([(b"grpc-status", b"0")])


class Wire:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = bytearray()

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.written += data

    def payloads(self) -> list[bytes]:
        """What the frames of data carry."""
        found, at = [], 0
        while at < len(self.written):
            head, _, _ = frames.HEAD.unpack_from(self.written, at)
            at += frames.HEAD_BYTES + (head >> 8)
            if head & 255 == frames.DATA:
                found.append(bytes(self.written[at - (head >> 8) : at]))
        return found


class Answers:
    """Answers every stream with the same data, trailers after the last."""

    def __init__(self, connection: Connection, answers: Sequence[bytes]) -> None:
        self.connection, self.answers = connection, answers

    def begun(self, stream: Stream, headers: tuple[Header, ...]) -> None:
        for one in self.answers[:-1]:
            self.connection.send(stream, one)
        self.connection.send(stream, self.answers[-1], ENDED)

    def received(self, stream: Stream, data: bytes) -> None: ...
    def coming(self, stream: Stream) -> None: ...
    def ended(self, stream: Stream) -> None: ...
    def lost(self, stream: Stream) -> None: ...


def asked(*answers: bytes, window: int) -> tuple[Connection, Wire]:
    """Return a connection whose client has asked, with so large a window, and what was written to it."""
    connection = Connection(lambda one: Answers(one, answers), Open(), 10, Holding(1 << 30))
    wire = Wire()
    connection.connection_made(wire)
    both = frames.END_HEADERS | frames.END_STREAM
    connection.data_received(
        frames.PREFACE
        + frames.settings({frames.INITIAL_WINDOW: window})
        + frames.window(0, frames.LARGEST_WINDOW - frames.DEFAULT_WINDOW)
        + frames.frame(frames.HEADERS, both, 1, encoded([(b":method", b"POST")]))
    )
    return connection, wire


async def test_a_large_answer_in_small_frames_is_copied_as_often_as_a_small_one() -> None:
    data = bytes(range(256)) * (LARGE_BYTES // 256)
    before = time.process_time()

    connection, wire = asked(data, window=frames.LARGEST_WINDOW)

    assert time.process_time() - before < LINEAR_SECONDS
    assert {len(one) for one in wire.payloads()} == {frames.DEFAULT_FRAME}
    assert b"".join(wire.payloads()) == data
    connection.connection_lost(None)


async def test_what_the_window_does_not_let_waits_in_order() -> None:
    connection, wire = asked(b"abcdefg", b"hij", window=5)

    before = wire.payloads()
    connection.data_received(frames.window(1, 3))
    meanwhile = wire.payloads()
    connection.data_received(frames.window(1, 100))

    assert before == [b"abcde"]
    assert meanwhile == [b"abcde", b"fg", b"h"]
    assert wire.payloads() == [b"abcde", b"fg", b"h", b"ij"]
    connection.connection_lost(None)
