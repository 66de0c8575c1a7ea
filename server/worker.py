"""One worker: a server process among several, as its supervisor starts it."""

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from server import app
from server.inference.engine import FIRST_SECONDS
from server.logs import configure_logs
from server.settings import ServerSettings
from server.workers.opening import fault_of_certificate
from server.workers.reports import Task, WorkerFailed, alive, answers, cannot

log = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0  # beside the time for requests: closing connections and files
FAILED = 1
BEATS = 6  # reports in the time after which a silent worker is replaced
HOSTING = 1  # the worker that works on scoring jobs


class Sockets(NamedTuple):
    """What a worker is handed: the sockets of its doors, and the channel of its supervisor."""

    listener: socket.socket
    channel: socket.socket
    beside: Mapping[str, socket.socket]


def main() -> None:
    """Serve until told to end.

    The arguments are where the code is, the worker's number, and the descriptors of the socket it listens on, of its
    channel, and of those of the doors beside HTTP, each after the name of its door.
    """
    number, listener, channel, *beside = sys.argv[2:]
    given = Sockets(
        taken(listener), taken(channel), dict(zip(beside[::2], map(taken, beside[1::2]), strict=True))
    )
    sys.exit(serve(int(number), given))


def taken(descriptor: str) -> socket.socket:
    """Return a socket that was handed over; a trial or a job that had it would keep it open when we have not."""
    one = socket.socket(fileno=int(descriptor))
    one.set_inheritable(False)
    return one


def serve(number: int, given: Sockets) -> int:
    """Serve as the supervisor says, and return the status to end with."""
    channel = given.channel
    with channel.makefile("rb") as lines:
        line = lines.readline()
    if not line:
        return FAILED  # the supervisor is gone already
    task = Task.parse(line)
    configure_logs(task.settings.log_level, task.settings.log_format, number)
    alone = threading.Event()
    threading.Thread(target=end_when_alone, args=(channel, task, alone), daemon=True).start()
    wait = FIRST_SECONDS if task.wait_seconds is None else task.wait_seconds
    place = app.Place(
        given.listener, given.beside, task.metrics, wait, hosts=number == HOSTING, follows=task.follows
    )

    def started(url: str, _beside: Mapping[str, str]) -> None:
        tell(channel, answers(url))
        if task.settings.worker_timeout_seconds:
            beat(channel, task.settings.worker_timeout_seconds / BEATS)

    try:
        check_certificate(task.settings)
        app.run(task.settings, started, place)
    except Exception as error:
        log.debug("cannot serve", exc_info=True)
        tell(channel, cannot(error))
        return FAILED
    finally:
        if alone.is_set():
            shutil.rmtree(task.metrics, ignore_errors=True)
    return 0


def check_certificate(settings: ServerSettings) -> None:
    """Look at the files of TLS before anything is loaded: they may be others than when the server began.

    Raises: WorkerFailed, naming the file and what is wrong with it.
    """
    if fault := fault_of_certificate(settings.tls_cert, settings.tls_key):
        raise WorkerFailed(fault)


def tell(channel: socket.socket, report: bytes) -> None:
    """Report to the supervisor, if it is still there."""
    with suppress(OSError):
        channel.sendall(report)


def beat(channel: socket.socket, seconds: float) -> None:
    """Report that the event loop goes on, now and every so many seconds; one report that finds no room is left out."""
    with suppress(OSError):
        channel.send(alive(), socket.MSG_DONTWAIT)
    asyncio.get_running_loop().call_later(seconds, beat, channel, seconds)


def end_when_alone(channel: socket.socket, task: Task, alone: threading.Event) -> None:
    """End this process as SIGTERM does once its supervisor has died: nobody else would."""
    with suppress(ConnectionResetError):  # so it is told where it had not read every report
        while channel.recv(1):
            pass
    alone.set()
    log.warning("the supervisor has died; ending")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(task.settings.shutdown_seconds + CLOSE_SECONDS)
    os._exit(FAILED)
