"""What leaves a connection: headers, data as far as the windows of the client let, and the end."""

import asyncio
from typing import Any

from server.rpc.http2 import frames
from server.rpc.http2.holding import Holding
from server.rpc.http2.streams import Stream

WINDOW_BYTES = 4 << 20  # of one stream that may wait here
OUT_BYTES = 1 << 18  # that are gathered before they are written
RESET_SECONDS = 1.0  # a client gets to read the answer before it is told to stop sending
HEARD_SECONDS = 1.0  # it gets to say that it has heard of the end
CLOSING_SECONDS = 1.0  # and, once all is answered, to end the connection itself
FAREWELL = b"farewell"  # of the ping that asks whether it has heard


class Sending:
    """The half of a connection that writes.

    Until its client says otherwise windows and frames are those that HTTP/2 begins with.
    """

    transport: Any

    def __init__(self, answers: Holding) -> None:
        """Take where the answers of this connection count that wait to be sent."""
        self.answers = answers
        self._streams: dict[int, Stream] = {}
        self._last = 0
        self._window = frames.DEFAULT_WINDOW
        self._initial = frames.DEFAULT_WINDOW
        self._frame = frames.DEFAULT_FRAME
        self._leaving = False  # the client is to begin no more streams
        self.heard = False  # and knows it: those that it begins are refused
        self.full = False  # what was written waits for the client to take it
        self._grown = False  # a window of every stream, since what waits was last sent
        self._draining: set[int] = set()  # answered before the client had ended them
        self._out: list[bytes] | None = None  # written while frames are taken, to leave at once
        self._written = 0  # bytes of it

    def _write(self, data: bytes) -> None:
        if self._out is not None:
            self._out.append(data)
            self._written += len(data)
            if self._written > OUT_BYTES:
                self._leave_out(self._out)
        elif not self.transport.is_closing():
            self.transport.write(data)

    def _leave_out(self, out: list[bytes]) -> None:
        """Write what was gathered."""
        data = b"".join(out)
        out.clear()
        self._written = 0
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def allow(self, stream: Stream) -> None:
        """Let the client send what has been taken of a stream again."""
        if stream.unread >= WINDOW_BYTES // 2 and not stream.ended and not stream.closed:
            self._write(frames.window(stream.number, stream.unread))
            stream.unread = 0

    def send_headers(self, stream: Stream, block: bytes, *, end: bool = False) -> None:
        """Send headers, the last ones with `end`."""
        if stream.closed:
            return
        flags = frames.END_HEADERS | (frames.END_STREAM if end else 0)
        self._write(frames.frame(frames.HEADERS, flags, stream.number, block))
        if end:
            self._close(stream)

    def send(self, stream: Stream, data: bytes, trailers: bytes | None = None) -> None:
        """Send data, and trailers after it, as far as the windows let; the rest waits."""
        if stream.closed:
            return
        size = len(data)
        if (
            not stream.waiting
            and not self.full
            and size <= min(self._frame, self._window, self._initial + stream.window)
        ):
            self._window -= size
            stream.window -= size
            self._write(frames.frame(frames.DATA, 0, stream.number, data))
            if trailers is not None:
                self.send_headers(stream, trailers, end=True)
            return
        stream.waiting.append((memoryview(data), trailers))
        self._hold(stream, size)
        self._send_waiting(stream)

    def _flush(self) -> None:
        """Send what waits on any stream; once for all that let it, however often a client lets."""
        if not self._grown:
            return
        self._grown = False
        for stream in [one for one in self._streams.values() if one.waiting]:
            self._send_waiting(stream)

    def _send_waiting(self, stream: Stream) -> None:
        while stream.waiting and not self.full:
            data, trailers = stream.waiting[0]
            size = min(len(data), self._frame, self._window, self._initial + stream.window)
            if size <= 0 < len(data):
                break
            self._window -= size
            stream.window -= size
            self._hold(stream, -size)
            self._write(frames.frame(frames.DATA, 0, stream.number, bytes(data[:size])))
            if size < len(data):
                stream.waiting[0] = (data[size:], trailers)
                continue
            stream.waiting.pop(0)
            if trailers is not None:
                self.send_headers(stream, trailers, end=True)
        if stream.room is not None and not stream.waiting:
            stream.room.set()

    def _hold(self, stream: Stream, size: int) -> None:
        """Take note of so many bytes more that wait to be sent."""
        stream.held += size
        self.answers.take(size)

    def _close(self, stream: Stream) -> None:
        """Forget a stream that has been answered; a client that still sends is told to stop."""
        stream.closed = True
        self._streams.pop(stream.number, None)
        if not stream.ended:
            self._draining.add(stream.number)
            asyncio.get_running_loop().call_later(RESET_SECONDS, self._reset, stream.number)
        self._end_left()

    def _end_left(self) -> None:
        """End a connection that takes no more streams, once there are none.

        Its client does so when it has read the last answer. Closed before, while it still says something, the
        connection would be reset, and what it has not read yet is lost to it.
        """
        if self.heard and not self._streams:
            asyncio.get_running_loop().call_later(CLOSING_SECONDS, self.transport.close)

    def _reset(self, number: int) -> None:
        """Tell a client to stop that still sends on a stream which has been answered."""
        if number in self._draining:
            self._draining.discard(number)
            self._write(frames.reset(number, frames.NO_ERROR))

    def leave(self) -> None:
        """Have the client begin no more streams, and end when those it has begun are answered.

        Those that are on their way while it does not know yet have come when it answers a ping.
        Source: RFC 9113, 6.8.
        """
        if not self._leaving:
            self._leaving = True
            self._write(frames.goaway(frames.LARGEST_STREAM, frames.NO_ERROR))
            self._write(frames.frame(frames.PING, 0, 0, FAREWELL))
            asyncio.get_running_loop().call_later(HEARD_SECONDS, self._hear)

    def _hear(self) -> None:
        """Take no more streams: the client has heard, or had its time for that."""
        if self._leaving and not self.heard:
            self.heard = True
            self._write(frames.goaway(self._last, frames.NO_ERROR))
            self._end_left()
