"""An open load: requests leave at a given rate, whether answers come or not. wrk cannot: it waits for answers.

python -m benchmarks.open_load HOST PORT PATH BODIES RATE SECONDS CONNECTIONS    prints one line of JSON

Counts are by status; latency is told apart for accepted (200) and refused requests. A request that finds no
free connection is not sent, and counted as held back.
"""

import asyncio
import json
import sys
import time
from collections import defaultdict, deque
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import cast

import numpy as np
import uvloop

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"
TICK_SECONDS = 0.001
SPARE_SECONDS = 15.0


class Crowd:
    """All connections, those that are free, and what they saw."""

    def __init__(self, requests: "cycle[bytes]") -> None:
        self.requests = requests
        self.free: deque[Connection] = deque()
        self.latencies: dict[int, list[float]] = defaultdict(list)
        self.lost = 0

    @property
    def answered(self) -> int:
        """How many answers came."""
        return sum(map(len, self.latencies.values()))


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request on its way."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.buffer = b""
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be free."""
        self.transport = cast(asyncio.Transport, transport)
        self.crowd.free.append(self)

    def send(self) -> None:
        """Send the next request."""
        self.sent = time.perf_counter()
        self.transport.write(next(self.crowd.requests))

    def data_received(self, data: bytes) -> None:
        """Count an answer once it is whole, and be free again."""
        self.buffer += data
        head = self.buffer.find(END_OF_HEAD)
        if head < 0:
            return
        at = self.buffer.lower().find(LENGTH, 0, head) + len(LENGTH)
        end = head + len(END_OF_HEAD) + int(self.buffer[at : self.buffer.find(b"\r\n", at)])
        if len(self.buffer) < end:
            return
        self.crowd.latencies[int(self.buffer[9:12])].append(time.perf_counter() - self.sent)
        self.buffer, self.sent = self.buffer[end:], 0.0
        self.crowd.free.append(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Count a request that got no answer."""
        self.crowd.lost += bool(self.sent)
        if self in self.crowd.free:
            self.crowd.free.remove(self)


def request(path: str, body: bytes) -> bytes:
    """Return the bytes of one POST."""
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


async def connected(host: str, port: int, crowd: Crowd, count: int) -> None:
    """Open the connections."""
    loop = asyncio.get_running_loop()
    for _ in range(count):
        await loop.create_connection(partial(Connection, crowd), host, port)


async def offer(crowd: Crowd, rate: float, seconds: float) -> tuple[int, int]:
    """Send at the rate for the time; return how many were sent and how many held back."""
    begun = time.perf_counter()
    sent = held = 0
    while (elapsed := time.perf_counter() - begun) < seconds:
        for _ in range(int(elapsed * rate) - sent - held):
            if crowd.free:
                crowd.free.popleft().send()
                sent += 1
            else:
                held += 1
        await asyncio.sleep(TICK_SECONDS)
    return sent, held


async def loaded(crowd: Crowd, arguments: list[str]) -> dict[str, object]:
    """Run the load and return what was seen."""
    host, port, rate, seconds, count = arguments
    await connected(host, int(port), crowd, int(count))
    sent, held = await offer(crowd, float(rate), float(seconds))
    await drained(crowd, sent)
    return {
        "sent": sent,
        "held_back": held,
        "lost": sent - crowd.answered,
        "statuses": {status: len(times) for status, times in crowd.latencies.items()},
        "accepted": percentiles(crowd.latencies.get(200, [])),
        "refused": percentiles(
            [t for status, times in crowd.latencies.items() if status != 200 for t in times]
        ),
    }


async def drained(crowd: Crowd, sent: int) -> None:
    """Return once every request is answered or lost, or the time for it is over."""
    until = time.perf_counter() + SPARE_SECONDS
    for _ in range(int(SPARE_SECONDS / TICK_SECONDS)):
        if crowd.answered + crowd.lost >= sent or time.perf_counter() > until:
            return
        await asyncio.sleep(TICK_SECONDS)


def percentiles(times: list[float]) -> dict[str, float]:
    """Return the latencies that matter, in milliseconds."""
    if not times:
        return {}
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    return {"p50_ms": float(p50), "p99_ms": float(p99), "max_ms": max(times) * 1e3}


def main() -> None:
    """Run one load and print what was seen."""
    host, port, path, bodies, *rest = sys.argv[1:]
    lines = Path(bodies).read_bytes().splitlines()
    crowd = Crowd(cycle([request(path, body) for body in lines]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seen = runner.run(loaded(crowd, [host, port, *rest]))
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
