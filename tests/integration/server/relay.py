"""A relay in front of a real Redis, for what happens on the way: replies in pieces, connections cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


class Relay:
    """Hands bytes on both ways: replies in pieces, and the first connections cut after so many bytes of replies.

    `every` is the seconds between two pieces, `wait` those before each.
    """

    def __init__(
        self,
        redis: Path,
        piece: int = 1 << 16,
        every: float = 0,
        cuts: tuple[int, ...] = (),
        wait: float = 0,
    ) -> None:
        self.redis, self.piece, self.every, self.cuts, self.wait = redis, piece, every, list(cuts), wait
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._ends: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def running(self, path: Path) -> AsyncIterator[str]:
        """Listen on a socket; the URL of it."""
        server = await asyncio.start_unix_server(self._connected, str(path))
        try:
            yield f"unix://{path}"
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
            await asyncio.gather(*self._ends, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        self._ends.append(asyncio.create_task(self._join(reader, writer)))

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left = self.cuts.pop(0) if self.cuts else None
        there, back = await asyncio.open_unix_connection(str(self.redis))
        asking = asyncio.create_task(hand_on(reader, back))
        while left != 0 and (data := await there.read(self.piece if left is None else left)):
            await asyncio.sleep(self.wait)
            writer.write(data)
            left = None if left is None else left - len(data)
            await asyncio.sleep(self.every)
        writer.close()
        await asyncio.gather(asking, return_exceptions=True)


async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on what is said until its end, then end too."""
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def saying(path: Path, words: bytes) -> AsyncIterator[str]:
    """Something that is no Redis: it says its words to whoever connects; the URL of it."""

    writers: list[asyncio.StreamWriter] = []

    def said(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(words)

    server = await asyncio.start_unix_server(said, str(path))
    try:
        yield f"unix://{path}"
    finally:
        server.close()
        for writer in writers:
            writer.close()
