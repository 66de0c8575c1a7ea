"""A Redis for whoever has none: a real server process whose data stay in a directory of the user's.

One process a directory: the server inherits an exclusive lock on DIR/lock, so the lock lives as long as the
server does, whoever started it and however that one ended. DIR/server.json tells other terminals where it is.
"""

import fcntl
import json
import logging
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path
from redis.exceptions import RedisError

from cli import redis_process
from cli.redis_process import EmbeddedRedisFailed

log = logging.getLogger(__name__)

PREFERRED_PORT = 6390


@dataclass(frozen=True)
class EmbeddedRedis:
    """A running embedded Redis; `process` is None when somebody else started it and so must stop it."""

    directory: Path
    socket: Path
    port: int
    pid: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The unix socket, for programs on this machine that want the short way."""
        return f"unix://{self.socket}"

    @property
    def tcp_url(self) -> str:
        """The loopback port, for clients that know no unix socket."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def shared(self) -> bool:
        """Whether it was running already: `stop` leaves it alone."""
        return self.process is None

    @classmethod
    def start(cls, data_dir: Path | None = None, preferred_port: int = PREFERRED_PORT) -> "EmbeddedRedis":
        """Start a Redis on `data_dir`, or share the one that runs there.

        Raises: NoEmbeddedRedis; EmbeddedRedisFailed, an unusable directory, a server that ends or stays silent.
        """
        started = time.monotonic()
        directory = prepared(data_dir)
        claim = claimed(directory)
        if isinstance(claim, EmbeddedRedis):
            return claim
        try:
            redis = launched(directory, claim, preferred_port)
        finally:
            os.close(claim)  # the server holds the lock now, or nobody does
        log.info("embedded Redis started in %.0f ms: %s", (time.monotonic() - started) * 1000, redis.tcp_url)
        return redis

    def stop(self) -> None:
        """End the server we started, its append-only file written out; a shared one goes on."""
        if self.process is not None:
            redis_process.end(self.process)


def find_running(data_dir: Path | None = None) -> EmbeddedRedis | None:
    """Return the embedded Redis that serves `data_dir` now, None when there is none."""
    directory = (data_dir or default_directory()).resolve()
    try:
        socket = Path(json.loads((directory / "server.json").read_text())["socket"])
        facts = redis_process.facts(socket)
    except (OSError, ValueError, KeyError, TypeError, RedisError):
        return None
    # A record left behind may name a socket that is another server's by now; port 0 is still starting.
    if facts.directory != directory or facts.port == 0:
        return None
    return EmbeddedRedis(directory, socket, facts.port, facts.pid)


def default_directory() -> Path:
    """Where the data lie when nobody says otherwise: ~/.local/share/insitu/redis on Linux."""
    return user_data_path("insitu") / "redis"


def prepared(data_dir: Path | None) -> Path:
    """Return the absolute data directory, made for this user alone if need be."""
    directory = (data_dir or default_directory()).resolve()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise EmbeddedRedisFailed(
            f"the embedded Redis cannot keep its data in {directory}: {error.strerror}; name another directory",
            directory=str(directory),
        ) from error
    return directory


def claimed(directory: Path) -> EmbeddedRedis | int:
    """Return the server that runs on `directory`, or the lock that allows us to start one."""
    deadline = time.monotonic() + redis_process.START_SECONDS
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            running = find_running(directory)
            if running is not None:
                os.close(lock)
                return running
            time.sleep(redis_process.POLL_SECONDS)
        else:
            return lock
    os.close(lock)
    raise EmbeddedRedisFailed(
        f"a process holds {directory / 'lock'} but no Redis answers there after "
        f"{redis_process.START_SECONDS:.0f} s; end it (its pid: {directory / 'server.json'}) or name another directory",
        directory=str(directory),
    )


def launched(directory: Path, lock: int, preferred_port: int) -> EmbeddedRedis:
    """Start the server with the lock in its hands; it opens its port once it answers on its socket."""
    socket = redis_process.socket_path(directory)
    process = redis_process.spawned(directory, socket, lock)
    try:
        record(directory, socket, process.pid)
        redis_process.wait_until_ready(process, socket, directory)
        port = redis_process.listening_port(socket, preferred_port)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return EmbeddedRedis(directory, socket, port, process.pid, process)


def record(directory: Path, socket: Path, pid: int) -> None:
    """Tell other terminals where the server of this directory is, whole or not at all."""
    draft = directory / "server.json.new"
    draft.write_text(json.dumps({"socket": str(socket), "pid": pid}))
    draft.replace(directory / "server.json")
