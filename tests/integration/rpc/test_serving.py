"""The port of gRPC as `insitu serve` opens it: beside HTTP's, shared by workers, told when it is taken."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from server.rpc.messages import SERVICE, message
from tests.integration.rpc.calling import SECONDS
from tests.servers import free_port, wait_until
from tests.serving import ROOT, ServeCommand

Serve = Callable[..., ServeCommand]


@pytest.fixture
def serve(redis_url: str) -> Iterator[Serve]:
    """A factory: `insitu serve`; keywords are settings of the environment."""
    started: list[ServeCommand] = []

    def start(**settings: str) -> ServeCommand:
        started.append(ServeCommand(redis_url, settings))
        return started[-1].start()

    yield start
    for one in started:
        one.close()


def live(address: str) -> bool:
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.unary_unary(f"/{SERVICE}/ServerLive")
        return bool(message("ServerLiveResponse").FromString(call(b"", timeout=SECONDS)).live)


def test_several_workers_share_the_port_and_end_in_time(serve: Serve) -> None:
    server = serve(INSITU_WORKERS="2")

    assert all(live(server.grpc) for _ in range(10))
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_with_a_port_of_minus_one_none_is_opened(serve: Serve) -> None:
    server = serve(INSITU_GRPC_PORT="-1")

    assert server.url
    assert "grpc" not in server.told


def test_its_port_is_the_one_after_that_of_http(serve: Serve, tmp_path: Path, redis_url: str) -> None:
    port = pair_of_ports()
    command = [
        sys.executable,
        "-m",
        "cli.main",
        "serve",
        "--json",
        "--port",
        str(port),
        "--redis-url",
        redis_url,
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        told: dict[str, Any] = json.loads(process.stdout.readline())
        process.terminate()
        process.wait(SECONDS)

    assert told["grpc"] == f"127.0.0.1:{port + 1}"


def pair_of_ports() -> int:
    """Return a port that is free, as the one after it is."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port + 1)):
                return port


def test_a_port_that_is_taken_is_named_with_the_cure(redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "cli.main", "serve", "--port", "0", "--grpc-port", str(port)]
        done = subprocess.run(
            [*command, "--redis-url", redis_url],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port} for gRPC" in done.stderr
    assert "--grpc-port" in done.stderr


def test_a_call_under_way_is_answered_before_the_server_ends(serve: Serve) -> None:
    server = serve()
    with grpc.insecure_channel(server.grpc) as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=SECONDS)
        assert next(watch) == b"\x08\x01"
        server.signal(signal.SIGTERM)
        assert list(watch) == [b"\x08\x02"]

    assert server.wait() == 0
    wait_until(lambda: server.process is not None and server.process.poll() == 0, "the server is left")
