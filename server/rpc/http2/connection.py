"""One connection of a client: frames in, frames out, streams and their windows; what a stream is for it does not know.

Everything a client may do without end is bounded: streams, headers, bytes that wait, and frames that cost it
nothing (pings, settings, resets, empty ones), of which so many a second are taken and no more.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from server.rpc.http2 import frames
from server.rpc.http2.frames import HEAD_BYTES
from server.rpc.http2.headers import BadBlock, Decoder
from server.rpc.http2.holding import Holding
from server.rpc.http2.sending import FAREWELL, WINDOW_BYTES, Sending
from server.rpc.http2.streams import Fault, Handler, Stream, unpadded

HEADERS_BYTES = 16 << 10  # that a client is told; what becomes of a call with more its handler says
BLOCK_BYTES = 256 << 10  # that are read for the table's sake, also inflated; more end the connection
FRAME_BYTES = 1 << 20  # that a client may send at once
CONNECTION_WINDOW_BYTES = 64 << 20
IDLE_FRAMES = 4000  # a second that carry nothing: more than any client has a use for
PREFACE_SECONDS = 10.0
LOOK_SECONDS = 30.0  # between looks at what still comes


class Open(set["Connection"]):
    """The connections of a door that are open."""

    leaving = False

    def leave(self) -> None:
        """Have every one end, also those that are still to come: they had been taken, or greeted, when this began."""
        self.leaving = True
        for one in self:
            one.leave()


class Connection(Sending, asyncio.Protocol):
    """A connection."""

    def __init__(
        self,
        handler: Callable[["Connection"], Handler],
        open_: "Open",
        streams: int,
        answers: Holding,
    ) -> None:
        """Take where the connection stands while it is open, and whether all of those are to end."""
        super().__init__(answers)
        self._make = handler
        self._open = open_
        self._most = streams
        self._decoder = Decoder(BLOCK_BYTES)
        self._buffer = b""
        self._preface = False
        self._block: tuple[int, int, bytearray] | None = None
        self._unread = 0
        self._idle, self._since = 0, 0.0

    def connection_made(self, transport: Any) -> None:
        """Say what a client may do, and wait for its first words."""
        self.transport = transport
        self._handler = self._make(self)
        self._open.add(self)
        self._timer = asyncio.get_running_loop().call_later(PREFACE_SECONDS, self._silent)
        self._write(
            frames.settings(
                {
                    frames.MAX_STREAMS: self._most,
                    frames.INITIAL_WINDOW: WINDOW_BYTES,
                    frames.MAX_FRAME: FRAME_BYTES,
                    frames.MAX_HEADERS: HEADERS_BYTES,
                }
            )
            + frames.window(0, CONNECTION_WINDOW_BYTES - frames.DEFAULT_WINDOW)
        )
        if self._open.leaving:
            self.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give every stream up."""
        self._timer.cancel()
        self._open.discard(self)
        streams, self._streams = [*self._streams.values()], {}
        for stream in streams:
            self._dead(stream)

    def _silent(self) -> None:
        if self._preface:
            self._look()
        else:
            self.transport.close()

    def _look(self) -> None:
        """Have every stream looked at that its client has not ended, now and then."""
        for stream in [*self._streams.values()]:
            if not stream.ended and not stream.closed:
                self._handler.coming(stream)
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def pause_writing(self) -> None:
        """Take no more of a client that takes no answers."""
        self.full = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self.full, self._grown = False, True
        self._flush()
        if self.full:
            return
        for stream in self._streams.values():
            if stream.room is not None:
                stream.room.set()
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Take frames; what is written meanwhile leaves at once."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        self._out = []
        try:
            self._buffer = self._take(data)
            self._flush()
        except Fault as fault:
            self._fail(fault)
        except BadBlock as fault:
            self._fail(Fault(frames.COMPRESSION_ERROR, str(fault)))
        finally:
            out, self._out = self._out, None
            self._leave_out(out)
        if self._failed:
            self.transport.close()

    _failed = False

    def _fail(self, fault: Fault) -> None:
        self._failed = True
        self._write(frames.goaway(self._last, fault.code, str(fault).encode()))

    def _take(self, data: bytes) -> bytes:
        """Take whole frames, and return what is left."""
        at = 0
        if not self._preface:
            begun = frames.PREFACE[: len(data)]
            if data[: len(frames.PREFACE)] != begun:
                raise Fault(frames.PROTOCOL_ERROR, "not HTTP/2")
            if len(data) < len(frames.PREFACE):
                return data
            self._preface, at = True, len(frames.PREFACE)
        unpack, size = frames.HEAD.unpack_from, len(data)
        while size - at >= HEAD_BYTES:
            length, flags, number = unpack(data, at)
            kind, length = length & 255, length >> 8
            if length > FRAME_BYTES:
                raise Fault(frames.FRAME_SIZE_ERROR, "a frame larger than allowed")
            end = at + HEAD_BYTES + length
            if end > size:
                break
            self._frame_of(kind, flags, number & 0x7FFFFFFF, data[at + HEAD_BYTES : end])
            at = end
        return data[at:] if at else data

    def _frame_of(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block is not None and kind != frames.CONTINUATION:
            raise Fault(frames.PROTOCOL_ERROR, "a header block is cut off")
        if kind == frames.DATA:
            self._data(flags, number, payload)
        elif kind == frames.HEADERS:
            self._headers(flags, number, payload)
        elif kind == frames.WINDOW_UPDATE:
            self._more(number, payload)
        elif kind == frames.CONTINUATION:
            self._continued(flags, number, payload)
        elif kind == frames.PUSH_PROMISE:
            raise Fault(frames.PROTOCOL_ERROR, "clients promise nothing")
        else:
            self._count()
            self._control(kind, flags, number, payload)

    def _count(self) -> None:
        """Count a frame that carries nothing."""
        now = time.monotonic()
        if now - self._since >= 1:
            self._since, self._idle = now, 0
        self._idle += 1
        if self._idle > IDLE_FRAMES:
            raise Fault(frames.ENHANCE_YOUR_CALM, "too many frames that carry nothing")

    def _control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == frames.PING:
            self._ping(flags, number, payload)
        elif kind == frames.SETTINGS:
            self._settings(flags, number, payload)
        elif kind == frames.RST_STREAM:
            check_frame(0 < number <= self._last, len(payload) == frames.NUMBER.size, "a reset")
            self._draining.discard(number)
            stream = self._streams.pop(number, None)
            if stream is not None:
                self._dead(stream)
                self._end_left()
        elif kind == frames.PRIORITY:
            check_frame(number > 0, len(payload) == frames.PRIORITY_BYTES, "a priority")
        elif kind == frames.GOAWAY:
            check_frame(not number, len(payload) >= 2 * frames.NUMBER.size, "a farewell")

    def _ping(self, flags: int, number: int, payload: bytes) -> None:
        check_frame(not number, len(payload) == frames.PING_BYTES, "a ping")
        if not flags & frames.ACK:
            self._write(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif payload == FAREWELL:
            self._hear()

    def _dead(self, stream: Stream) -> None:
        stream.closed = True
        stream.waiting.clear()
        self._hold(stream, -stream.held)
        if stream.room is not None:
            stream.room.set()
        self._handler.lost(stream)

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        most = 0 if flags & frames.ACK else FRAME_BYTES
        whole = len(payload) <= most and not len(payload) % frames.SETTING.size
        check_frame(not number, whole, "a frame of settings")
        if flags & frames.ACK:
            return
        for name, value in frames.SETTING.iter_unpack(payload):
            self._set(name, value)
        self._write(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._grown = True

    def _set(self, name: int, value: int) -> None:
        """Take a setting of the client; those of what it would send do not concern us."""
        if name == frames.INITIAL_WINDOW:
            if value > frames.LARGEST_WINDOW:
                raise Fault(frames.FLOW_CONTROL_ERROR, "a window that is too large")
            self._initial = value
        elif name == frames.MAX_FRAME:
            if not frames.DEFAULT_FRAME <= value <= frames.LARGEST_FRAME:
                raise Fault(frames.PROTOCOL_ERROR, "a size of frames that is not allowed")
            self._frame = value

    def _more(self, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Fault(frames.FRAME_SIZE_ERROR, "a window has four bytes")
        size = frames.NUMBER.unpack(payload)[0] & 0x7FFFFFFF
        if not size:
            raise Fault(frames.PROTOCOL_ERROR, "a window grows by something")
        if not number:
            self._window += size
            if self._window > frames.LARGEST_WINDOW:
                raise Fault(frames.FLOW_CONTROL_ERROR, "a window that is too large")
            self._grown = True
            return
        stream = self._streams.get(number)
        if stream is not None:
            stream.window += size
            if self._initial + stream.window > frames.LARGEST_WINDOW:
                raise Fault(frames.FLOW_CONTROL_ERROR, "a window that is too large")
            self._send_waiting(stream)
        elif number > self._last:
            raise Fault(frames.PROTOCOL_ERROR, "a window of no stream")

    def _headers(self, flags: int, number: int, payload: bytes) -> None:
        payload = unpadded(flags, payload)
        prioritised = frames.PRIORITY_BYTES if flags & frames.PRIORITISED else 0
        check_frame(number > 0, len(payload) >= prioritised, "a frame of headers")
        payload = payload[prioritised:]
        self._check_block(payload)
        if flags & frames.END_HEADERS:
            self._whole(flags, number, payload)
        else:
            self._block = (number, flags, bytearray(payload))

    def _check_block(self, block: bytes | bytearray) -> None:
        if len(block) > BLOCK_BYTES:
            raise Fault(frames.ENHANCE_YOUR_CALM, "too many bytes of headers")

    def _continued(self, flags: int, number: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise Fault(frames.PROTOCOL_ERROR, "a continuation of nothing")
        self._count()
        _, first, block = self._block
        block += payload
        self._check_block(block)
        if flags & frames.END_HEADERS:
            self._block = None
            self._whole(first, number, bytes(block))

    def _whole(self, flags: int, number: int, block: bytes) -> None:
        headers = self._decoder.headers(block)
        stream = self._streams.get(number)
        if stream is not None:  # trailers, which nobody reads
            if stream.ended or not flags & frames.END_STREAM:
                raise Fault(frames.PROTOCOL_ERROR, "headers within a stream")
            self._end(stream)
            return
        if number <= self._last:  # of a stream that has been answered already
            self._count()
            self._draining.discard(number)
            return
        if not number & 1:
            raise Fault(frames.PROTOCOL_ERROR, "a stream of an even number")
        self._last = number
        if len(self._streams) >= self._most or self.heard:
            self._count()
            self._write(frames.reset(number, frames.REFUSED_STREAM))
            return
        stream = self._streams[number] = Stream(self, number)
        stream.ended = bool(flags & frames.END_STREAM)
        self._handler.begun(stream, headers)
        if stream.ended and not stream.closed:
            self._handler.ended(stream)

    def _end(self, stream: Stream) -> None:
        stream.ended = True
        if not stream.closed:
            self._handler.ended(stream)

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        self._unread += len(payload)
        if self._unread >= CONNECTION_WINDOW_BYTES // 2:
            self._write(frames.window(0, self._unread))
            self._unread = 0
        last = bool(flags & frames.END_STREAM)
        data = unpadded(flags, payload)
        if not data and not last:
            self._count()
        stream = self._streams.get(number)
        if stream is None:
            self._dropped(number, last)
        elif stream.ended:
            raise Fault(frames.STREAM_CLOSED, "data after the end")
        else:
            self._received(stream, data, len(payload), last)

    def _dropped(self, number: int, last: bool) -> None:
        """Drop data of a stream that has been answered already."""
        if number > self._last or not number:
            raise Fault(frames.PROTOCOL_ERROR, "data of no stream")
        if last:
            self._draining.discard(number)

    def _received(self, stream: Stream, data: bytes, size: int, last: bool) -> None:
        """Hand data on."""
        stream.unread += size
        if stream.unread > WINDOW_BYTES:
            raise Fault(frames.FLOW_CONTROL_ERROR, "more data than allowed")
        stream.ended = last
        if data:
            self._handler.received(stream, data)
        if last and not stream.closed:
            self._handler.ended(stream)


def check_frame(placed: bool, whole: bool, what: str) -> None:
    """End a connection with a frame of a stream that it cannot be of, or of a wrong length.

    Raises: Fault.
    """
    if not placed:
        raise Fault(frames.PROTOCOL_ERROR, f"{what} on a stream that it cannot be of")
    if not whole:
        raise Fault(frames.FRAME_SIZE_ERROR, f"{what} of a wrong length")
