"""Work whose time grows with a message: done here while that is short, else in a thread beside the event loop."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

LARGE_BYTES = 1 << 20
Given = ParamSpec("Given")
Found = TypeVar("Found")


async def beside(size: int, work: Callable[Given, Found], *given: Given.args, **named: Given.kwargs) -> Found:
    """Return what work on so many bytes returns.

    Raises: what the work raises.
    """
    if size <= LARGE_BYTES:
        return work(*given, **named)
    return await asyncio.to_thread(work, *given, **named)
