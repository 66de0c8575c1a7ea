"""Unary ModelInfer calls by gRPC: so many on their way at once, the next one sent when an answer is there.

python -m benchmarks.grpc_load HOST PORT MESSAGES MESSAGE_BYTES CALLS SECONDS    prints one line of JSON

MESSAGES has requests of MESSAGE_BYTES each, sent in turns as they are; answers stay bytes too. Every answer must be
as long as the first one. What a call still costs here is gRPC for Python itself: `client_share` is how much of one core
this process took, and near 1.0 it is the client that bounds the rate. With two cores the server has the other one.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import cycle
from pathlib import Path

import grpc.aio
import numpy as np

from benchmarks.infer_requests import METHOD

CHANNELS = 4
ANSWER_SECONDS = 10.0

Call = Callable[..., Awaitable[bytes]]


class Load:
    """What is sent and what came back; times in seconds."""

    def __init__(self, messages: list[bytes], seconds: float) -> None:
        self.messages, self.seconds = cycle(messages), seconds
        self.until = 0.0
        self.times: list[float] = []
        self.lengths: set[int] = set()

    async def ask(self, call: Call) -> None:
        """Send one call after the other until the time is over.

        Raises: grpc.aio.AioRpcError, a call failed.
        """
        while (begun := time.perf_counter()) < self.until:
            answer = await call(next(self.messages), timeout=ANSWER_SECONDS)
            self.times.append(time.perf_counter() - begun)
            self.lengths.add(len(answer))

    async def run(self, address: str, calls: int) -> dict[str, float]:
        """Keep so many calls on their way over a few channels and return what was measured."""
        options = [("grpc.use_local_subchannel_pool", 1)]  # a connection a channel, not one for all
        channels = [grpc.aio.insecure_channel(address, options) for _ in range(min(CHANNELS, calls))]
        try:
            methods = [channel.unary_unary(METHOD) for channel in channels]
            await asyncio.gather(*(channel.channel_ready() for channel in channels))
            begun, used = time.perf_counter(), time.process_time()
            self.until = begun + self.seconds
            await asyncio.gather(*(self.ask(methods[number % len(methods)]) for number in range(calls)))
            return self.figures(time.perf_counter() - begun, time.process_time() - used)
        finally:
            await asyncio.gather(*(channel.close() for channel in channels))

    def figures(self, seconds: float, used: float) -> dict[str, float]:
        """Return the rate, latency in milliseconds and the client's own share of a core.

        Raises: ValueError, answers of several lengths.
        """
        if len(self.lengths) != 1:
            raise ValueError(f"answers of {sorted(self.lengths)} bytes: not all of them are whole")
        p50, p90, p99, most = np.percentile(self.times, (50, 90, 99, 100)) * 1e3
        return {
            "rate": len(self.times) / seconds,
            "requests": len(self.times),
            "seconds": seconds,
            "p50_ms": p50,
            "p90_ms": p90,
            "p99_ms": p99,
            "max_ms": most,
            "client_share": used / seconds,
        }


def main() -> None:
    """Run one load and print what it saw."""
    host, port, path, size, calls, seconds = sys.argv[1:]
    data = Path(path).read_bytes()
    messages = [data[start : start + int(size)] for start in range(0, len(data), int(size))]
    told = asyncio.run(Load(messages, float(seconds)).run(f"{host}:{port}", int(calls)))
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
