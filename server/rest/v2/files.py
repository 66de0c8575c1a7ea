"""Bodies of the repository's routes: parameters, and model files among them in base64."""

import asyncio
import re
from base64 import b64decode
from binascii import Error as BinasciiError
from binascii import a2b_base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from io import BytesIO
from secrets import token_hex
from typing import Any

from fastapi import Request

from models.errors import BadRequest, shown
from server.inference.publishing import taken
from server.open_inference.repository import FILE
from server.rest.asks import kind
from server.rest.bodies import content_length
from server.rest.v2.infer import received
from server.rest.wire import decode

SMALL_BYTES = 1 << 20  # a larger body brings a file
PIECE_BYTES = 1 << 20  # of a file that are read at once: a multiple of four
STAND_IN_BYTES = 16
PADDING = ord("=")
BEGINNING = b'"file:'
HEAD = re.compile(rb'"file:[^"\\]*"\s*:\s*"')


class Files:
    """Bodies of loads; one that may bring a file has its turn, for it lies in memory several times over."""

    def __init__(self) -> None:
        self._slot = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, request: Request, name: str) -> AsyncIterator[None]:
        """Hold the slot of files, if a request may bring one.

        Raises: Overloaded, when another keeps it too long.
        """
        size = content_length(request.scope)
        if size is not None and size <= SMALL_BYTES:
            yield
            return
        async with taken(self._slot, name):
            yield

    async def received(self, request: Request) -> dict[str, Any]:
        """Return the parameters of a load, its files as bytes.

        Raises: MalformedJson, BadRequest; BodyTooLarge and BodyTooSlow from below.
        """
        body = await received(request, 0)
        if len(body) <= SMALL_BYTES:
            return with_files(body)
        return await asyncio.to_thread(with_files, body)


def read(body: bytes | bytearray) -> dict[str, Any]:
    """Return the object that a body is; none is an empty one.

    Raises: MalformedJson, BadRequest.
    """
    data = decode(body) if body else {}
    if not isinstance(data, dict):
        raise BadRequest(f"the body is {kind(data)}; send an object, or nothing")
    return data


def parameters_in(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a body.

    Raises: BadRequest.
    """
    found = data.get("parameters")
    if found is not None and not isinstance(found, dict):
        raise BadRequest(f"parameters is {kind(found)}; send an object", field="parameters")
    return dict(found or {})


def with_files(body: bytearray) -> dict[str, Any]:
    """Return the parameters of a load, its files as bytes; what they were read from is let go on the way.

    A long file is read where it stands, and taken out before the rest is read: as a text, and as the bytes of that
    text, it would lie in memory twice more.

    Raises: MalformedJson, BadRequest.
    """
    files = cut_out(body)
    parameters = parameters_in(read(body))
    body.clear()
    for name in parameters:
        if name.startswith(FILE):
            given = parameters[name]
            found = files.pop(given, None) if isinstance(given, str) else None
            parameters[name] = file_of(name, given) if found is None else found
    return parameters


def cut_out(body: bytearray) -> dict[str, bytes]:
    """Take the long files out of a body, and return their bytes by what stands in their place.

    One that is no base64 stays where it is.
    """
    files: dict[str, bytes] = {}
    at = place_of(body, BEGINNING, 0)
    while at >= 0:
        head = HEAD.match(body, at)
        if head is not None and body[at - 1 : at] != b"\\":  # else it stands within another text
            start, end = head.end(), place_of(body, b'"', head.end())
            data = decoded(body, start, end) if end - start >= SMALL_BYTES else None
            if data is not None:
                stand_in = token_hex(STAND_IN_BYTES)
                files[stand_in] = data
                body[start:end] = stand_in.encode()
        at = place_of(body, BEGINNING, at + 1)
    return files


def place_of(body: bytearray, word: bytes, start: int) -> int:
    """Return where a word stands next, -1 where it does not; other threads get their turn while it is looked for."""
    for at in range(start, len(body), PIECE_BYTES):
        place = body.find(word, at, at + PIECE_BYTES + len(word) - 1)
        if place >= 0:
            return place
    return -1


def decoded(body: bytearray, start: int, end: int) -> bytes | None:
    """Return the bytes that a part of a body is in base64, None where it is none; other threads get their turn."""
    file = BytesIO()  # it hands out what it holds without copying it
    with memoryview(body) as whole:
        for at in range(start, end, PIECE_BYTES):
            piece = whole[at : min(at + PIECE_BYTES, end)]
            try:
                if at + PIECE_BYTES < end and piece[-1] == PADDING:  # which may only end the last one
                    return None
                file.write(a2b_base64(piece, strict_mode=True))
            except BinasciiError:
                return None
            finally:
                piece.release()
    return file.getvalue()


def file_of(name: str, text: Any) -> bytes:
    """Return a file from its base64.

    Raises: BadRequest.
    """
    if not isinstance(text, str):
        raise BadRequest(
            f"parameter {shown(name)!r} is {kind(text)}; send the file in base64", field=shown(name)
        )
    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise BadRequest(
            f"parameter {shown(name)!r} is no base64: {shown(error)}; encode the file", field=shown(name)
        ) from error
