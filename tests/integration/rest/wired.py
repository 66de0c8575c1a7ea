"""The HTTP door on a loopback port, served inside the event loop of a test: a real uvicorn, up in a millisecond.

What `uvicorn.Server.serve` does besides (signals, a tick every 0.1 s, the wait at the end) is left to
the tests that start a process of their own.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Wire:
    """A server that listens."""

    server: uvicorn.Server
    port: int

    @property
    def url(self) -> str:
        scheme = "https" if self.server.config.is_ssl else "http"
        return f"{scheme}://{HOST}:{self.port}"

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    @property
    def tasks(self) -> int:
        return len(self.server.server_state.tasks)


@asynccontextmanager
async def wired(config: uvicorn.Config) -> AsyncIterator[Wire]:
    """Listen on a free port until the block ends; what is connected then is cut off."""
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.on_tick(0)  # makes the Date header
    with socket.create_server((HOST, 0), backlog=2048) as listener:
        await server.startup(sockets=[listener])
        try:
            yield Wire(server, listener.getsockname()[1])
        finally:
            await close(server)


async def close(server: uvicorn.Server) -> None:
    """Cut every connection off and wait for what was being answered."""
    for one in server.servers:
        one.close()
    for connection in list(server.server_state.connections):
        if connection.transport is not None:
            connection.transport.abort()
    async with asyncio.timeout(10):
        await asyncio.gather(*server.server_state.tasks, return_exceptions=True)
