"""What gRPC puts into headers and before messages: timeouts, statuses, lengths, compression.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import grpc

from server.rpc.http2.headers import Header, encoded

PREFIX_BYTES = 5  # of a message: whether it is compressed, and its length
INFLATING = 1 << 10  # so many times larger than before bytes are at the most when they were inflated
TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
WINDOWS = {b"gzip": 31, b"deflate": 15}
CONTENT = b"application/grpc"
BEGINNING = encoded(
    [(b":status", b"200"), (b"content-type", CONTENT), (b"grpc-accept-encoding", b"identity,deflate,gzip")]
)
WELL = encoded([(b"grpc-status", b"0")])
PLAIN = frozenset(range(0x20, 0x7F)) - {0x25}


class Refused(Exception):
    """The end of a call that is no answer."""

    def __init__(self, code: grpc.StatusCode, message: str, metadata: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self.code, self.message, self.metadata = code, message, metadata


def seconds_of(timeout: bytes | None) -> float | None:
    """Return the time that a call has; None without a limit.

    Raises: Refused.
    """
    if timeout is None:
        return None
    found = TIMEOUT.fullmatch(timeout)
    if found is None:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "grpc-timeout is no number and unit, such as 100m")
    return int(found[1]) * SECONDS[found[2]]


def status(code: grpc.StatusCode, message: str, metadata: Sequence[tuple[str, str]] = ()) -> list[Header]:
    """Return the headers that end a call."""
    told = [(b"grpc-status", str(code.value[0]).encode())]
    if message:
        told.append((b"grpc-message", escaped(message.encode())))
    return told + [(name.encode(), value.encode()) for name, value in metadata]


def escaped(message: bytes) -> bytes:
    """Return a text as a header may have it."""
    return b"".join(bytes((one,)) if one in PLAIN else b"%%%02X" % one for one in message)


def prefixed(data: bytes) -> bytes:
    """Return a message after its length."""
    return b"\x00" + len(data).to_bytes(4, "big") + data


class Limit(NamedTuple):
    """Bytes that a message may have, and what is told to who sends more."""

    most: int
    cure: str = "send less, or raise INSITU_MAX_GRPC_MESSAGE_BYTES"


class Inflation:
    """A compressed message on its way to what it was: `first` makes a small one, `whole` goes on from there."""

    __slots__ = ("_left", "_limit", "_made", "_most", "_stream")

    def __init__(self, data: bytes, encoding: bytes | None, limit: Limit) -> None:
        bits = WINDOWS.get(encoding or b"")
        if bits is None:
            raise Refused(grpc.StatusCode.UNIMPLEMENTED, "a message is compressed in a way that was not said")
        self._stream = zlib.decompressobj(bits)
        self._left = data
        self._limit, self._most = limit, limit.most
        self._made: list[bytes] = []

    def first(self, most: int) -> bytes | None:
        """Return the message where it has so many bytes at the most, else None.

        Raises: Refused, damaged.
        """
        part = self._more(min(most, self._most) + 1)
        return None if len(part) > min(most, self._most) else self._ended(part)

    def whole(self) -> bytes:
        """Return the message; nothing is inflated twice.

        Raises: Refused, too large or damaged.
        """
        made = sum(map(len, self._made))
        if made <= self._most:
            made += len(self._more(self._most + 1 - made))
        if made > self._most:
            raise too_large(made, self._limit)
        return self._ended(b"".join(self._made))

    def _more(self, most: int) -> bytes:
        try:
            part = self._stream.decompress(self._left, most)
        except zlib.error as error:
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT, f"a message is not compressed as it says: {error}"
            ) from error
        self._left = self._stream.unconsumed_tail
        self._made.append(part)
        return part

    def _ended(self, message: bytes) -> bytes:
        if not self._stream.eof:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "a compressed message is cut off")
        if self._stream.unused_data:  # perhaps a second one, which gRPC's own library refuses too
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "bytes follow the end of a compressed message")
        return message


def weight(body: bytes | bytearray) -> int:
    """Return how many bytes the message after a prefix has at the most, once it is inflated."""
    return len(body) * INFLATING if body[0] else len(body)


def too_large(size: int, limit: Limit) -> Refused:
    """Return the end of a call whose message is too large."""
    return Refused(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"a message has {size} bytes, the limit is {limit.most}; {limit.cure}",
    )
