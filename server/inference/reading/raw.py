"""Raw replies: many commands sealed with an ECHO, whose replies come as one buffer that nobody has looked into.

All bytes before the reply to the ECHO are the answer. Its token is drawn anew for each read, so no
value that is stored can pass for it.
"""

import secrets
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis

from models.encoding import encoded
from server.inference.moments import Moment
from server.inference.reading.connection import UNFINISHED, Connection, Owner
from server.inference.reading.reads import Batch

TOKEN_BYTES = 16
END_BYTES = len(b"$16\r\n") + TOKEN_BYTES + len(b"\r\n")  # the reply to ECHO, as it ends the command too


class Sealed(list[bytes]):
    """Commands and the ECHO that ends them, as the one command of a read.

    Units: most, bytes of a reply that is still listened to.
    """

    __slots__ = ("end", "most")

    def __init__(self, payload: bytes, most: int) -> None:
        seal = encoded(("ECHO", secrets.token_bytes(TOKEN_BYTES)))
        super().__init__([payload + seal])
        self.end, self.most = seal[-END_BYTES:], most


class RawReplies:
    """What comes over a connection, cut at the seals of the reads that were sent."""

    __slots__ = ("_buffer", "_looked", "_reads")

    def __init__(self) -> None:
        self._reads: deque[Sealed] = deque()
        self._buffer = bytearray()
        self._looked = 0  # so many bytes of the buffer have no seal in them

    def expect(self, read: Sealed) -> None:
        """Take one more read that will be answered."""
        self._reads.append(read)

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._buffer += data

    def gets(self) -> Any:
        """Return the replies to the oldest read as one buffer, UNFINISHED while they are not whole.

        Raises: hiredis.ProtocolError, they are longer than is listened to.
        """
        if not self._reads:
            return bytes(self._buffer) or UNFINISHED
        read, buffer = self._reads[0], self._buffer
        at = buffer.find(read.end, max(0, self._looked - END_BYTES))
        if at < 0:
            self._looked = len(buffer)
            if self._looked > read.most:
                raise hiredis.ProtocolError(f"more than {read.most} bytes came for one read")
            return UNFINISHED
        self._reads.popleft()
        self._buffer, self._looked = buffer[at + END_BYTES :], 0
        del buffer[at:]
        return buffer


class RawConnection(Connection):
    """A connection that is greeted like any other and then gives one buffer a read."""

    __slots__ = ("_raw",)

    def __init__(self, owner: Owner, timeout_seconds: float, moment: Moment) -> None:
        super().__init__(owner, timeout_seconds, moment)
        self._raw: RawReplies | None = None

    def send(self, batch: Batch, payload: bytes) -> None:
        """Write a batch; from the first after the greeting on, replies are not looked into."""
        if batch.commands:
            raw = self._raw or self._turn_raw()
            for commands, _ in batch.reads:
                raw.expect(sealed(commands))
        super().send(batch, payload)

    def _turn_raw(self) -> RawReplies:
        self._raw = self._parser = RawReplies()
        self._gets = self._raw.gets
        self._handing_out = self._hand_out()
        return self._raw


def sealed(commands: Sequence[bytes]) -> Sealed:
    """Return the commands of a read that must be sealed."""
    if not isinstance(commands, Sealed):
        raise TypeError("only sealed commands are read raw")
    return commands
