"""Work for a client, done as long as it is there to hear of it."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

Found = TypeVar("Found")
SHORT_SECONDS = 0.1  # work that takes no longer is not watched over


class Watch:
    """Cancels the task that made it when a client goes, until it is over."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._mine = asyncio.current_task()
        self._over = False
        self._leaving: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(SHORT_SECONDS, self._begin)

    def _begin(self) -> None:
        self._leaving = asyncio.create_task(left(self._request))
        self._leaving.add_done_callback(self._gone)

    def _gone(self, leaving: "asyncio.Task[None]") -> None:
        if leaving.cancelled():
            return
        leaving.exception()  # looked at, or a log would tell that nobody did
        if self._mine is not None and not self._over:
            self._mine.cancel()

    def reason(self) -> BaseException | None:
        """Return what the client has ended the work by, None where it was not it, or not it alone.

        That is then no cancellation any more.
        """
        leaving = self._leaving
        if self._mine is None or leaving is None or leaving.cancelled() or not leaving.done():
            return None
        return None if self._mine.uncancel() else leaving.exception() or ClientDisconnect()

    def end(self) -> None:
        """Watch no longer."""
        self._over = True
        self._timer.cancel()
        if self._leaving is not None:
            self._leaving.cancel()


async def heard(request: Request, work: Awaitable[Found]) -> Found:
    """Return what work for a request returns; it is cancelled when the client goes.

    A body that nobody has asked for is read meanwhile, and thrown away.

    Raises: ClientDisconnect; BodyTooLarge and BodyTooSlow, of such a body; what the work raises.
    """
    watch = Watch(request)
    try:
        return await work
    except asyncio.CancelledError:
        reason = watch.reason()
        if reason is None:
            raise
        raise reason from None
    finally:
        watch.end()


async def left(request: Request) -> None:
    """Wait until the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
