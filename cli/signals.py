"""How a command ends when it is told to: SIGTERM and a closed terminal unwind it like Ctrl-C does."""

import os
import signal
from types import FrameType

from cli.errors import ExitCode


def unwind_on_signals() -> None:
    """Let SIGTERM unwind this process, so that what it started is stopped; SIGHUP counts as SIGTERM."""
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell starts what is in the background deaf to it
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


def end(_number: int, _frame: FrameType | None) -> None:
    """Leave by an exception, through every `finally`."""
    raise SystemExit(ExitCode.TERMINATED)


def deaf() -> None:
    """Ignore what would stop this process: it is stopping already, and in order."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
