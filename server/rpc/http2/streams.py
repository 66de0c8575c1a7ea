"""Streams of a connection, what handles them, and what ends a connection for good."""

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from server.rpc.http2 import frames
from server.rpc.http2.headers import Header

if TYPE_CHECKING:
    from server.rpc.http2.sending import Sending


class Fault(Exception):
    """What ends a connection: a code of HTTP/2 and why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Handler(Protocol):
    """What becomes of the streams of a connection."""

    def begun(self, stream: "Stream", headers: tuple[Header, ...]) -> None:
        """Take the headers of a new stream."""

    def received(self, stream: "Stream", data: bytes) -> None:
        """Take bytes of a stream."""

    def coming(self, stream: "Stream") -> None:
        """The client may still send on a stream: told now and then, so that one that stopped is found."""

    def ended(self, stream: "Stream") -> None:
        """The client sends no more on a stream."""

    def lost(self, stream: "Stream") -> None:
        """The client no longer waits for a stream."""


class Stream:
    """One exchange: how much may still be sent, what waits for that, and what the handler keeps of it."""

    __slots__ = (
        "closed",
        "connection",
        "ended",
        "held",
        "number",
        "room",
        "state",
        "unread",
        "waiting",
        "window",
    )

    def __init__(self, connection: "Sending", number: int) -> None:
        self.connection = connection
        self.number = number
        self.window = 0  # bytes we may send, beside those that every stream of the connection begins with
        self.waiting: list[tuple[memoryview, bytes | None]] = []  # data, and the trailers after it
        self.held = 0  # bytes that wait to be sent
        self.unread = 0  # bytes that the client has not been allowed again
        self.ended = self.closed = False
        self.room: asyncio.Event | None = None
        self.state: Any = None


def unpadded(flags: int, payload: bytes) -> bytes:
    """Return what a frame carries."""
    if not flags & frames.PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Fault(frames.PROTOCOL_ERROR, "more padding than there is")
    return payload[1 : len(payload) - payload[0]]
