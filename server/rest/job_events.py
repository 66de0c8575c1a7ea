"""How a job goes on, as server-sent events: one a second, until it has ended.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator

from fastapi import Request
from starlette.responses import StreamingResponse

from models.errors import InsituError
from models.ledger import RUNNING, Ledger, Standing
from server.rest.errors import facts
from server.rest.job_views import view
from server.rest.wire import as_json

EVENT_SECONDS = 1.0
LOOK_SECONDS = 0.1  # whether the server ends
LONGEST_SECONDS = 3600.0  # then the client asks again, as a browser does by itself
RATE_EVENTS = 10
NO_STORE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx would hold events back


class Rate:
    """Rows a second over the last events."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque(maxlen=RATE_EVENTS + 1)

    def of(self, standing: Standing) -> float | None:
        """Take how a job stands, and return its rate; None at the first time."""
        now, rows = time.monotonic(), standing.tally.rows
        self._seen.append((now, rows))
        since, before = self._seen[0]
        return max(0, rows - before) / (now - since) if now > since else None


def answer(request: Request, ledger: Ledger, first: Standing) -> StreamingResponse:
    """Return the stream of a job that is there."""
    return StreamingResponse(events(request, ledger, first), media_type="text/event-stream", headers=NO_STORE)


async def events(request: Request, ledger: Ledger, standing: Standing) -> AsyncIterator[bytes]:
    """Yield how a job stands each second; the last event is that it has ended, or an error."""
    rate, until = Rate(), time.monotonic() + LONGEST_SECONDS
    yield event("", view(standing, rate.of(standing)))
    while standing.state == RUNNING and time.monotonic() < until:
        if not await goes_on(request):
            return
        try:
            standing = await ledger.look()
        except InsituError as error:
            yield event("error", {"error": facts(error)})
            return
        yield event("", view(standing, rate.of(standing) if standing.state == RUNNING else None))


async def goes_on(request: Request) -> bool:
    """Wait for the next event; false when the server ends meanwhile."""
    until = time.monotonic() + EVENT_SECONDS
    while time.monotonic() < until:
        if request.app.state.ending.begun:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    return True


def event(name: str, data: object) -> bytes:
    """Return one event; one without a name is a message."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + as_json(data) + b"\n"  # as_json ends its line, the empty one ends the event
