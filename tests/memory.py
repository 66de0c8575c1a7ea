"""How much memory something takes, as Python allocates it; NumPy tells of its arrays too."""

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def peak() -> Iterator[list[int]]:
    """Note the most bytes that were held at once beside those that are held already."""
    told: list[int] = []
    tracemalloc.start()
    try:
        yield told
        told.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
