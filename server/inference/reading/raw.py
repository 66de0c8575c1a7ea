"""Raw replies: what comes for sealed reads, as one buffer each that nobody has looked into.

All bytes before the reply to the ECHO are the answer.
"""

from collections import deque
from typing import Any

import hiredis

from server.inference.moments import Moment
from server.inference.reading.connection import UNFINISHED, Connection, Owner
from server.inference.reading.reads import Batch
from server.inference.reading.sealing import END_BYTES, Sealed, sealed


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
