"""Signals as something to wait for beside other things: a handler does nothing, the loop reads what came."""

import os
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """SIGTERM, SIGINT, SIGCHLD and, where nobody has another use for it, SIGHUP.

    They stay without effect after `close`: a process that ends is not interrupted in doing so.
    """

    def __init__(self) -> None:
        self._read, self._write = socket.socketpair()
        self._read.setblocking(False)
        self._write.setblocking(False)
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._taken = {*ENDING, signal.SIGCHLD}
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            self._taken.add(signal.SIGHUP)
        for number in self._taken:
            signal.signal(number, noted)

    def fileno(self) -> int:
        """Return what becomes readable when a signal came."""
        return self._read.fileno()

    def came(self) -> list[int]:
        """Return the signals since the last time."""
        with suppress(BlockingIOError):
            return [number for number in self._read.recv(4096) if number in self._taken]
        return []

    def close(self) -> None:
        """Wait for none any more."""
        signal.set_wakeup_fd(-1)
        self._read.close()
        self._write.close()


def noted(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the byte that the interpreter wrote is what counts."""


def bury_strangers(ours: Iterable[int]) -> None:
    """As the first process of a container, take the status of children that are not ours but were left to us."""
    if os.getpid() != 1:
        return
    mine = set(ours)
    with suppress(ChildProcessError):
        while (child := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if child.si_pid in mine:
                return
            os.waitpid(child.si_pid, 0)
