"""One call: what it asks, what of its message has come, and how it may end early."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NoReturn

import grpc
from google.protobuf.message import DecodeError

from server.rpc.gathered import Turn
from server.rpc.http2.holding import Holding
from server.rpc.service import Asked, Room
from server.rpc.wire import PREFIX_BYTES, Refused, too_large


class Context:
    """What a handler may ask about its call."""

    def __init__(
        self,
        metadata: tuple[tuple[str, str], ...],
        deadline: float | None,
        answers: Holding,
        whole: Callable[[], bool],
    ) -> None:
        """Take where answers count that its client has not taken yet, and whether all that it sends has come."""
        self.answers = answers
        self.whole = whole
        self._metadata = metadata
        self._deadline = deadline

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what the caller sent beside the request."""
        return self._metadata

    def time_remaining(self) -> float | None:
        """Return the seconds that are left; None without a limit."""
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Any = ()) -> NoReturn:
        """End the call with an error."""
        raise Refused(code, details, trailing_metadata)


class Exchange:
    """One call that is being received or answered."""

    __slots__ = (
        "asked",
        "body",
        "deadline",
        "kept",
        "messages",
        "over",
        "room",
        "seen",
        "task",
        "told",
        "turn",
    )

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.body: bytes | bytearray = b""
        self.deadline = None if asked.seconds is None else time.monotonic() + asked.seconds
        self.messages: asyncio.Queue[bytes | bytearray | Refused | None] | None = None
        self.task: asyncio.Task[None] | None = None
        self.turn: Turn | None = None
        self.room: Room | None = None  # that it takes, once all that it asks has come
        self.kept = 0  # bytes of messages that are not taken yet, as they count
        self.seen = -1  # bytes of the body, when it was last looked at
        self.over = False  # all of a stream has come; its end waits behind what is not handed on yet
        self.told = False  # whether the answer has begun


def check_size(exchange: Exchange) -> None:
    """Refuse more than one message, or one that will be too large.

    Raises: Refused.
    """
    body, limit = exchange.body, exchange.asked.limit
    if len(body) >= PREFIX_BYTES:
        size = int.from_bytes(body[1:PREFIX_BYTES], "big")
        if size > limit.most:
            raise too_large(size, limit)
        if len(body) > PREFIX_BYTES + size:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, "this call takes one message")


def decoded(handler: Any, data: bytes) -> Any:
    """Return a request as its handler takes it.

    Raises: Refused.
    """
    try:
        return handler.request_deserializer(data) if handler.request_deserializer else data
    except DecodeError as error:
        raise Refused(
            grpc.StatusCode.INVALID_ARGUMENT, f"the {len(data)} bytes are no message: {error}"
        ) from error


def untaken() -> Refused:
    """Return the end of a call whose answer finds no room beside those that are not taken."""
    return Refused(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "the answers that clients of this server, or this one, have not taken yet have too many bytes together; take "
        "some of them, then ask again",
    )


def late(why: str) -> Refused:
    """Return the end of a call that took too long."""
    return Refused(grpc.StatusCode.DEADLINE_EXCEEDED, why)
