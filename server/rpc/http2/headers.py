"""Header blocks of a connection, read in order by `hpack`; those that come again are known.

What we write refers to nothing that changes, so it is written once.
"""

import hpack
from hpack.hpack import encode_integer

Header = tuple[bytes, bytes]
TABLE_BYTES = 4096
KEPT = 256  # blocks whose meaning is kept while the table stays as it is
KEPT_BYTES = 16 << 10  # of a block; none is kept that is longer
ENTRY_BYTES = 32  # that a header counts beside its name and value
UNKEPT = b"\x00"  # a header that neither refers to the table nor adds to it


class BadBlock(Exception):
    """A header block that cannot be read: the connection is lost, as its table is."""


class Decoder:
    """The headers of one direction of a connection."""

    def __init__(self, limit: int) -> None:
        """Take how many bytes the headers of a block may have together."""
        self._limit = limit
        self._read = hpack.Decoder(max_header_list_size=limit)
        self._read.max_allowed_table_size = TABLE_BYTES
        self._kept: dict[bytes, tuple[Header, ...]] = {}

    def headers(self, block: bytes) -> tuple[Header, ...]:
        """Return the headers of a block.

        Raises: BadBlock.
        """
        found = self._kept.get(block)
        if found is not None:
            return found
        size, count, newest = self._table()
        try:
            read = self._read.decode(block, raw=True)
        except hpack.HPACKError as error:
            raise BadBlock(f"headers that cannot be read: {error}") from error
        found = tuple((bytes(name), bytes(value)) for name, value in read)
        size_now, count_now, newest_now = self._table()
        if (size_now, count_now) != (size, count) or newest_now is not newest:
            self._kept.clear()
        elif len(self._kept) < KEPT and len(block) <= KEPT_BYTES:
            self._kept[block] = found
        return found

    def _table(self) -> tuple[int, int, object]:
        """Return what another table would differ in; the newest entry by what it is, not by what it says."""
        table = self._read.header_table
        entries = table.dynamic_entries
        return table.maxsize, len(entries), entries[0] if entries else None


def size_of(headers: tuple[Header, ...]) -> int:
    """Return the bytes of headers, as a limit on them counts.

    Source: RFC 9113, 6.5.2.
    """
    return sum(len(name) + len(value) + ENTRY_BYTES for name, value in headers)


def encoded(headers: list[Header]) -> bytes:
    """Return a block that neither refers to the table nor adds to it."""
    return b"".join(UNKEPT + text(name) + text(value) for name, value in headers)


def text(data: bytes) -> bytes:
    """Return a text as it stands in a block, in plain bytes."""
    return bytes(encode_integer(len(data), 7)) + data
