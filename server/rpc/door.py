"""The gRPC door: opened on a port once the engine has started, closed with time for the calls under way."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import grpc
import grpc.aio

from server.access import Access
from server.inference.engine import Engine
from server.rpc.calls import Calls
from server.rpc.guarding import guarded
from server.rpc.health import Health
from server.rpc.messages import HEALTH, POOL, REFLECTION, SERVICE
from server.rpc.reflecting import reflection_handler
from server.rpc.streaming import Streams

CALLS = 16_384  # under way at once; more are refused with RESOURCE_EXHAUSTED
STREAMS = 4096  # calls under way on one connection; more wait at the client
METADATA_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a door listens and how.

    Units: message_bytes, a message may have; shutdown_seconds, calls get to end.
    """

    host: str
    port: int
    message_bytes: int
    shutdown_seconds: float
    certificate: Path | None = None
    key: Path | None = None


class Door:
    """An open door."""

    def __init__(
        self, server: Any, address: str, grace_seconds: float, streams: Streams, health: Health
    ) -> None:
        self.address = address
        self._server = server
        self._grace = grace_seconds
        self._streams = streams
        self._health = health
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, engine: Engine, access: Access, listening: Listening, version: str) -> Self:
        """Answer calls from now on.

        Raises: OSError, a certificate that cannot be read; RuntimeError, the port cannot be listened on.
        """
        server = grpc.aio.server(
            options=(
                ("grpc.so_reuseport", 1),  # the port is held by a socket of ours, and workers share it
                ("grpc.max_receive_message_length", listening.message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", STREAMS),
                ("grpc.max_metadata_size", METADATA_BYTES),
            ),
            maximum_concurrent_rpcs=CALLS,
        )
        calls = Calls(engine, version)
        streams, health = Streams(calls, access), Health(engine)
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(SERVICE, handlers(calls, access, streams)),
                grpc.method_handlers_generic_handler(HEALTH, health.handlers()),
                *(grpc.method_handlers_generic_handler(one, reflection_handler(POOL)) for one in REFLECTION),
            )
        )
        host = f"[{listening.host}]" if ":" in listening.host else listening.host
        at = f"{host}:{listening.port}"
        if listening.certificate is None or listening.key is None:
            port = server.add_insecure_port(at)
        else:
            pair = (listening.key.read_bytes(), listening.certificate.read_bytes())
            port = server.add_secure_port(at, grpc.ssl_server_credentials([pair]))
        await server.start()
        return cls(server, f"{host}:{port}", listening.shutdown_seconds, streams, health)

    def end(self) -> None:
        """Take no more calls, and let those under way end within their time."""
        if self._closing is None:
            self._health.end()
            self._streams.end()
            self._closing = asyncio.create_task(self._server.stop(self._grace))

    async def close(self) -> None:
        """End, and wait until that is done."""
        self.end()
        if self._closing is not None:
            await self._closing


def handlers(calls: Calls, access: Access, streams: Streams) -> dict[str, Any]:
    """Return what answers the protocol's calls, bytes in and bytes out."""
    found = {
        name: grpc.unary_unary_rpc_method_handler(guarded(access, one.scope, one.call))
        for name, one in calls.by_name().items()
    }
    found["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(streams.infer)
    return found
