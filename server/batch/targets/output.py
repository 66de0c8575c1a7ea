"""Output: a line of JSON a row on standard output, or on whatever takes bytes."""

import asyncio
from collections.abc import Sequence
from typing import BinaryIO

from server.batch.scored import Scored
from server.batch.targets.target import PartName, Refused


class Output:
    """Lines of one part stay together; a part that is done again is there twice."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._turn = asyncio.Lock()

    async def write(self, name: PartName, scored: Sequence[Scored]) -> Refused:
        """Write the answers, and flush.

        Raises: BrokenPipeError, nobody reads them any more.
        """
        lines = b"".join([answer + b"\n" for one in scored for answer in one.answers])
        async with self._turn:
            await asyncio.to_thread(self._written, lines)
        return {}

    def _written(self, lines: bytes) -> None:
        self._stream.write(lines)
        self._stream.flush()

    async def present(self, keys: Sequence[str]) -> None:
        """Nobody can tell what was read."""

    async def finish(self) -> None:
        """Nothing is left to do."""
