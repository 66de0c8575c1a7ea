"""Replies as bytes, in RESP2 and RESP3.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from collections.abc import Iterable, Sequence

OK = b"+OK\r\n"
QUEUED = b"+QUEUED\r\n"


def simple(text: str) -> bytes:
    """Return a simple string."""
    return b"+%b\r\n" % text.encode()


def error(text: str) -> bytes:
    """Return an error; `text` begins with its code word and has one line on the wire."""
    return b"-%b\r\n" % " ".join(text.split("\n")).replace("\r", " ").encode()


def integer(number: int) -> bytes:
    """Return a whole number."""
    return b":%d\r\n" % number


def bulk(data: bytes | str) -> bytes:
    """Return a bulk string."""
    if isinstance(data, str):
        data = data.encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


def array(items: Sequence[bytes]) -> bytes:
    """Return an array of what is encoded already."""
    return b"*%d\r\n%b" % (len(items), b"".join(items))


class Encoder:
    """What the two versions of the protocol say differently."""

    version = 2
    null = b"$-1\r\n"

    def double(self, number: float) -> bytes:
        """Return a floating-point number, with the digits that Redis gives it."""
        return bulk(b"%.17g" % number)

    def map(self, pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return names and values, both encoded already."""
        return array([one for pair in pairs for one in pair])


class Encoder3(Encoder):
    """The words of RESP3."""

    version = 3
    null = b"_\r\n"

    def double(self, number: float) -> bytes:
        """Return a floating-point number."""
        return b",%.17g\r\n" % number

    def map(self, pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
        """Return names and values, both encoded already."""
        items = [one for pair in pairs for one in pair]
        return b"%%%d\r\n%b" % (len(items) // 2, b"".join(items))


RESP2, RESP3 = Encoder(), Encoder3()
