"""Replies of hundreds of megabytes, put together in turns with everybody else."""

import asyncio
from collections.abc import Iterable
from io import BytesIO

PART_BYTES = 1 << 20  # that are copied before others have their turn


async def put_together(pieces: Iterable[bytes | memoryview]) -> bytes:
    """Return pieces as one, each copied once; between parts of long ones others have their turn."""
    whole = BytesIO()  # it hands out what it holds without copying it
    for piece in pieces:
        if len(piece) <= PART_BYTES:
            whole.write(piece)
            continue
        view = memoryview(piece)
        for at in range(0, len(view), PART_BYTES):
            whole.write(view[at : at + PART_BYTES])
            await asyncio.sleep(0)
    return whole.getvalue()
