"""Ending tasks, so that none outlives what it works with."""

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN_SECONDS = 0.1


async def ended(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks until every one of them has ended; what they raise is nobody's any more.

    Once is not enough: redis-py sends with asyncio.wait_for, which before Python 3.12 loses a
    cancellation that comes as the sending is done.
    """
    every = list(tasks)
    while pending := [task for task in every if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=AGAIN_SECONDS)
    await asyncio.gather(*every, return_exceptions=True)
