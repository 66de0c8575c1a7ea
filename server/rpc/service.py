"""What the connections of a door share: which calls there are, what headers say, and how many calls are under way."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from server.access import Access, Scope
from server.rpc.gathered import Gathered
from server.rpc.guarding import admit
from server.rpc.heads import Heads
from server.rpc.http2.connection import HEADERS_BYTES
from server.rpc.http2.headers import Header, size_of
from server.rpc.http2.holding import Holding
from server.rpc.wire import CONTENT, Limit, Refused, seconds_of

KEPT = 256  # header blocks whose meaning is kept
RESERVED = (b"grpc-", b":")
SMALL_BYTES = 1 << 16  # of a message of a call that brings no tensor and no file
LARGE = ("ModelInfer", "ModelStreamInfer", "RepositoryModelLoad")
SMALL = Limit(SMALL_BYTES, "ModelInfer, ModelStreamInfer and RepositoryModelLoad alone take longer ones")


@dataclass(slots=True)
class Room:
    """How many calls of a kind may be under way at once, and how many are."""

    most: int
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the headers of a call say.

    Units: seconds, that it may take; None is no limit.
    """

    handler: Any = None
    limit: Limit = SMALL
    seconds: float | None = None
    encoding: bytes | None = None
    metadata: tuple[tuple[str, str], ...] = ()
    plain: bool = False  # a ModelInfer by somebody who may
    aside: bool = False  # of health or reflection, which take no token
    known: bool = False  # by somebody who may, or who looks whether they may
    refused: Refused | None = None
    grpc: bool = True


@dataclass(slots=True)
class Service:
    """What every connection of a door shares; calls of health and reflection take no room of the others."""

    methods: Mapping[bytes, Any]
    scopes: Mapping[bytes, Scope]  # that calls of one message take; others are open, or look themselves
    access: Access
    heads: Heads
    gathered: Gathered
    infer_path: bytes
    message_bytes: int
    calls: Room
    asides: Room
    messages: Holding  # of those who may make their call, as long as they are not taken whole
    open_messages: Holding  # of calls that take no token
    answers: Holding
    known: dict[tuple[Header, ...], Asked] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def asked(self, headers: tuple[Header, ...]) -> Asked:
        """Return what headers say; the same headers are read once."""
        found = self.known.get(headers)
        if found is None:
            try:
                found = self.read(headers)
            except Refused as refused:
                found = Asked(refused=refused)
            if len(self.known) >= KEPT:
                self.known.clear()
            if size_of(headers) <= HEADERS_BYTES:
                self.known[headers] = found
        return found

    def read(self, headers: tuple[Header, ...]) -> Asked:
        """Read headers.

        Raises: Refused, no such call, or none for who makes it.
        """
        said = dict(headers)
        if said.get(b":method") != b"POST" or not said.get(b"content-type", b"").startswith(CONTENT):
            return Asked(grpc=False)
        check_size(headers)
        path = said.get(b":path", b"")
        handler = self.methods.get(path)
        if handler is None:
            told = path[:128].decode("utf-8", "backslashreplace")
            raise Refused(
                grpc.StatusCode.UNIMPLEMENTED, f"there is no call {told}; reflection lists those there are"
            )
        metadata = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in headers
            if not name.startswith(RESERVED)
        )
        scope = self.scopes.get(path)
        if scope is not None:
            admit(self.access, scope, metadata)
        service, _, name = path.rpartition(b"/")
        aside = service != self.infer_path.rpartition(b"/")[0]
        large = not aside and name.decode() in LARGE
        looks = handler.request_streaming and not aside  # ModelStreamInfer, itself
        known = scope is not None or looks or "predict" in self.access.anonymous
        return Asked(
            handler,
            Limit(self.message_bytes) if large or self.message_bytes <= SMALL_BYTES else SMALL,
            seconds_of(said.get(b"grpc-timeout")),
            said.get(b"grpc-encoding"),
            metadata,
            plain=path == self.infer_path,
            known=known,
            aside=aside,
        )


def check_size(headers: tuple[Header, ...]) -> None:
    """Refuse a call whose headers are too large.

    Raises: Refused.
    """
    size = size_of(headers)
    if size > HEADERS_BYTES:
        name, value = max(headers, key=lambda one: len(one[0]) + len(one[1]))
        told = name[:128].decode("utf-8", "backslashreplace")
        raise Refused(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"the headers of the call have {size} bytes, the limit is {HEADERS_BYTES}; the largest is {told!r} with "
            f"{len(value)}: send less of it",
        )
