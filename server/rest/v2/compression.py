"""Compressed bodies: inflated within a bound, deflated where the client takes it; large ones beside the event loop."""

import asyncio
import zlib
from collections.abc import Callable

from models.errors import BadRequest
from server.rest.refusals import BodyTooLarge, MediaTypeRefused

GZIP, DEFLATE, IDENTITY = "gzip", "deflate", "identity"
NAMES = {"": IDENTITY, "identity": IDENTITY, "gzip": GZIP, "x-gzip": GZIP, "deflate": DEFLATE}
GZIP_WINDOW, ZLIB_WINDOW, RAW_WINDOW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
PIECE_BYTES = 1 << 16  # of what is compressed, inflated at once
INLINE_BYTES = 1 << 12  # what is compressed becomes a thousand times larger at the most
LEAST_BYTES = 1 << 10  # an answer below gains nothing
DEFLATED_INLINE_BYTES = 1 << 14
LEVEL = 1  # numbers hardly get smaller at 6, and take several times as long


def encoding_of(given: str | None) -> str:
    """Return how a body is compressed.

    Raises: MediaTypeRefused, in another way, or several times.
    """
    encoding = NAMES.get((given or "").strip().lower())
    if encoding is None:
        raise MediaTypeRefused(
            f"Content-Encoding {given}",
            "gzip, deflate and bodies that are not compressed",
            "send it as one of them",
        )
    return encoding


async def inflated(body: bytearray, encoding: str, limit: int, pad: int) -> bytearray:
    """Return a body as it was before it was compressed, after `pad` bytes of zeros.

    Raises: BodyTooLarge, BadRequest.
    """
    if len(body) <= INLINE_BYTES:
        return inflate(body, encoding, limit, pad)
    return await asyncio.to_thread(inflate, body, encoding, limit, pad)


def inflate(body: bytearray, encoding: str, limit: int, pad: int = 0) -> bytearray:
    """Return a body as it was before it was compressed; a byte over the limit is the last that is made.

    Raises: BodyTooLarge; BadRequest, damaged or cut off.
    """
    found = bytearray(pad)
    most = limit + pad
    view = memoryview(body)
    stream = zlib.decompressobj(window(encoding, body))
    for at in range(0, len(body), PIECE_BYTES):
        rest: bytes | memoryview = view[at : at + PIECE_BYTES]
        while rest:
            if stream.eof:
                stream = next_stream(encoding)
            try:
                found += stream.decompress(rest, most + 1 - len(found))
            except zlib.error as error:
                raise BadRequest(
                    f"the body is no {encoding}: {error}; send it again, or uncompressed"
                ) from error
            if len(found) > most:
                raise BodyTooLarge(limit)
            rest = stream.unused_data if stream.eof else stream.unconsumed_tail
    if not stream.eof:
        raise BadRequest(f"the body ends in the middle of its {encoding}; send all of it")
    return found


def window(encoding: str, body: bytearray) -> int:
    """Return how zlib reads a body; deflate comes with zlib's head, as it should, or without."""
    if encoding == GZIP:
        return GZIP_WINDOW
    headed = len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and (body[0] << 8 | body[1]) % 31 == 0
    return ZLIB_WINDOW if headed else RAW_WINDOW


def next_stream(encoding: str) -> "zlib._Decompress":
    """Return what reads on after the end of a stream: gzip may be several in a row.

    Raises: BadRequest.
    """
    if encoding != GZIP:
        raise BadRequest(f"bytes follow the end of the body's {encoding}; leave them out")
    return zlib.decompressobj(GZIP_WINDOW)


def accepted(given: str | None) -> str:
    """Return the compression that a client takes and prefers; none is identity."""
    shares: dict[str, float] = {}
    for part in (given or "").lower().split(","):
        name, _, parameters = part.partition(";")
        known = GZIP if name.strip() == "*" else NAMES.get(name.strip(), "")
        share = quality(parameters)
        if known and name.strip() and share > shares.get(known, 0):
            shares[known] = share
    best = max((GZIP, DEFLATE, IDENTITY), key=lambda one: shares.get(one, 0.0))
    return best if shares.get(best) else IDENTITY


def quality(parameters: str) -> float:
    """Return the weight of an encoding, 1 where none can be read."""
    name, _, value = parameters.partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 1.0


async def deflated(body: bytes, encoding: str) -> bytes:
    """Return a body compressed."""
    work: Callable[[bytes, str], bytes] = deflate
    return (
        work(body, encoding)
        if len(body) <= DEFLATED_INLINE_BYTES
        else await asyncio.to_thread(work, body, encoding)
    )


def deflate(body: bytes, encoding: str) -> bytes:
    """Return a body compressed; deflate with zlib's head, as HTTP has it."""
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_WINDOW if encoding == GZIP else ZLIB_WINDOW)
    return stream.compress(body) + stream.flush()
