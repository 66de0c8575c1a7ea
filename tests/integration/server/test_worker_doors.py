"""The doors beside HTTP of several workers: nobody who waits at one, or asks through one, is lost with a worker."""

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from contextlib import ExitStack

import grpc.aio
import pytest

from server.rpc.http2 import frames
from server.rpc.messages import SERVICE
from tests.integration.server.conftest import Serve
from tests.integration.server.test_workers import CLIENTS, REPLACED_SECONDS, workers_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")

SECONDS = 60.0
GREETINGS = {"grpc": frames.PREFACE + frames.settings({}), "resp": b"ECHO hello\r\n"}
ANSWERS = {"grpc": frames.frame(frames.SETTINGS, 0, 0)[3:], "resp": b"$5\r\nhello\r\n"}
CHANNELS, CALLS = 4, 16


@pytest.mark.timeout(600)
@pytest.mark.parametrize("door", GREETINGS)
def test_connections_that_wait_at_a_worker_that_dies_are_taken_by_others(
    serve: Serve, redis_url: str, door: str
) -> None:
    server = serve(redis_url, INSITU_WORKERS="2")
    host, _, port = server.told[door].rpartition(":")
    one, other = workers_of(server.pid)
    for pid in (one, other):
        os.kill(pid, signal.SIGSTOP)
    with ExitStack() as stack:
        waiting = [
            stack.enter_context(socket.create_connection((host, int(port)), timeout=SECONDS))
            for _ in range(CLIENTS)
        ]
        os.kill(one, signal.SIGKILL)
        os.kill(other, signal.SIGCONT)
        for line in waiting:
            line.sendall(GREETINGS[door])
        told = [line.recv(1 << 16) for line in waiting]

    assert all(ANSWERS[door] in one for one in told)


@pytest.mark.timeout(600)
async def test_a_restart_one_after_the_other_fails_no_call(serve: Serve, redis_url: str) -> None:
    server = serve(redis_url, INSITU_WORKERS="2")
    before = workers_of(server.pid)
    told: Counter[str] = Counter()
    over = asyncio.Event()

    async def ask(channel: grpc.aio.Channel) -> None:
        live = channel.unary_unary(f"/{SERVICE}/ServerLive")
        while not over.is_set():
            try:
                await live(b"", timeout=SECONDS)
                told["answered"] += 1
            except grpc.aio.AioRpcError as error:
                told[str(error.details())] += 1

    def renewed() -> bool:
        now = workers_of(server.pid)
        return len(now) == 2 and not set(now) & set(before)

    channels = [
        grpc.aio.insecure_channel(server.grpc, [("grpc.use_local_subchannel_pool", 1)])
        for _ in range(CHANNELS)
    ]
    asking = [asyncio.create_task(ask(one)) for one in channels for _ in range(CALLS)]
    server.signal(signal.SIGHUP)
    async with asyncio.timeout(REPLACED_SECONDS):
        while not renewed():  # noqa: ASYNC110  # processes come and go, and nobody tells
            await asyncio.sleep(0.05)
    over.set()
    await asyncio.gather(*asking)
    for one in channels:
        await one.close()

    assert set(told) == {"answered"}
