"""A server in a process of its own stays awake for a client that asks one request after the other."""

import os
import socket
import time
from pathlib import Path

import pytest

from server.cores import available_cores
from tests.integration.rest.conftest import Serve
from tests.integration.rest.speaking import post

KEYED = post(b'{"keys": ["customer:1"]}', path="/v1/models/churn/predict")
REQUESTS = 300
PAUSE_SECONDS = 0.0003  # of a client, too short for the server to sleep long
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")

pytestmark = [
    pytest.mark.usefixtures("stocked"),
    pytest.mark.skipif(available_cores() < 2, reason="where there is one core the server sleeps"),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are read from /proc"),
]


def processor_seconds(pid: int) -> float:
    """How long a process had a processor so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_SECONDS


def spent(serve: Serve, request: bytes, microseconds: int) -> float:
    """The processor time of a server that is asked without a pause that is worth it."""
    server = serve(INSITU_CLIENT_BUSY_POLL_US=str(microseconds), INSITU_REDIS_BUSY_POLL_US="0")
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        for _ in range(50):
            line.sendall(request)
            assert line.recv(1 << 16).startswith(b"HTTP/1.1 200")
        before = processor_seconds(server.pid)
        for _ in range(REQUESTS):
            until = time.perf_counter() + PAUSE_SECONDS
            while time.perf_counter() < until:
                pass
            line.sendall(request)
            line.recv(1 << 16)
        return processor_seconds(server.pid) - before


def test_who_asks_for_one_key_after_the_other_is_awaited_awake(serve: Serve) -> None:
    asleep, awake = (spent(serve, KEYED, microseconds) for microseconds in (0, 1000))

    assert awake - asleep > REQUESTS * PAUSE_SECONDS / 3
