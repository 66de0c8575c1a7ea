"""Memory of the process as the C library counts it, and given back to the system when it can be."""

import ctypes
from functools import cache
from typing import Any

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


def give_back() -> None:
    """Give freed memory back to the system: glibc keeps it, and a server that evicts would only grow."""
    trim = getattr(library(), "malloc_trim", None)
    if trim is not None:
        trim(0)
