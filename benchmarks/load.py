"""A closed-loop HTTP load over keep-alive connections: each sends its next request on the answer.

    python -m benchmarks.load HOST PORT CONNECTIONS SECONDS   requests on standard input, one body a line

It prints one JSON line: answers, errors, seconds and latency percentiles in milliseconds.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from typing import cast

import numpy as np
import uvloop

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"


@dataclass
class Counts:
    """What one load saw."""

    latencies: list[float] = field(default_factory=list)
    errors: int = 0


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, requests: "cycle[bytes]", counts: Counts, until: float) -> None:
        self.requests, self.counts, self.until = requests, counts, until
        self.done = asyncio.get_running_loop().create_future()
        self.buffer = b""
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = cast(asyncio.Transport, transport)
        self.send()

    def send(self) -> None:
        """Send the next request, or leave when the time is over."""
        self.sent = time.perf_counter()
        if self.sent >= self.until:
            self.transport.close()
            return
        self.transport.write(next(self.requests))

    def data_received(self, data: bytes) -> None:
        """Count an answer once it is whole."""
        self.buffer += data
        head = self.buffer.find(END_OF_HEAD)
        if head < 0:
            return
        at = self.buffer.lower().find(LENGTH, 0, head) + len(LENGTH)
        end = head + len(END_OF_HEAD) + int(self.buffer[at : self.buffer.find(b"\r\n", at)])
        if len(self.buffer) < end:
            return
        self.counts.latencies.append(time.perf_counter() - self.sent)
        self.counts.errors += self.buffer[9:12] != b"200"
        self.buffer = self.buffer[end:]
        self.send()

    def connection_lost(self, _error: Exception | None) -> None:
        """End this connection's part of the load."""
        if not self.done.done():
            self.done.set_result(None)


def itself(protocol: Connection) -> Connection:
    """Return the protocol: asyncio asks for a factory."""
    return protocol


def request(host: str, path: str, body: bytes) -> bytes:
    """Return the bytes of one POST."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def load(host: str, port: int, connections: int, seconds: float, requests: list[bytes]) -> Counts:
    """Keep every connection busy for the given time and return what was seen."""
    counts = Counts()
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    protocols = []
    for number in range(connections):
        protocol = Connection(cycle(requests[number:] + requests[:number]), counts, until)
        await loop.create_connection(partial(itself, protocol), host, port)
        protocols.append(protocol)
    async with asyncio.timeout(seconds + 30):
        await asyncio.gather(*(protocol.done for protocol in protocols))
    return counts


def main() -> None:
    """Run one load and print what was seen."""
    host, port, connections, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    path, *bodies = sys.stdin.buffer.read().splitlines()
    requests = [request(host, path.decode(), body) for body in bodies]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        counts = runner.run(load(host, port, connections, seconds, requests))
    p50, p99 = np.percentile(counts.latencies, (50, 99)) * 1e3
    rate = len(counts.latencies) / seconds
    sys.stdout.write(json.dumps({"rate": rate, "errors": counts.errors, "p50_ms": p50, "p99_ms": p99}) + "\n")


if __name__ == "__main__":
    main()
