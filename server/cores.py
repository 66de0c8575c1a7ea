"""Cores: how many this process may use, and how they are shared out among workers and threads."""

import logging
import os
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import NamedTuple

from server.settings import ServerSettings

log = logging.getLogger(__name__)

CGROUP = Path("/sys/fs/cgroup")


class Threads(NamedTuple):
    """Threads of one worker: batches that run at once, and threads inside each run."""

    runs: int
    inside: int


def available_cores() -> int:
    """Return the cores this process may use: its affinity, and the quota of its container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = quota_cores()
    return cores if quota is None else max(1, min(cores, ceil(quota)))


def quota_cores(cgroup: Path = CGROUP) -> float | None:
    """Return the processors' time a second that the cgroup allows, None without a bound.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max), cgroup-v1 (cpu.cfs_quota_us)
    """
    with suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError):
        microseconds = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        period_us = int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
        return microseconds / period_us if microseconds > 0 else None
    return None


def worker_count(settings: ServerSettings) -> int:
    """Return how many server processes are wanted."""
    return settings.workers or available_cores()


def threads_of(settings: ServerSettings) -> Threads:
    """Return the threads of one worker: all workers together never have more than there are cores."""
    most = max(1, available_cores() // worker_count(settings))
    inside = min(settings.intra_op_threads, most)
    runs = min(settings.threads or most, most // inside)
    if inside < settings.intra_op_threads or runs < settings.threads:
        log.warning(
            "%d threads of %d each are more than the %d cores of a worker: %d of %d run",
            *(settings.threads or 1, settings.intra_op_threads, most, runs, inside),
        )
    return Threads(runs, inside)


def busy_poll_seconds(settings: ServerSettings) -> float:
    """Return how long a loop may look for an answer of Redis instead of sleeping: never where both need one core."""
    return settings.redis_busy_poll_us / 1e6 if available_cores() > 1 else 0.0


def again_seconds(settings: ServerSettings) -> float:
    """Return how long a loop may stay awake for a client that asks again at once: only where a core is left for it."""
    return settings.client_busy_poll_us / 1e6 if available_cores() > worker_count(settings) else 0.0
