"""grpc.health.v1.Health: whether the server may be sent requests, for orchestrators and load balancers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from server.inference.engine import Engine
from server.rpc.messages import SERVICE

SERVICES = ("", SERVICE)
WATCH_SECONDS = 0.5  # between looks of whoever watches
Status = health_pb2.HealthCheckResponse


class Health:
    """Tells how the engine is."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Tell whoever asks or watches that the server ends."""
        self._ending.set()

    def handlers(self) -> dict[str, Any]:
        """Return what answers the calls of the service."""
        forms = {
            "request_deserializer": health_pb2.HealthCheckRequest.FromString,
            "response_serializer": Status.SerializeToString,
        }
        return {
            "Check": grpc.unary_unary_rpc_method_handler(self.check, **forms),
            "Watch": grpc.unary_stream_rpc_method_handler(self.watch, **forms),
        }

    async def check(self, request: Any, context: Any) -> Any:
        """Tell how it is now; a service that is not served is not found."""
        if request.service not in SERVICES:
            await context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"service {request.service[:128]!r} is not served here; ask for {SERVICE}",
            )
        return Status(status=self._status(request.service))

    async def watch(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        """Tell how it is now, and whenever that changes, until the server ends."""
        told = None
        while not self._ending.is_set():
            status = self._status(request.service)
            if status != told:
                told = status
                yield Status(status=status)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), WATCH_SECONDS)
        yield Status(status=Status.NOT_SERVING)

    def _status(self, service: str) -> Any:
        if service not in SERVICES:
            return Status.SERVICE_UNKNOWN
        serving = self._engine.ready()[0] and not self._ending.is_set()
        return Status.SERVING if serving else Status.NOT_SERVING
