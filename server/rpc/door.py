"""The gRPC door: opened on a port once the engine has started, closed with time for the calls under way."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Self

import grpc

from server.access import Access
from server.inference.ending import ended
from server.inference.engine import Engine
from server.rpc.calls import Calls
from server.rpc.exchanges import Exchanges
from server.rpc.guarding import guarded
from server.rpc.health import Health
from server.rpc.http2.connection import Connection, Open
from server.rpc.http2.holding import Holding
from server.rpc.messages import HEALTH, POOL, REFLECTION, SERVICE
from server.rpc.reflecting import reflection_handler
from server.rpc.service import Room, Service
from server.rpc.streaming import Streams
from server.workers.opening import BACKLOG, Listening

CALLS = 16_384  # under way at once; more are refused with RESOURCE_EXHAUSTED
ASIDES = 1024  # of health and reflection, beside them
# Of messages that are not whole yet all connections keep so many of the largest, and these bytes in any case; one
# connection keeps half of it.
LARGEST_AT_ONCE = 4
MESSAGES_BYTES = 256 << 20
OPEN_MESSAGES_BYTES = 64 << 20  # of calls that take no token, kept until all of a message is there
ANSWERS_BYTES = 1 << 30  # that all clients together do not take; further ones are refused
CONNECTION_ANSWERS_BYTES = 256 << 20  # of one connection
STREAMS = 4096  # calls under way on one connection; more are refused
ACCEPT_SECONDS = 0.02  # for connections that wait to be taken when the end begins
END_SECONDS = 0.02  # between looks whether the last connection has ended
INFER = "ModelInfer"
ALPN = "h2"
Ends = tuple[Open, Streams, Health]  # what is told when a door ends


class Door:
    """An open door."""

    def __init__(self, listening: Listening, server: asyncio.Server, service: Service, ends: Ends) -> None:
        self.address = listening.address
        self._grace = listening.shutdown_seconds
        self._server = server
        self._service = service
        self._open, self._streams, self._health = ends
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, engine: Engine, access: Access, listening: Listening, message_bytes: int, version: str
    ) -> Self:
        """Answer calls from now on.

        Raises: OSError, a certificate that cannot be read, or a port that cannot be listened on.
        """
        calls = Calls(engine, version)
        streams, health = Streams(calls, access), Health(engine)
        methods = {
            f"/{service}/{name}".encode(): handler
            for service, handlers in services(calls, streams, health)
            for name, handler in handlers.items()
        }
        scopes = {
            f"/{SERVICE}/{name}".encode(): one.scope
            for name, one in calls.by_name().items()
            if one.scope is not None
        }
        service = Service(
            methods, scopes, access, calls.heads, calls.gathered,
            f"/{SERVICE}/{INFER}".encode(), message_bytes, Room(CALLS), Room(ASIDES),
            Holding(max(MESSAGES_BYTES, LARGEST_AT_ONCE * message_bytes)), Holding(OPEN_MESSAGES_BYTES),
            Holding(ANSWERS_BYTES),
        )  # fmt: skip
        open_ = Open()
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(
                partial(Exchanges, service),
                open_,
                STREAMS,
                Holding(CONNECTION_ANSWERS_BYTES, service.answers),
            ),
            sock=listening.listener(),
            backlog=BACKLOG,
            ssl=listening.credentials(ALPN),
        )
        return cls(listening, server, service, (open_, streams, health))

    def end(self) -> None:
        """Take no more calls, and let those under way end within their time."""
        if self._closing is None:
            self._health.end()
            self._closing = asyncio.create_task(self._ended())

    async def _ended(self) -> None:
        await asyncio.sleep(ACCEPT_SECONDS)
        self._server.close()
        self._open.leave()
        try:
            async with asyncio.timeout(self._grace):
                await until(lambda: all(one.heard for one in self._open))
                self._streams.end()
                await until(lambda: not self._open)
        except TimeoutError:
            self._streams.end()
            for one in [*self._open]:
                one.transport.abort()
        await ended(self._service.tasks)
        await self._streams.left()

    async def close(self) -> None:
        """End, and wait until that is done."""
        self.end()
        if self._closing is not None:
            await self._closing


async def until(done: Callable[[], bool]) -> None:
    """Wait until that is so."""
    while not done():  # noqa: ASYNC110  # connections hear of the end and end one by one, and nobody tells
        await asyncio.sleep(END_SECONDS)


def services(calls: Calls, streams: Streams, health: Health) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Return what answers calls, by service and name."""
    found = {
        name: grpc.unary_unary_rpc_method_handler(guarded(one.call)) for name, one in calls.by_name().items()
    }
    yield SERVICE, found | {"ModelStreamInfer": grpc.stream_stream_rpc_method_handler(streams.infer)}
    yield HEALTH, health.handlers()
    for name in REFLECTION:
        yield name, reflection_handler(POOL)
