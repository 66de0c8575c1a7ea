"""A raw connection to a server, and the answers read off it: httpx does not say what these tests say."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

import orjson

from tests.integration.rest.wired import HOST

WAIT_SECONDS = 20.0
ROUND_SECONDS = 0.004
EMPTY = (204, 304)


@dataclass(frozen=True)
class Reply:
    """One answer; `raw` is every byte of it."""

    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def data(self) -> Any:
        return orjson.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the error, empty without one."""
        return str(self.data.get("error", {}).get("code", ""))

    @property
    def last(self) -> bool:
        """Whether the server says that the connection ends with it."""
        return self.headers.get("connection") == "close"


def taken(heard: bytes) -> tuple[Reply | None, bytes]:
    """Return the first answer that is whole, and what follows it."""
    head, found, rest = heard.partition(b"\r\n\r\n")
    if not found:
        return None, heard
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    status = int(first.split(" ")[1])
    length = 0 if status < 200 or status in EMPTY else int(headers["content-length"])
    if len(rest) < length:
        return None, heard
    raw = heard[: len(head) + 4 + length]
    return Reply(status, headers, rest[:length], raw), heard[len(raw) :]


@dataclass
class Line:
    """One connection, and what came back on it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    rest: bytes = b""
    ended: bool = False

    async def say(self, *parts: bytes, pause: float = 0.0005) -> None:
        """Send parts one after the other, each alone; a server that has hung up is no fault."""
        with suppress(ConnectionError):
            for number, part in enumerate(parts):
                if number:
                    await asyncio.sleep(pause)  # what is said at once may be read at once
                self.writer.write(part)
                await self.writer.drain()

    async def hear(self, count: int = 1, seconds: float = WAIT_SECONDS) -> list[Reply]:
        """Return so many answers, fewer when the connection ends or nothing comes for too long."""
        found: list[Reply] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while len(found) < count:
                    reply, self.rest = taken(self.rest)
                    if reply is not None:
                        found.append(reply)
                    elif not await self.more():
                        break
        return found

    async def more(self) -> bool:
        """Wait for more bytes; false at the end."""
        try:
            part = await self.reader.read(1 << 16)
        except ConnectionError:
            part = b""
        self.rest += part
        self.ended = not part
        return bool(part)

    async def end(self, seconds: float = WAIT_SECONDS) -> bytes:
        """Return what is said until the server hangs up."""
        async with asyncio.timeout(seconds):
            while await self.more():
                pass
        return self.rest

    async def silence(self, rounds: int = 10) -> bytes:
        """Return what is said until nothing was for so many rounds of a few milliseconds; nothing, as a rule.

        Rounds, because a machine that stands still for a moment is no silent server.
        """
        quiet, heard = 0, len(self.rest)
        while quiet < rounds and not self.ended:
            with suppress(TimeoutError):
                await self.end(ROUND_SECONDS)
            quiet = quiet + 1 if len(self.rest) == heard else 0
            heard = len(self.rest)
        return self.rest

    def leave(self) -> None:
        """End the connection at once, as a process that dies does."""
        self.writer.transport.abort()


@asynccontextmanager
async def line(port: int, host: str = HOST, tls: SSLContext | None = None) -> AsyncIterator[Line]:
    """Connect for as long as the block lasts."""
    reader, writer = await asyncio.open_connection(host, port, ssl=tls)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


def head(*lines: str, body: bytes = b"") -> bytes:
    """Return a request of these lines, as they are."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def post(body: bytes, *more: str, path: str, kind: str = "application/json") -> bytes:
    """Return a plain request; `more` are header lines."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}", *more]
    return head(*lines, f"Content-Length: {len(body)}", body=body)


def chunked(parts: Iterable[bytes]) -> bytes:
    """Return a body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
