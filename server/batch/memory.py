"""Memory: what the process of a job has freed stays its own, for the next block takes as much again.

By itself glibc gives the hundreds of kilobytes of each block back to the system, which hands them out anew page by
page: that costs a sixth of the time in which vectors are read and run.
"""

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # as glibc's malloc.h numbers what mallopt sets
KEPT_BYTES = 256 << 20  # free memory at the end of the heap that is not given back
MAPPED_BYTES = 32 << 20  # the most that glibc allows: what is larger is the system's again once it is freed


def keep_memory() -> None:
    """Keep what is freed, as far as the C library can be told."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(MMAP_THRESHOLD, MAPPED_BYTES)
