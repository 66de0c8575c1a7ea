"""Bodies of the repository's routes: parameters, and model files among them in base64."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
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

    Raises: MalformedJson, BadRequest.
    """
    parameters = parameters_in(read(body))
    body.clear()
    for name in parameters:
        if name.startswith(FILE):
            parameters[name] = file_of(name, parameters[name])
    return parameters


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
