"""CacheCounts: what a worker counts of its cache of models."""

HITS, MISSES, DISCARDED, END = range(4)


class CacheCounts:
    """The numbers of one worker; written by the thread of the event loop alone.

    Units: `size` is one cell, the bytes that the files of the directory take, whoever keeps them.
    """

    def __init__(self, cells: "memoryview[float]", size: "memoryview[float]") -> None:
        self._cells = cells
        self._size = size
        self._known = 0

    def hit(self) -> None:
        """Count bytes that were taken from the disk."""
        self._cells[HITS] += 1

    def missed(self) -> None:
        """Count bytes that were fetched from Redis."""
        self._cells[MISSES] += 1

    def discarded(self, since_start: int) -> None:
        """Count files that were thrown away, given how many there were since the process began."""
        self._cells[DISCARDED] += since_start - self._known
        self._known = since_start

    def taken(self, size_bytes: int) -> None:
        """Tell how many bytes all files take now."""
        self._size[0] = size_bytes
