"""A master, its replica and sentinels that guard them: real processes, promoted when a test says so."""

import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.retry import Retry

from tests.servers import STOP_SECONDS, RedisServer, free_port, wait_until

SERVICE = "features"
DOWN_AFTER_MS = 500


@dataclass
class Sentinel:
    """One sentinel; it keeps what it learns in its file, so that it starts again as it ended."""

    binary: Path
    master_port: int
    settings: str = ""
    port: int = field(default_factory=free_port)
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="insitu-", dir="/tmp")))
    process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> "Sentinel":
        """Start and wait until it answers."""
        file = self.directory / "sentinel.conf"
        if not file.exists():
            file.write_text(
                f"port {self.port}\nbind 127.0.0.1\nprotected-mode no\ndir {self.directory}\n"
                f"sentinel monitor {SERVICE} 127.0.0.1 {self.master_port} 1\n"
                f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER_MS}\n"
                f"sentinel failover-timeout {SERVICE} 3000\n{self.settings}\n"
            )
        with (self.directory / "sentinel.log").open("ab") as log:
            self.process = subprocess.Popen([self.binary, file, "--sentinel"], stdout=log, stderr=log)
        wait_until(self.answers, "the sentinel did not answer")
        return self

    def answers(self) -> bool:
        try:
            with self.connect() as client:
                return bool(client.execute_command("PING"))
        except AuthenticationError:
            return True
        except RedisError:
            return False

    def connect(self) -> Redis:
        """Return a synchronous client; close it."""
        return Redis(port=self.port, socket_timeout=STOP_SECONDS, retry=Retry(NoBackoff(), 0))

    def pause(self) -> None:
        """Have it take connections and say nothing."""
        if self.process is not None:
            self.process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
            self.process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


@dataclass
class Guard:
    """A master and a replica that has its data, with sentinels."""

    master: RedisServer
    replica: RedisServer
    sentinels: list[Sentinel]

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(one.place for one in self.sentinels)}/{SERVICE}"

    def fail_over(self) -> None:
        """Promote the replica while the master is well, and wait until it is known."""
        wait_until(self.begun, "no failover was begun")
        self.wait_for(self.replica)

    def begun(self) -> bool:
        try:
            with self.sentinels[0].connect() as client:
                return bool(client.execute_command("SENTINEL", "FAILOVER", SERVICE))
        except ResponseError:  # the sentinel has not looked at the replica yet
            return False

    def wait_for(self, master: RedisServer) -> None:
        """Wait until the sentinels name this server."""
        for one in self.sentinels:
            wait_until(partial(names, one, master.port), "the sentinels did not fail over")


def names(sentinel: Sentinel, port: int) -> bool:
    with sentinel.connect() as client:
        return client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1] == b"%d" % port


def start_guard(binary: Path, stack: ExitStack, sentinels: int = 2, settings: str = "") -> Guard:
    """Start everything and wait until the sentinels know the replica."""
    quick = ("--repl-diskless-sync-delay", "0", "--appendonly", "no")
    master = RedisServer(binary, quick, free_port())
    stack.callback(master.close)
    master.start()
    replica = RedisServer(binary, (*quick, "--replicaof", "127.0.0.1", str(master.port)), free_port())
    stack.callback(replica.close)
    replica.start()
    wait_until(partial(in_step, replica), "the replica did not get its data")
    guards = []
    for _ in range(sentinels):
        guards.append(Sentinel(binary, master.port, settings))
        stack.callback(guards[-1].close)
        guards[-1].start()
        wait_until(partial(knows_replica, guards[-1]), "the sentinel did not find the replica")
    return Guard(master, replica, guards)


def in_step(replica: RedisServer) -> bool:
    with replica.connect() as client:
        return client.info("replication")["master_link_status"] == "up"


def knows_replica(sentinel: Sentinel) -> bool:
    text = (sentinel.directory / "sentinel.log").read_text()
    return "+slave slave" in text
