"""Confining: the limits a process puts on itself before it loads a file that nobody has tried."""

import ctypes
import resource
import signal
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG. Source: man 2 prctl
OUT_OF_MEMORY_SCORE = Path("/proc/self/oom_score_adj")
FIRST_TO_GO = "1000"


def confine(memory_bytes: int, seconds: float) -> None:
    """Bound what this process may take; the system itself ends it, whatever it is at then.

    Units: memory_bytes of address space; seconds, of the clock and of the processor.
    """
    for limit, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError):  # a lower one holds already, or the system knows no such limit
            resource.setrlimit(limit, (most, most))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    with suppress(OSError):  # no Linux
        OUT_OF_MEMORY_SCORE.write_text(FIRST_TO_GO)  # where memory runs short, this one goes and no server


@cache
def system() -> Any:  # ctypes gives functions no types
    """Return the C library, looked up before anything is forked."""
    return ctypes.CDLL(None)


def end_with_parent() -> None:
    """Let the system end this process when the one that forked it ends."""
    with suppress(AttributeError):  # no Linux
        system().prctl(DEATH_SIGNAL, signal.SIGKILL)
