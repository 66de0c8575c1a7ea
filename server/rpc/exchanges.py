"""Calls over a connection: headers and data become messages, handlers answer them, errors become statuses.

Handlers are those of grpc.aio: `(request or requests, context)`, and what they need of a context is here. A plain
ModelInfer goes without a task: its message joins those of the moment.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import grpc

from server.rpc.errors import message_of
from server.rpc.exchange import Context, Exchange, check_size, decoded, late, untaken
from server.rpc.http2.connection import LOOK_SECONDS, Connection
from server.rpc.http2.headers import Header, encoded
from server.rpc.http2.holding import Holding
from server.rpc.http2.streams import Stream
from server.rpc.reading import Read, found, read
from server.rpc.service import Service
from server.rpc.wire import (
    BEGINNING,
    PREFIX_BYTES,
    WELL,
    Refused,
    prefixed,
    status,
    too_large,
)

HELD_BYTES = 4 << 20  # of answers that a client does not take; its stream waits then
SHORT_BYTES = 1 << 16  # of a message that came whole and at once, which is not kept
UNREAD = 64  # messages of a stream that wait to be taken
Messages = asyncio.Queue[bytes | bytearray | Refused | None]
Work = Callable[[], Awaitable[None]]
NOT_GRPC = encoded([(b":status", b"415")])


def without(body: bytes | bytearray, first: int) -> bytes | bytearray:
    """Return bytes without the first of them; many are not copied for a few."""
    if not first:
        return body
    if first == len(body):
        return b""
    if isinstance(body, bytes):
        return bytearray(memoryview(body)[first:])
    del body[:first]
    return body


class Exchanges:
    """The calls of one connection."""

    def __init__(self, service: Service, connection: Connection) -> None:
        self._service = service
        self._connection = connection
        self._kept = Holding(service.messages.most // 2, service.messages)
        self._kept_open = service.open_messages

    def begun(self, stream: Stream, headers: tuple[Header, ...]) -> None:
        """Begin a call."""
        asked = self._service.asked(headers)
        if not asked.grpc:
            self._connection.send_headers(stream, NOT_GRPC, end=True)
            return
        stream.state = exchange = Exchange(asked)
        if asked.refused is not None:
            self._refuse(stream, asked.refused)
        elif asked.handler.request_streaming and self._admitted(stream, exchange):
            exchange.messages = asyncio.Queue()
            requests = self._messages(stream, exchange)
            self._start(stream, exchange, partial(self._streamed, stream, exchange, requests))

    def _admitted(self, stream: Stream, exchange: Exchange) -> bool:
        """Count a call from now on; one too many is refused."""
        room = self._service.asides if exchange.asked.aside else self._service.calls
        if room.taken >= room.most:
            self._refuse(stream, Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls are under way"))
            return False
        if self._connection.answers.full:
            self._refuse(stream, untaken())
            return False
        room.taken += 1
        exchange.room = room
        return True

    def coming(self, stream: Stream) -> None:
        """Refuse a call whose message has stopped coming, or whose only one has not come within the call's time."""
        exchange: Exchange = stream.state
        if exchange.messages is not None and (not exchange.body or exchange.messages.qsize() >= UNREAD):
            exchange.seen = -1  # nothing is to come
            return
        if (
            exchange.messages is None
            and exchange.deadline is not None
            and exchange.deadline < time.monotonic()
        ):
            self._refuse(stream, late("the message did not come within the call's deadline"))
        elif len(exchange.body) == exchange.seen:
            self._end(stream, late(f"no more of the message came for {LOOK_SECONDS:g} s; send it again"))
        exchange.seen = len(exchange.body)

    def received(self, stream: Stream, data: bytes) -> None:
        """Take bytes of a call."""
        exchange: Exchange = stream.state
        if exchange.body:
            if isinstance(exchange.body, bytes):
                exchange.body = bytearray(exchange.body)
            exchange.body += data
        else:
            exchange.body = data
        exchange.seen = -1
        try:
            if not stream.ended or len(exchange.body) > SHORT_BYTES:
                self._keep(exchange, len(data))
            if exchange.messages is not None:
                self._split(exchange, exchange.messages)
                if exchange.messages.qsize() >= UNREAD:
                    return  # until some are taken
            else:
                check_size(exchange)
        except Refused as refused:
            self._end(stream, refused)
            return
        self._connection.allow(stream)

    def _end(self, stream: Stream, refused: Refused) -> None:
        """Refuse a call that nothing more is taken of."""
        self._refuse(stream, refused)
        if stream.state.task is not None:  # a stream's
            stream.state.task.cancel()

    def _keep(self, exchange: Exchange, size: int) -> None:
        """Take note of bytes of a message that are kept until it is taken whole.

        Raises: Refused, there are too many of them.
        """
        kept = self._kept if exchange.asked.known else self._kept_open
        if kept.full:
            raise Refused(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "the messages that this server keeps of its clients, or of this connection, until they are whole "
                "have too many bytes together; send it again when some of them are answered",
            )
        exchange.kept += size
        kept.take(size)

    def _taken(self, exchange: Exchange, size: int) -> None:
        """Take note that so many bytes are not kept any more."""
        kept = self._kept if exchange.asked.known else self._kept_open
        size = min(size, exchange.kept)
        exchange.kept -= size
        kept.leave(size)

    def _split(self, exchange: Exchange, messages: Messages) -> None:
        """Hand whole messages of a stream on, each after its prefix, no more than may wait; and then its end.

        Bytes that were not handed on stay as they came: messages of no length would take ten times as many.
        """
        body, at = exchange.body, 0
        while messages.qsize() < UNREAD:
            if len(body) - at < PREFIX_BYTES:
                break
            size = int.from_bytes(body[at + 1 : at + PREFIX_BYTES], "big")
            if size > exchange.asked.limit.most:
                raise too_large(size, exchange.asked.limit)
            end = at + PREFIX_BYTES + size
            if len(body) < end:
                break
            messages.put_nowait(body[at:end])
            at = end
        exchange.body = without(body, at)
        if exchange.over and messages.qsize() < UNREAD:
            exchange.over = False
            cut = Refused(grpc.StatusCode.INVALID_ARGUMENT, "a message is cut off") if exchange.body else None
            messages.put_nowait(cut)

    def ended(self, stream: Stream) -> None:
        """Answer a call that has been received."""
        exchange: Exchange = stream.state
        if exchange.messages is not None:
            exchange.over = True
            try:
                self._split(exchange, exchange.messages)
            except Refused as refused:
                self._end(stream, refused)
            return
        body = exchange.body
        exchange.body = b""
        self._taken(exchange, exchange.kept)
        if len(body) < PREFIX_BYTES or len(body) != PREFIX_BYTES + int.from_bytes(
            body[1:PREFIX_BYTES], "big"
        ):
            self._refuse(stream, Refused(grpc.StatusCode.INVALID_ARGUMENT, "the message is cut off"))
            return
        try:
            message = found(body, exchange.asked.encoding, exchange.asked.limit)
        except Refused as refused:
            self._refuse(stream, refused)
            return
        if not self._admitted(stream, exchange):
            return
        if isinstance(message, bytes):
            self._whole(stream, exchange, message)
        else:
            self._start(stream, exchange, partial(self._large, stream, exchange, message))

    def _whole(self, stream: Stream, exchange: Exchange, data: bytes) -> None:
        """Answer a call whose message has come."""
        if exchange.asked.plain:
            head = self._service.heads.of(data)
            if head is not None:
                answered = partial(self._answered, stream, exchange, data)
                exchange.turn = self._service.gathered.take(head, data, exchange.deadline, answered)
                return
        self._alone(stream, exchange, data)

    def _answered(self, stream: Stream, exchange: Exchange, data: bytes, answer: bytes | None) -> None:
        """Write the answer of a plain call, or ask for it alone."""
        exchange.turn = None
        if stream.closed:
            return
        if answer is None:
            self._alone(stream, exchange, data)
        else:
            self._reply(stream, exchange, answer)

    def _alone(self, stream: Stream, exchange: Exchange, data: bytes) -> None:
        self._start(stream, exchange, partial(self._handled, stream, exchange, data))

    async def _large(self, stream: Stream, exchange: Exchange, message: Read) -> None:
        await self._handled(stream, exchange, await message())

    async def _handled(self, stream: Stream, exchange: Exchange, data: bytes) -> None:
        """Have the handler of a call answer its only message."""
        handler = exchange.asked.handler
        if handler.response_streaming:
            request = decoded(handler, data)
            await self._streamed(stream, exchange, request)
        else:
            await self._unary(stream, exchange, data)

    def _start(self, stream: Stream, exchange: Exchange, work: Work) -> None:
        task = exchange.task = asyncio.get_running_loop().create_task(self._guarded(stream, exchange, work))
        self._service.tasks.add(task)
        task.add_done_callback(partial(self._done, exchange))

    def _done(self, exchange: Exchange, task: asyncio.Task[None]) -> None:
        """Forget a task: its cancellation holds its frames, and so the call with its messages until a collection."""
        exchange.task = None
        self._service.tasks.discard(task)

    async def _guarded(self, stream: Stream, exchange: Exchange, work: Work) -> None:
        """Answer a call within its time; what goes wrong ends it with a status."""
        try:
            async with asyncio.timeout(exchange.asked.seconds):
                await work()
        except Refused as refused:
            self._refuse(stream, refused)
        except TimeoutError:
            self._refuse(stream, late("not answered within the call's deadline"))
        except asyncio.CancelledError:
            self._refuse(
                stream, Refused(grpc.StatusCode.UNAVAILABLE, "this server ends before this is answered")
            )
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, who asked must hear of it
            self._refuse(stream, Refused(grpc.StatusCode.INTERNAL, message_of(error)))

    async def _unary(self, stream: Stream, exchange: Exchange, data: bytes) -> None:
        handler = exchange.asked.handler
        request = decoded(handler, data)
        answer = await handler.unary_unary(request, self._context(stream, exchange))
        self._reply(
            stream, exchange, handler.response_serializer(answer) if handler.response_serializer else answer
        )

    def _context(self, stream: Stream, exchange: Exchange) -> Context:
        return Context(
            exchange.asked.metadata, exchange.deadline, self._connection.answers, lambda: stream.ended
        )

    def _reply(self, stream: Stream, exchange: Exchange, answer: bytes) -> None:
        """Write the only answer of a call."""
        if self._connection.answers.full:
            self._refuse(stream, untaken())
        if not stream.closed:
            exchange.told = True
            self._release(exchange)
            self._connection.send_headers(stream, BEGINNING)
            self._connection.send(stream, prefixed(answer), WELL)

    async def _messages(self, stream: Stream, exchange: Exchange) -> AsyncIterator[Any]:
        """Return the requests of a stream as they come."""
        messages, count = exchange.messages, 0
        while messages is not None and (body := await messages.get()) is not None:
            if isinstance(body, Refused):
                raise body
            data = await read(body, exchange.asked.encoding, exchange.asked.limit)
            self._taken(exchange, len(body))
            if exchange.body or exchange.over:
                self._split(exchange, messages)
            count += 1
            if not count % UNREAD:
                await asyncio.sleep(0)  # others have a turn: a handler may wait for nothing
            if messages.qsize() < UNREAD:
                self._connection.allow(stream)
            yield decoded(exchange.asked.handler, data)

    async def _streamed(self, stream: Stream, exchange: Exchange, request: Any) -> None:
        """Write the answers of a call that has many."""
        handler = exchange.asked.handler
        many = handler.stream_stream or handler.unary_stream
        async with aclosing(many(request, self._context(stream, exchange))) as answers:
            await self._written(stream, exchange, answers)
        if not stream.closed:
            self._release(exchange)
            if exchange.told:
                self._connection.send(stream, b"", WELL)
            else:
                self._connection.send_headers(stream, BEGINNING + WELL, end=True)

    async def _written(self, stream: Stream, exchange: Exchange, answers: AsyncIterator[Any]) -> None:
        """Write answers as they come, no faster than the client takes them."""
        handler = exchange.asked.handler
        async for answer in answers:
            data = handler.response_serializer(answer) if handler.response_serializer else answer
            if not exchange.told:
                exchange.told = True
                self._connection.send_headers(stream, BEGINNING)
            self._connection.send(stream, prefixed(data))
            while not stream.closed and (stream.held > self._may_hold() or self._connection.full):
                stream.room = asyncio.Event()
                await stream.room.wait()

    def _may_hold(self) -> int:
        """Return how many bytes of answers of a stream may wait to be sent while more are made."""
        return 0 if self._connection.answers.full else HELD_BYTES

    def _refuse(self, stream: Stream, refused: Refused) -> None:
        """End a call with a status."""
        if stream.closed:
            return
        exchange: Exchange = stream.state
        self._release(exchange)
        told = encoded(status(refused.code, refused.message, refused.metadata))
        if exchange.told:
            self._connection.send(stream, b"", told)
        else:
            exchange.told = True
            self._connection.send_headers(stream, BEGINNING + told, end=True)

    def _release(self, exchange: Exchange) -> None:
        """Count a call no longer."""
        self._taken(exchange, exchange.kept)
        if exchange.room is not None:
            exchange.room.taken -= 1
            exchange.room = None

    def lost(self, stream: Stream) -> None:
        """Give up what nobody waits for."""
        exchange: Exchange | None = stream.state
        if exchange is None:
            return
        self._release(exchange)
        if exchange.turn is not None:
            self._service.gathered.leave(exchange.turn)
        if exchange.task is not None:
            exchange.task.cancel()
