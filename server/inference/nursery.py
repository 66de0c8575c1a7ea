"""Nursery: a warm process that forks another one for each trial, and tells how it ended.

It has numpy and ONNX Runtime loaded and no second thread, so a fork of it is whole and ready in
milliseconds. A trial comes as an open socket over the control socket; the fork talks on it, and the
nursery writes ENDED behind it once the fork is gone. When the server ends, however it does, the
control socket closes and the nursery ends with everything it started.
"""

import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from server.inference.confining import end_with_parent, system
from server.inference.memory import heap_bytes
from server.inference.sessions import CPU, probe
from server.inference.trying import attempt

ENDED = b"\nended "  # then the status: an exit status, or a signal below zero
SLOW_SECONDS = 1.0
LEAST_PRIORITY = 19


@dataclass(slots=True)
class Child:
    """One fork, and the nursery's copy of its socket."""

    connection: socket.socket
    started: float = field(default_factory=time.monotonic)
    gives_way: bool = False


class Nursery:
    """The forks that are at work."""

    def __init__(self, control: socket.socket, memory_bytes: int, seconds: float) -> None:
        self._control = control
        self._limits = (memory_bytes, seconds)
        self._children: dict[int, Child] = {}
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._woken, self._wake = socket.socketpair()
        for one in (self._woken, self._wake):
            one.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._poll.register(self._woken, select.POLLIN)

    def run(self) -> None:
        """Fork for each trial that comes, until the server has ended."""
        while True:
            timeout_ms = SLOW_SECONDS * 1000 if self._children else None
            ready = {number for number, _ in self._poll.poll(timeout_ms)}
            if self._control.fileno() in ready and not self._next():
                break
            self._given_up(ready)
            self._reap()
            self._slow_down()
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _next(self) -> bool:
        """Fork for the trial that has come; False when the server has ended."""
        message, numbers, _, _ = socket.recv_fds(self._control, 1, 1)
        if not message:
            return False
        connection = socket.socket(fileno=numbers[0])
        try:
            pid = os.fork() or self._become(connection)
        except OSError as error:  # no more processes, or no memory: this trial has failed, and no other
            connection.send(str(error).encode() + ENDED + b"1", socket.MSG_DONTWAIT)
            connection.close()
            return True
        self._children[pid] = Child(connection)
        self._poll.register(connection, 0)  # 0: told only when the other end is closed
        return True

    def _become(self, connection: socket.socket) -> NoReturn:
        """Be the fork: try the bundle, and end without running anything of the nursery's."""
        status = 1
        try:
            end_with_parent()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(connection.fileno(), 1)
            os.dup2(connection.fileno(), 2)
            for held in (self._control, self._woken, self._wake, *self._connections()):
                held.close()
            attempt(connection.makefile("rb"), connection.sendall, *self._limits)
            status = 0
        except BaseException:  # noqa: BLE001  # a fork that went on would be a second nursery
            traceback.print_exc()
        finally:
            os._exit(status)

    def _connections(self) -> list[socket.socket]:
        return [child.connection for child in self._children.values()]

    def _given_up(self, ready: set[int]) -> None:
        """End the forks whose trial nobody waits for any more."""
        for pid, child in self._children.items():
            if child.connection.fileno() in ready:
                os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Tell how each fork ended that has."""
        with suppress(BlockingIOError):
            self._woken.recv(1024)
        for pid in list(self._children):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            connection = self._children.pop(pid).connection
            self._poll.unregister(connection)
            with suppress(OSError):  # the server has left, or does not read
                told = ENDED + str(os.waitstatus_to_exitcode(status)).encode()
                connection.send(told, socket.MSG_DONTWAIT)
            connection.close()

    def _slow_down(self) -> None:
        """Let forks that take long give way to the server."""
        for pid, child in self._children.items():
            if not child.gives_way and time.monotonic() - child.started > SLOW_SECONDS:
                child.gives_way = True
                os.setpriority(os.PRIO_PROCESS, pid, LEAST_PRIORITY)


def warm() -> None:
    """Do beforehand what every fork would do first."""
    system()
    heap_bytes()
    probe([CPU])
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page it looks at


def main() -> None:
    """Run the nursery on the socket whose number is the first of the last arguments; bytes and seconds follow."""
    number, memory_bytes, seconds = sys.argv[-3:]
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)  # sent to the whole group; the server says when it ends
    warm()
    Nursery(socket.socket(fileno=int(number)), int(memory_bytes), float(seconds)).run()
