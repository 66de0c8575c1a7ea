"""Bytes to JSON and back; what a client may get wrong there is said in its words."""

import asyncio
import gc
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import orjson
from fastapi import Request, Response

from models.errors import shown
from server.rest.nodes import check_nodes, times_named
from server.rest.refusals import MalformedJson, MediaTypeRefused

JSON_KIND = "application/json"
UTF8_NAMES = ("", "utf-8", "utf8")
LARGE_BYTES = 1 << 20  # a larger body is read beside the event loop
OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE


Found = TypeVar("Found")


class Json(Response):
    """A JSON answer, written by orjson."""

    media_type = JSON_KIND

    def render(self, content: Any) -> bytes:
        """Return the bytes of a value."""
        return as_json(content)


def as_json(content: Any) -> bytes:
    """Return the bytes of a value, a line of its own; JSON has no NaN or infinity, they become null."""
    return orjson.dumps(content, option=OPTIONS)


async def read_json(request: Request, fields: Sequence[str] = ()) -> Any:
    """Return the body of a request as data; none of `fields` may be given twice.

    Raises: MediaTypeRefused, MalformedJson, TooManyNodes, TooManyNames; BodyTooLarge and BodyTooSlow from below.
    """
    check_kind(request.headers)
    return await beside(await request.body(), lambda body: decode(body, fields))


async def beside(body: bytes, read: Callable[[bytes], Found]) -> Found:
    """Return what a body is read as: a large one beside the event loop, whose other clients have turns meanwhile.

    Raises: what `read` raises.
    """
    return await asyncio.to_thread(read, body) if len(body) > LARGE_BYTES else read(body)


def check_kind(headers: Mapping[str, str]) -> None:
    """Refuse a body that is said to be no JSON; one that says nothing is read as JSON.

    Raises: MediaTypeRefused.
    """
    check_plain(headers)
    given = headers.get("content-type")
    if given is None:
        return
    kind, _, parameters = given.partition(";")
    kind = kind.strip().lower()
    charset = parameters.partition("charset=")[2].strip().strip('"').lower()
    json_like = kind == JSON_KIND or (kind.startswith("application/") and kind.endswith("+json"))
    if not json_like or charset not in UTF8_NAMES:
        raise MediaTypeRefused(
            given, f"{JSON_KIND} in UTF-8", "send `Content-Type: application/json` (with curl: -H, or --json)"
        )


def check_plain(headers: Mapping[str, str]) -> None:
    """Refuse a compressed body: its size would say nothing about what it becomes.

    Raises: MediaTypeRefused.
    """
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise MediaTypeRefused(encoding, "bodies that are not compressed", "leave Content-Encoding out")


def decode(body: bytes | bytearray, fields: Sequence[str] = ()) -> Any:
    """Return the data of a JSON text; none of `fields` may be given twice.

    Raises: MalformedJson, naming the place and, where it is a usual one, the cure; TooManyNodes, TooManyNames.
    """
    if not body:
        raise MalformedJson("the body is empty; send a JSON object")
    try:
        data = orjson.loads(body) if len(body) <= LARGE_BYTES else loaded(body)
    except orjson.JSONDecodeError as error:
        raise MalformedJson(
            f"the body is no JSON: {shown(error.msg)} at line {error.lineno} column {error.colno}{cure(body)}",
            line=error.lineno,
            column=error.colno,
        ) from error
    twice = repeated(body, fields)
    if twice is not None:
        raise MalformedJson(f"the body gives {twice!r} twice; give it once", field=twice)
    return data


def loaded(body: bytes | bytearray) -> Any:
    """Return the data of a large JSON text, without a collection on the way: each would look at all that was made.

    Raises: orjson.JSONDecodeError, TooManyNodes, TooManyNames.
    """
    check_nodes(body)
    collected = gc.isenabled()
    gc.disable()
    try:
        return orjson.loads(body)
    finally:
        if collected:
            gc.enable()


def cure(body: bytes | bytearray) -> str:
    """Return the cure for the usual kinds of JSON that is none."""
    if b"NaN" in body or b"Infinity" in body:
        return "; JSON has no NaN or Infinity: leave the value out and ask with `missing`, or send a tensor as bytes"
    if body.startswith((b"{'", b"['")):
        return "; JSON takes double quotes"
    return "; a file is sent with curl's -d @FILE" if body.startswith(b"@") else ""


@cache
def as_written(fields: tuple[str, ...]) -> list[bytes]:
    """Return names as they stand in a JSON text."""
    return [f'"{field}"'.encode() for field in fields]


def repeated(body: bytes | bytearray, fields: Sequence[str]) -> str | None:
    """Return a field that the outermost object names twice, where parsers would pick one in silence.

    It is looked for only when the text holds the name twice, wherever.
    """
    for field, written in zip(fields, as_written(tuple(fields)), strict=True):
        if body.count(written) > 1 and times_named(body, field) > 1:
            return field
    return None
