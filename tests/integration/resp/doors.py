"""A door of the Redis protocol that a test opened, and the ways in: redis-py's clients, or bytes on a socket."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

from redis import asyncio as aio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from server.inference.engine import Engine
from server.resp.door import Door

HEAR_SECONDS = 20.0
READ_BYTES = 1 << 16


class OpenedDoor:
    """Where a door is; whatever connects through it here is closed with it."""

    def __init__(self, door: Door, engine: Engine, stack: AsyncExitStack) -> None:
        self.door, self.engine = door, engine
        self._stack = stack
        self.host, _, port = door.address.rpartition(":")
        self.port = int(port)

    def client(self, protocol: int = 2, **options: Any) -> aio.Redis:
        """A client of redis-py, which tries nothing twice."""
        told: dict[str, Any] = {
            "protocol": protocol,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": HEAR_SECONDS,
        }
        made = aio.Redis(host=self.host, port=self.port, **(told | options))
        self._stack.push_async_callback(made.aclose)
        return made

    async def line(self, tls: ssl.SSLContext | None = None) -> "Line":
        """A socket to write bytes to."""
        return await self._stack.enter_async_context(line(self.host, self.port, tls))


class Line:
    """Bytes there and back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *parts: bytes) -> None:
        """Write each part by itself, unless the other side ends meanwhile."""
        with suppress(ConnectionError):
            for part in parts:
                self.writer.write(part)
                await self.writer.drain()
                await asyncio.sleep(0)

    async def hear(self, count: int) -> bytes:
        """Read exactly so many bytes."""
        async with asyncio.timeout(HEAR_SECONDS):
            return await self.reader.readexactly(count)

    async def line(self) -> bytes:
        """Read up to the end of a line."""
        async with asyncio.timeout(HEAR_SECONDS):
            return await self.reader.readline()

    async def ask(self, data: bytes, reply: bytes) -> None:
        """Say something that has one certain reply."""
        await self.say(data)
        assert await self.hear(len(reply)) == reply

    async def until_end(self) -> bytes:
        """Read until the other side ends."""
        heard = b""
        async with asyncio.timeout(HEAR_SECONDS):
            with suppress(ConnectionResetError):
                while data := await self.reader.read(READ_BYTES):
                    heard += data
        return heard

    async def until_quiet(self) -> bytes:
        """Read what there is up to the reply to a PING of our own, or until the other side ends."""
        mark = uuid4().hex.encode()
        await self.say(command(b"PING", mark))
        heard = b""
        async with asyncio.timeout(HEAR_SECONDS):
            with suppress(ConnectionResetError):
                while mark not in heard and (data := await self.reader.read(READ_BYTES)):
                    heard += data
        return heard.replace(b"$32\r\n%b\r\n" % mark, b"MARK")


@asynccontextmanager
async def line(host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator["Line"]:
    """A connection by TCP, or by a unix socket where the host is a path."""
    if host.startswith("/"):
        reader, writer = await asyncio.open_unix_connection(host)
    else:
        reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


def command(*words: bytes | str | int) -> bytes:
    """A command as clients write it."""
    sent = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n%b" % (len(sent), b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in sent))
