"""Callers as commands see them, without a door: an engine, and a connection of the client's own to a real Redis.

asked = Asker(caller, COMMANDS)
await asked("AI.TENSORGET", "x", "META")     the reply as a client reads it, an error as a ResponseError
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

import hiredis
from redis.exceptions import ResponseError

from models.encoding import pieces
from models.replies import parsed
from server.inference.engine import Engine
from server.resp import refusals
from server.resp.caller import Caller, Word
from server.resp.commands.command import Command
from server.resp.wire import replies
from server.resp.wire.replies import RESP2, Encoder

READ_BYTES = 1 << 16
REPLY_SECONDS = 20.0


class OwnConnection:
    """One connection to Redis, over which commands go out in one write; replies are as Redis sends them, in RESP2.

    `trips` counts the writes, `sent` the commands.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._parser: Any = hiredis.Reader(replyError=ResponseError)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._lock = asyncio.Lock()
        self.trips = self.sent = 0

    async def __call__(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        """Send commands and return a reply each; a text that is no UTF-8 keeps its bytes as surrogates do."""
        async with self._lock, asyncio.timeout(REPLY_SECONDS):
            reader, writer = self._streams = self._streams or await self._connected()
            writer.writelines(pieces([as_sent(word) for word in words] for words in commands))
            self.trips, self.sent = self.trips + 1, self.sent + len(commands)
            return [await self._reply(reader) for _ in commands]

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._parts.scheme == "unix":
            return await asyncio.open_unix_connection(self._parts.path)
        return await asyncio.open_connection(self._parts.hostname, self._parts.port or 6379)

    async def _reply(self, reader: asyncio.StreamReader) -> Any:
        while (reply := self._parser.gets()) is False:
            data = await reader.read(READ_BYTES)
            assert data, "Redis closed the connection"
            self._parser.feed(data)
        return reply

    async def close(self) -> None:
        """Close it, if it was ever opened."""
        if self._streams is not None:
            self._streams[1].close()
            await self._streams[1].wait_closed()


def as_sent(word: Word) -> Word:
    """A word as a connection writes it."""
    return word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word


class Asker:
    """Commands answered for one caller, after the check of their number of words that a door makes."""

    def __init__(self, caller: Caller, commands: Iterable[Command]) -> None:
        self.caller = caller
        self.commands = {command.name.upper(): command for command in commands}

    async def raw(self, name: str, *words: Word) -> bytes:
        """Return the bytes of a reply; what a command refuses in its own words too."""
        command = self.commands[name.upper()]
        if not command.fits(len(words) + 1):
            return replies.error(f"ERR wrong number of arguments for '{name.lower()}' command")
        try:
            return await command.answer(self.caller, [as_bytes(word) for word in words])
        except refusals.Refused as refused:
            return replies.error(str(refused))

    async def __call__(self, name: str, *words: Word) -> Any:
        """Return a reply as a client reads it, an error as a ResponseError; it must be exactly one."""
        (reply,) = parsed(await self.raw(name, *words), 1)
        return reply


def as_bytes(word: Word) -> bytes:
    """A word as a command gets it."""
    sent = as_sent(word)
    return sent if isinstance(sent, bytes) else str(sent).encode()


async def connected(engine: Engine, url: str, wire: Encoder = RESP2, db: int = 0) -> AsyncIterator[Caller]:
    """Give a caller whose connection is closed in the end."""
    own = OwnConnection(url)
    if db:
        await own([("SELECT", db)])
    yield Caller(engine, own, wire, db)
    await own.close()
