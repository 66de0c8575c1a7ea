"""HPACK: header blocks of a connection, read in order; what we write refers to nothing that changes.

Source: RFC 7541; the static table is its appendix A, the lengths of the codes its appendix B.
"""

from collections import deque

Header = tuple[bytes, bytes]
TABLE_BYTES = 4096
ENTRY_BYTES = 32  # what an entry counts beside its name and value
NUMBER_BYTES = 5  # of a number in a block: no length or index is longer
KEPT = 256  # blocks whose meaning is kept while the table stays as it is


class BadBlock(Exception):
    """A header block that cannot be read: the connection is lost, as its table is."""


STATIC_TEXT = (
    ":authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|"
    ":status=200|:status=204|:status=206|:status=304|:status=400|:status=404|:status=500|"
    "accept-charset|accept-encoding=gzip, deflate|accept-language|accept-ranges|accept|"
    "access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|"
    "content-encoding|content-language|content-length|content-location|content-range|content-type|"
    "cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|"
    "if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|"
    "proxy-authorization|range|referer|refresh|retry-after|server|set-cookie|"
    "strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate"
)
STATIC: tuple[Header, ...] = tuple(
    (name.encode(), value.encode())
    for name, _, value in (one.partition("=") for one in STATIC_TEXT.split("|"))
)
# Bits of the code of each byte, and of the end at last; codes follow from them, shorter ones first.
CODE_TEXT = (
    "13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28 28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28 "
    "6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6 5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10 13 6 7 7 7 7 7 7 7 7 "
    "7 7 7 7 7 7 7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6 15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5 6 7 6 5 5 6 7 "
    "7 7 7 7 15 11 14 13 28 20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23 24 24 22 23 24 23 23 23 "
    "23 21 22 23 22 23 23 24 22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23 21 21 22 21 23 22 23 23 "
    "20 22 22 22 23 22 22 23 26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25 19 21 26 27 27 26 27 24 "
    "21 21 26 26 28 27 27 27 20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23 26 27 26 26 27 27 27 27 "
    "27 28 27 27 27 27 27 26 30"
)
CODE_BITS = bytes(int(bits) for bits in CODE_TEXT.split())
END = 256


def codes() -> dict[tuple[int, int], int]:
    """Return the byte of each code, by its number of bits and its value."""
    found: dict[tuple[int, int], int] = {}
    code = bits = 0
    for symbol in sorted(range(END + 1), key=lambda one: (CODE_BITS[one], one)):
        code <<= CODE_BITS[symbol] - bits
        bits = CODE_BITS[symbol]
        found[bits, code] = symbol
        code += 1
    return found


CODES = codes()


def unpacked(data: bytes) -> bytes:
    """Return a text that was written in codes.

    Raises: BadBlock, the end within it, or what fills its last byte is none.
    """
    found = bytearray()
    code = bits = 0
    for byte in data:
        for place in range(7, -1, -1):
            code = code << 1 | byte >> place & 1
            bits += 1
            symbol = CODES.get((bits, code))
            if symbol is not None:
                if symbol == END:
                    raise BadBlock("the end within a text")
                found.append(symbol)
                code = bits = 0
    if bits > 7 or code != (1 << bits) - 1:
        raise BadBlock("a text that does not end")
    return bytes(found)


class Decoder:
    """The headers of one direction of a connection."""

    def __init__(self) -> None:
        self._table: deque[Header] = deque()
        self._bytes = 0
        self._most = TABLE_BYTES
        self._kept: dict[bytes, tuple[Header, ...]] = {}

    def headers(self, block: bytes, limit: int) -> tuple[Header, ...]:
        """Return the headers of a block.

        Units:  limit, bytes that they may have together.
        Raises: BadBlock.
        """
        found = self._kept.get(block)
        if found is not None:
            return found
        read, changed = self._read(block, limit)
        found = tuple(read)
        if changed:
            self._kept.clear()
        elif len(self._kept) < KEPT:
            self._kept[block] = found
        return found

    def _read(self, block: bytes, limit: int) -> tuple[list[Header], bool]:
        found: list[Header] = []
        at, changed, size = 0, False, 0
        while at < len(block):
            first = block[at]
            if first & 0x80:
                index, at = number(block, at, 7)
                header = self._at(index)
            elif first & 0xE0 == 0x20:
                most, at = number(block, at, 5)
                if found or most > TABLE_BYTES:
                    raise BadBlock("a size of the table that is not allowed here")
                self._resize(most)
                changed = True
                continue
            else:
                kept = first & 0x40
                index, at = number(block, at, 6 if kept else 4)
                if index:
                    name = self._at(index)[0]
                else:
                    name, at = text(block, at)
                value, at = text(block, at)
                header = (name, value)
                if kept:
                    self._add(header)
                    changed = True
            size += len(header[0]) + len(header[1]) + ENTRY_BYTES
            if size > limit:
                raise BadBlock(f"more than {limit} bytes of headers")
            found.append(header)
        return found, changed

    def _at(self, index: int) -> Header:
        if 0 < index <= len(STATIC):
            return STATIC[index - 1]
        place = index - len(STATIC) - 1
        if not 0 <= place < len(self._table):
            raise BadBlock("a header that is not in the table")
        return self._table[place]

    def _add(self, header: Header) -> None:
        self._table.appendleft(header)
        self._bytes += len(header[0]) + len(header[1]) + ENTRY_BYTES
        self._evict()

    def _resize(self, most: int) -> None:
        self._most = most
        self._evict()

    def _evict(self) -> None:
        while self._bytes > self._most:
            name, value = self._table.pop()
            self._bytes -= len(name) + len(value) + ENTRY_BYTES


def number(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """Return a number, and where what follows it begins.

    Raises: BadBlock, cut off or too large.
    """
    most = (1 << bits) - 1
    value = block[at] & most
    at += 1
    if value < most:
        return value, at
    for shift in range(0, 7 * NUMBER_BYTES, 7):
        if at >= len(block):
            break
        byte = block[at]
        at += 1
        value += (byte & 127) << shift
        if not byte & 128:
            return value, at
    raise BadBlock("a number that does not end")


def text(block: bytes, at: int) -> tuple[bytes, int]:
    """Return a text, and where what follows it begins.

    Raises: BadBlock, cut off.
    """
    if at >= len(block):
        raise BadBlock("a text that is not there")
    coded = block[at] & 0x80
    length, at = number(block, at, 7)
    data = block[at : at + length]
    if len(data) < length:
        raise BadBlock("a text that is cut off")
    return (unpacked(data) if coded else data), at + length


def encoded(headers: list[Header]) -> bytes:
    """Return a block that neither refers to the table nor adds to it."""
    return b"".join(
        b"\x00" + length(len(name)) + name + length(len(value)) + value for name, value in headers
    )


def length(value: int) -> bytes:
    """Return the length of a text that is written as it is."""
    if value < 127:
        return bytes((value,))
    value -= 127
    found = bytearray((127,))
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
