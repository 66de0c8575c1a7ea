"""Heads of plain predict requests, read from their bytes; whatever is not plain is left to uvicorn.

Plain is a POST to a predict route with headers that every HTTP implementation reads the same way:
what an attacker could make two readers disagree about (lengths, encodings, folded lines) never is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from models.errors import InsituError
from models.keys import NAME
from models.names import ALIAS
from server.access import Access
from server.rest import asks
from server.rest.v2 import compression
from server.rest.v2.bodies import HEADER as JSON_LENGTH
from server.rest.v2.bodies import header_length
from server.rest.wire import JSON_KIND

END = b"\r\n\r\n"
HEAD_BYTES = 4096
HEADS_KEPT = 1024
STARTS = (b"POST /v1/models/", b"POST /v2/models/")
MODEL = rf"models/(?P<name>{NAME.pattern})(?:/versions/(?P<version>[0-9]{{1,9}}|{ALIAS.pattern}))?"
ROUTE = f"/v1/{MODEL}/predict"
LINE = re.compile(rf"POST {ROUTE} HTTP/1\.1".encode())
INFER_LINE = re.compile(rf"POST /v2/{MODEL}/infer HTTP/1\.1".encode())
INFER_BYTES = 1 << 20  # the body of a longer request is read beside the event loop
# A name of letters and digits, one space at the most, printable ASCII without a space at either end.
HEADER = re.compile(rb"([A-Za-z0-9-]+): ?((?:[!-~](?:[ -~]*[!-~])?)?)")
LENGTH = re.compile(rb"0|[1-9][0-9]{0,9}")
KIND = JSON_KIND.encode()
# Headers that change how a request or its answer is read, with the only value that is plain.
PLAIN = {
    b"connection": (b"keep-alive",),
    b"content-type": (KIND, b"application/octet-stream"),
    b"content-encoding": (b"identity",),
}
NEVER = frozenset((b"expect", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings"))
ONCE = frozenset(
    (
        b"accept-encoding",
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"inference-header-content-length",
        b"origin",
        b"sec-fetch-site",
        asks.TIMEOUT_HEADER.encode(),
    )
)


Target = tuple[str, asks.Reference]  # a model, and which version of it


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A plain request up to its body, checked and let in; one of the Open Inference Protocol where it `infers`.

    `accepted` is how its answer may be compressed.

    Units: size and length, bytes of the head and of the body; timeout_ms, as the header says;
           json_bytes, how much of the body of one that infers is JSON, None for all of it.
    """

    target: Target
    size: int
    length: int
    timeout_ms: str | None
    infers: bool = False
    json_bytes: int | None = None
    accepted: str | None = None


class Heads:
    """The heads met so far: a client sends the same one again and again."""

    def __init__(self, access: Access, body_bytes: int) -> None:
        self._access = access
        self._body_bytes = body_bytes
        self._known: dict[bytes, Head | None] = {}

    def read(self, data: bytes, at: int) -> Head | None:
        """Return the head that begins there; None when it is not plain, not whole or not let in."""
        end = data.find(END, at, at + HEAD_BYTES)
        if end < 0:
            return None
        head = data[at:end]
        try:
            return self._known[head]
        except KeyError:
            return self._learn(head)

    def _learn(self, head: bytes) -> Head | None:
        if len(self._known) >= HEADS_KEPT:
            self._known.clear()
        found = self._known[head] = self._parsed(head)
        return found

    def _parsed(self, head: bytes) -> Head | None:
        line, *rest = head.split(b"\r\n")
        target = LINE.fullmatch(line) or INFER_LINE.fullmatch(line)
        headers = dict(plain_headers(rest))
        length = LENGTH.fullmatch(headers.get(b"content-length", b""))
        if target is None or length is None or b"" in headers or b"host" not in headers:
            return None
        if int(length[0]) > self._body_bytes:
            return None
        infers = target.re is INFER_LINE
        if not infers and headers.get(b"content-type", KIND).lower() != KIND:
            return None
        texts = {name.decode(): value.decode() for name, value in headers.items()}
        version = target["version"]
        try:
            self._access.check("predict", "POST", texts)
            reference = asks.reference(version.decode() if version is not None else None)
        except InsituError:
            return None  # the other road says what is wrong
        meant = (target["name"].decode(), reference)
        found = Head(meant, len(head) + len(END), int(length[0]), texts.get(asks.TIMEOUT_HEADER))
        return inferring(found, texts) if infers else found


def inferring(head: Head, headers: Mapping[str, str]) -> Head | None:
    """Return the head of a request that infers; None when it is not plain."""
    try:
        json_bytes = header_length(headers.get(JSON_LENGTH), head.length)
    except InsituError:
        return None
    if json_bytes == 0 or head.length > INFER_BYTES:  # without JSON only its version tells what the bytes are
        return None
    encoding = compression.accepted(headers.get("accept-encoding"))
    accepted = None if encoding == compression.IDENTITY else encoding
    return replace(head, infers=True, json_bytes=json_bytes, accepted=accepted)


def plain_headers(lines: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Read header lines, names in small letters; an empty name stands for one that is not plain."""
    seen: set[bytes] = set()
    for line in lines:
        header = HEADER.fullmatch(line)
        if header is None:
            yield b"", line
            return
        name, value = header[1].lower(), header[2]
        odd = name in NEVER or (name in seen and name in ONCE)
        if odd or (name in PLAIN and value.lower() not in PLAIN[name]):
            yield b"", line
            return
        seen.add(name)
        yield name, value
