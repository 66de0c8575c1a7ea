"""POST /v2/models/{name}/infer: a request read from its bytes, and its answer in the form that it wants."""

import asyncio
import math
from typing import Any

from fastapi import APIRouter, Request, Response

from server.access import Access
from server.inference.engine import Engine
from server.open_inference.asking import infer, loaded
from server.open_inference.infer import Infer, Inferred, Reference
from server.rest import asks
from server.rest.guarding import needs
from server.rest.hearing import heard
from server.rest.parameters import ModelName, Version
from server.rest.predict import counted
from server.rest.v2 import compression
from server.rest.v2.answers import written
from server.rest.v2.bodies import EVERY_BINARY, HEADER, LENGTH, header_length, header_of, infer_of, raw_infer
from server.rest.v2.examples import INFER, INFERRED
from server.rest.wire import JSON_KIND

MODEL = "/v2/models/{name}/infer"
VERSION = "/v2/models/{name}/versions/{version}/infer"
BYTES_KIND = "application/octet-stream"
ALIGNED = 64  # bytes; where tensors begin in memory, if the JSON before them were not there
INLINE_BYTES = 1 << 20  # a larger body is read beside the event loop, and a larger answer written there
MICROSECONDS = 1000  # in a millisecond


def create_router(engine: Engine, access: Access) -> APIRouter:
    """Return the routes of inference."""
    router = APIRouter(tags=["open inference"], dependencies=[needs(access, "predict")])
    said: dict[str, Any] = {"response_class": Response, "openapi_extra": INFER, "responses": INFERRED}

    @router.post(MODEL, summary="Infer", **said)
    async def infer_by_model(request: Request, name: ModelName) -> Response:
        """Run tensors, or rows named by Redis keys, by the version that the alias `production` means."""
        return await answered(engine, request, name, None)

    @router.post(VERSION, summary="Infer by one version", **said)
    async def infer_by_version(request: Request, name: ModelName, version: Version) -> Response:
        """Run tensors, or rows named by Redis keys, by one version: a number, or an alias."""
        return await answered(engine, request, name, version)

    return router


async def answered(engine: Engine, request: Request, name: str, version: str | None) -> Response:
    """Return the answer to a request.

    Raises: InsituError; ClientDisconnect.
    """
    with counted(engine, name):
        asked = await read(engine, request, name, asks.reference(version))
    return await answer(
        await heard(request, infer(engine, asked)), asked, request.headers.get("accept-encoding")
    )


async def read(engine: Engine, request: Request, name: str, reference: Reference) -> Infer:
    """Return what a request asks.

    Raises: MediaTypeRefused, BodyTooLarge, MalformedJson, BadRequest; as Catalogue.routed for a body of bytes alone.
    """
    headers, limit = request.headers, engine.limits.body_bytes
    encoding = compression.encoding_of(headers.get("content-encoding"))
    said = header_of(headers.getlist(HEADER))
    pad = padding(said)
    body = await received(request, pad if encoding == compression.IDENTITY else 0)
    if encoding != compression.IDENTITY:
        body = await compression.inflated(body, encoding, limit, pad)
    view = memoryview(body)[pad:]
    header = header_length(said, len(view))
    if header == 0:
        serving = await loaded(engine, Infer(name, reference, ()), engine.limits.timeout_seconds)
        asked = raw_infer(name, reference, view, serving.manifest)
    elif len(view) > INLINE_BYTES:
        asked = await asyncio.to_thread(infer_of, name, reference, view, header)
    else:
        asked = infer_of(name, reference, view, header)
    return hurried(asked, headers.get(asks.TIMEOUT_HEADER))


def padding(header: str | None) -> int:
    """Return how many bytes to put before a body, so that what follows its JSON is aligned in memory."""
    return -int(header) % ALIGNED if header is not None and LENGTH.fullmatch(header) else 0


async def received(request: Request, pad: int) -> bytearray:
    """Return the body of a request after `pad` bytes of zeros; it grows as it comes, and is copied once.

    Raises: BodyTooLarge and BodyTooSlow from below.
    """
    body = bytearray(pad)
    async for part in request.stream():
        body += part
    return body


def hurried(asked: Infer, given: str | None) -> Infer:
    """Return a request with the shorter of its two times, the parameter's and the header's.

    Raises: BadRequest.
    """
    if given is not None:
        told = asked.timeout_us / MICROSECONDS if asked.timeout_us else None
        asked.timeout_us = max(1, math.ceil(asks.least(told, given) * MICROSECONDS))
    return asked


async def answer(inferred: Inferred, asked: Infer, accepted: str | None) -> Response:
    """Return an answer as it is wanted: JSON or bytes, compressed or not."""
    binary = asked.parameters.get(EVERY_BINARY) is True
    large = inferred.nbytes > INLINE_BYTES
    found = await asyncio.to_thread(written, inferred, binary) if large else written(inferred, binary)
    encoding = (
        compression.accepted(accepted) if len(found.body) >= compression.LEAST_BYTES else compression.IDENTITY
    )
    if encoding == compression.IDENTITY:
        return Response(found.body, headers=headers_of(found.json_bytes))
    body = await compression.deflated(found.body, encoding)
    return Response(body, headers=headers_of(found.json_bytes) | compressed(encoding))


def headers_of(json_bytes: int | None) -> dict[str, str]:
    """Return the headers that say how many bytes of a body are JSON, None for all."""
    if json_bytes is None:
        return {"Content-Type": JSON_KIND}
    return {"Content-Type": BYTES_KIND, "Inference-Header-Content-Length": str(json_bytes)}


def compressed(encoding: str) -> dict[str, str]:
    """Return the headers of a body that is compressed."""
    return {"Content-Encoding": encoding, "Vary": "Accept-Encoding"}
