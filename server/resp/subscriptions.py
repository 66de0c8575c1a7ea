"""What a client is subscribed to, told by the confirmations that pass; so it is known when it no longer is."""

from collections.abc import Sequence
from typing import Any

from server.resp.wire.reading import read

FAMILIES = {b"SUBSCRIBE": b"", b"PSUBSCRIBE": b"p", b"SSUBSCRIBE": b"s"}
ENDINGS = {b"UNSUBSCRIBE": b"", b"PUNSUBSCRIBE": b"p", b"SUNSUBSCRIBE": b"s"}
COMMANDS = (*FAMILIES, *ENDINGS)
BEGUN = {b"subscribe": b"", b"psubscribe": b"p", b"ssubscribe": b"s"}
ENDED = {b"unsubscribe": b"", b"punsubscribe": b"p", b"sunsubscribe": b"s"}
MESSAGES = (b"message", b"pmessage", b"smessage")
LOOKED_AT = 32  # bytes in which the kind of what is published stands


class Subscriptions:
    """Channels and patterns, by family; `awaited` confirmations, or one reply, are still to come."""

    def __init__(self) -> None:
        self._names: dict[bytes, set[bytes]] = {b"": set(), b"p": set(), b"s": set()}
        self.awaited = 0

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return any(self._names.values())

    def expect(self, name: bytes, names: Sequence[bytes]) -> None:
        """Expect what Redis says to a command."""
        self.awaited = 1
        if name in FAMILIES:
            self.awaited = max(1, len(names))
        elif name in ENDINGS:
            self.awaited = len(names) or max(1, len(self._names[ENDINGS[name]]))

    def hear(self, frame: bytes, pushed: bool) -> bool:
        """Take note of what Redis sent; whether it is a message, or what was awaited, and no other reply."""
        kind = kind_of(frame)
        if kind in MESSAGES:
            return True
        if kind in BEGUN or kind in ENDED:
            self._confirmed(read(frame))
            self.awaited = max(0, self.awaited - 1)
            return True
        if pushed or not self.awaited:
            return False
        self.awaited = 0
        return True

    def _confirmed(self, told: Any) -> None:
        kind, name = told[0], told[1]
        if kind in BEGUN:
            self._names[BEGUN[kind]].add(name)
        else:
            self._names[ENDED[kind]].discard(name)


def kind_of(frame: bytes) -> bytes:
    """Return the first word of an array or a push, nothing of anything else."""
    parts = frame[: 2 * LOOKED_AT].split(b"\r\n", 3)
    return parts[2] if len(parts) > 3 and parts[0][:1] in b"*>" and parts[1][:1] == b"$" else b""
