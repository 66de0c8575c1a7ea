"""Memory of the process as the C library counts it, kept for what comes next or given back to the system.

By itself glibc gives what is freed at the end of the heap back, hundreds of kilobytes at a time, and the system hands
them out anew page by page: that costs a sixth of the time in which a job reads and runs vectors, and up to two fifths
of that of a request with half a megabyte of tensors, by how the heap happens to lie.
"""

import ctypes
from functools import cache
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # as glibc's malloc.h numbers what mallopt sets
MAPPED_BYTES = 32 << 20  # the most that glibc allows: what is larger is the system's again once it is freed
NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"


class Mallinfo(ctypes.Structure):
    """What `mallinfo2` of glibc answers. Source: man 3 mallinfo."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in NAMES.split())


@cache
def library() -> Any:  # ctypes gives functions no types
    """Return the C library of this process."""
    return ctypes.CDLL(None)


def heap_bytes() -> int | None:
    """Return how many bytes are handed out right now; None without glibc 2.33."""
    count = getattr(library(), "mallinfo2", None)
    if count is None:
        return None
    count.restype = Mallinfo
    facts = count()
    return int(facts.uordblks + facts.hblkhd)


def keep_memory(most_bytes: int) -> None:
    """Keep up to so many bytes that are freed at the end of the heap, as far as the C library can be told."""
    mallopt = getattr(library(), "mallopt", None)
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, most_bytes)
        mallopt(MMAP_THRESHOLD, MAPPED_BYTES)


def give_back() -> None:
    """Give freed memory back to the system: glibc keeps it, and a server that evicts would only grow."""
    trim = getattr(library(), "malloc_trim", None)
    if trim is not None:
        trim(0)
