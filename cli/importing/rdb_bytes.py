"""The bytes of an RDB file one after the other: numbers, lengths and strings, in bounded memory.

Knows no type of value. Everything that is passed is summed for the CRC at the end; a length that
reaches past the end of the file is an error before anything is allocated for it.

Source: https://rdb.fnordig.de/file_format.html and Redis' rdb.h: lengths of 6, 14, 32 and 64 bits,
strings stored as 8, 16 or 32 bit integers or compressed by LZF.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from cli.importing.checksum import crc64
from cli.importing.errors import EncodingUnknown, FileDamaged
from cli.importing.lzf import decompressed

BLOCK_BYTES = 1 << 22
VALUE_BLOCK_BYTES = 1 << 14
LENGTH_32, LENGTH_64 = 0x80, 0x81
INTEGERS = {0: struct.Struct("<b"), 1: struct.Struct("<h"), 2: struct.Struct("<i")}
COMPRESSED = 3


class RdbBytes:
    """A place in a file that moves forward; `summed` says whether what it passes is summed, in large blocks."""

    def __init__(self, stream: BinaryIO, path: Path, *, summed: bool = True) -> None:
        self.path = path
        self._stream = stream
        self._base = stream.tell()  # offset in the file of the block's first byte
        self._size = path.stat().st_size
        self._block = b""
        self._at = 0
        self._summed_to = 0  # within the block
        self._crc = 0
        self._summed = summed
        self._block_bytes = BLOCK_BYTES if summed else VALUE_BLOCK_BYTES

    @property
    def offset(self) -> int:
        """Where in the file the next byte is."""
        return self._base + self._at

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    def crc(self) -> int:
        """Return the sum of everything passed so far."""
        self._crc = crc64(memoryview(self._block)[self._summed_to : self._at], self._crc)
        self._summed_to = self._at
        return self._crc

    def damaged(self, what: str) -> FileDamaged:
        """Return the error of what is wrong here."""
        return FileDamaged(self.path, self.offset, what)

    def take(self, count: int) -> bytes:
        """Return the next bytes.

        Raises: FileDamaged, there are not as many.
        """
        end = self._at + count
        if end <= len(self._block):
            piece = self._block[self._at : end]
            self._at = end
            return piece
        self._check_room(count)
        pieces = []
        while count:
            if self._at == len(self._block):
                self._next_block(count)
            piece = self._block[self._at : self._at + count]
            self._at += len(piece)
            count -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def skip(self, count: int) -> None:
        """Pass over bytes.

        Raises: FileDamaged, there are not as many.
        """
        end = self._at + count
        if end <= len(self._block):
            self._at = end
            return
        self._check_room(count)
        while count:
            if self._at == len(self._block):
                self._next_block()
            step = min(count, len(self._block) - self._at)
            self._at += step
            count -= step

    def _check_room(self, count: int) -> None:
        left = self._size - self.offset
        if count > left:
            raise self.damaged(f"{count} bytes should follow, the file has {left} more")

    def _next_block(self, wanted: int = 0) -> None:
        """Read the next block, all at once what is wanted and not summed.

        Raises: FileDamaged, the file became shorter while it is read.
        """
        if self._summed:
            self.crc()
        self._base += len(self._block)
        most = self._block_bytes if self._summed else max(wanted, self._block_bytes)
        self._block = self._stream.read(most)
        self._at = self._summed_to = 0
        if not self._block:
            raise self.damaged("the file ends here, it was longer a moment ago")

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def length(self) -> int:
        """Return a length or an unsigned number.

        Raises: FileDamaged, a string encoding stands there, or the file ends.
        """
        length, encoding = self.length_or_encoding()
        if encoding is not None:
            raise self.damaged(f"a length should stand before it, not the string encoding {encoding}")
        return length

    def length_or_encoding(self) -> tuple[int, int | None]:
        """Return a length and None, or 0 and the encoding of a string.

        Raises: FileDamaged; EncodingUnknown, a length of no known form.
        """
        first = self.byte()
        kind = first >> 6
        if kind == 0:
            return first & 0x3F, None
        if kind == 1:
            return (first & 0x3F) << 8 | self.byte(), None
        if kind == 3:
            return 0, first & 0x3F
        if first == LENGTH_32:
            return int.from_bytes(self.take(4), "big"), None
        if first == LENGTH_64:
            return int.from_bytes(self.take(8), "big"), None
        raise EncodingUnknown(self.path, self.offset - 1, f"a length of the form {first:#04x}")

    def string(self) -> bytes:
        """Return a string, whatever its encoding.

        Raises: FileDamaged, EncodingUnknown.
        """
        length, encoding = self.length_or_encoding()
        if encoding is None:
            return self.take(length)
        if encoding in INTEGERS:
            form = INTEGERS[encoding]
            return str(form.unpack(self.take(form.size))[0]).encode()
        if encoding != COMPRESSED:
            raise EncodingUnknown(self.path, self.offset - 1, f"a string of the encoding {encoding}")
        short, size = self.length(), self.length()
        try:
            return decompressed(self.take(short), size)
        except ValueError as error:
            raise self.damaged(f"a compressed string cannot be read, {error}") from error

    def skip_string(self) -> None:
        """Pass over a string.

        Raises: FileDamaged, EncodingUnknown.
        """
        length, encoding = self.length_or_encoding()
        if encoding is None:
            self.skip(length)
        elif encoding in INTEGERS:
            self.skip(INTEGERS[encoding].size)
        elif encoding == COMPRESSED:
            short = self.length()
            self.length()
            self.skip(short)
        else:
            raise EncodingUnknown(self.path, self.offset - 1, f"a string of the encoding {encoding}")
