"""Threads: reading of files beside the loop, a step at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TypeVar

Result = TypeVar("Result")


async def beside(make: Callable[[], Iterator[Result]]) -> AsyncIterator[Result]:
    """Give what an iterator gives, each thing made in a thread while the loop goes on."""
    iterator = await in_thread(make)
    while (one := await in_thread(partial(next, iterator, None))) is not None:
        yield one


async def in_thread(work: Callable[[], Result]) -> Result:
    """Return what a function returns, run in a thread of its own.

    Nobody waits for that thread when the program ends: standard input may never end.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(set_outcome: Callable[[], None]) -> None:
        if not future.done():  # nobody waits any more
            set_outcome()

    def run() -> None:
        try:
            outcome = partial(future.set_result, work())
        except Exception as error:  # noqa: BLE001  # raised where it is waited for
            outcome = partial(future.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, outcome)

    Thread(target=run, daemon=True, name="insitu-files").start()
    return await future
