"""Standing back: a process lets every other go first, as far as the system knows how.

A processor that is busy with this one is taken over by whoever wakes up: at once, not when a slice of
time is over. Linux knows three ways, and each helps where the others do not.
"""

import ctypes
import os
import platform
import struct
from contextlib import suppress

NICE = 15  # of 19: on a busy core it gets a thirtieth of what a server's process gets, enough to say that it lives
IDLE = getattr(os, "SCHED_IDLE", None)  # against the processes of its own group: a session, or a container
SLICE_NANOSECONDS = (
    100_000_000  # the longest; against other groups, since Linux 6.12: a shorter slice goes first
)
SET_ATTRIBUTES = {"x86_64": 314, "aarch64": 274}  # the system call sched_setattr, which few C libraries wrap
ATTRIBUTES = struct.Struct("=IIQiIQQQ")  # size, policy, flags, nice, priority, runtime, deadline, period


def stand_back() -> None:
    """Let every other process go first; threads that are begun later do too."""
    os.nice(NICE)
    ask_for_long_slices()
    if IDLE is not None:
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, IDLE, os.sched_param(0))


def ask_for_long_slices() -> None:
    """Ask for slices of time that are longer than anybody's; an older system leaves them as they are."""
    number = SET_ATTRIBUTES.get(platform.machine())
    if platform.system() == "Linux" and number is not None:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        told = ATTRIBUTES.pack(ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, SLICE_NANOSECONDS, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, told, 0)
