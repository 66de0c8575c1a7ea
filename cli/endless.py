"""What is read whole from a file that a user names, which may be a device or a pipe that never ends."""

from io import BytesIO
from typing import IO

PIECE_BYTES = 1 << 20


class TooLong(Exception):
    """A file has more than may be read; its text says how much that is."""


def whole(file: IO[bytes], most: int) -> bytes:
    """Return all that a file holds.

    Units:  most, bytes.
    Raises: TooLong, it holds more; OSError.
    """
    read = BytesIO()
    while piece := file.read(min(PIECE_BYTES, most + 1 - read.tell())):
        read.write(piece)
        if read.tell() > most:
            raise TooLong(f"it has more than {most:,} bytes")
    return read.getvalue()
