"""Bounds on what is received and the last net under what fails; pure ASGI, knows no route's meaning."""

import asyncio
import logging
import re
from contextlib import suppress
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.errors import shown
from server.rest.errors import answer
from server.rest.refusals import BodyTooLarge, BodyTooSlow, Broken, MalformedRequest, Refusal

log = logging.getLogger(__name__)

UPLOAD_PATH = re.compile(r"/v1/models/[^/]+/versions/?")
LOAD_PATH = re.compile(r"/v2/repository/models/[^/]+/load")
FORM_BYTES = 2 << 20  # what an upload may carry beside the model file: the view, the form itself


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Bounds of a body.

    Units: silence_seconds, how long the next part of a body may be waited for; linger_seconds, how
    long the rest of a refused one is read.
    """

    body_bytes: int
    model_bytes: int
    silence_seconds: float = 30.0
    linger_seconds: float = 2.0

    def of(self, scope: Scope) -> int:
        """Return how many bytes the body of a request may have."""
        if scope["method"] == "POST" and UPLOAD_PATH.fullmatch(scope["path"]):
            return self.model_bytes + FORM_BYTES
        if scope["method"] == "POST" and LOAD_PATH.fullmatch(scope["path"]):
            return self.model_bytes * 4 // 3 + FORM_BYTES  # in base64
        return self.body_bytes


class BoundedBodies:
    """Refuses a body by its Content-Length, and counts the bytes of one that does not tell."""

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self.app = app
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on whose body is read within the bounds."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            check_head(scope)
        except MalformedRequest as error:
            await self.refuse(error, scope, receive, send)
            return
        limit = self.limits.of(scope)
        told = content_length(scope)
        if told is not None and told > limit:
            await self.refuse(BodyTooLarge(limit, told), scope, receive, send)
            return
        body = BoundedBody(receive, limit, self.limits.silence_seconds)
        replies = Replies(body, send)
        try:
            await self.app(scope, body.receive, replies.send)
        except Refusal:
            if body.refusal is None:
                raise
        if body.refusal is not None and not replies.started:
            await self.refuse(body.refusal, scope, nothing_more if body.whole else receive, send)

    async def refuse(self, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a body that is not wanted, and end the connection.

        The rest is read for a moment and thrown away: a client that is still sending when the
        connection closes would get a reset in place of the answer. One that asked first (Expect)
        sends nothing.
        """
        response = answer(refusal, scope["path"])
        response.headers["Connection"] = "close"
        head = {"status": response.status_code, "headers": response.raw_headers}
        await send({"type": "http.response.start", **head})
        await send({"type": "http.response.body", "body": response.body, "more_body": True})
        coming = isinstance(refusal, BodyTooLarge | MalformedRequest)
        if coming and not any(name == b"expect" for name, _ in scope["headers"]):
            with suppress(TimeoutError):
                async with asyncio.timeout(self.limits.linger_seconds):
                    while (await receive()).get("more_body", False):
                        pass
        await send({"type": "http.response.body", "body": b""})


class BoundedBody:
    """The body of one request, counted as it arrives."""

    def __init__(self, receive: Receive, limit: int, silence_seconds: float) -> None:
        self._receive = receive
        self._left = limit
        self._limit = limit
        self._silence = silence_seconds
        self.whole = False
        self.refusal: Refusal | None = None

    async def receive(self) -> Message:
        """Return the next message.

        Raises: BodyTooLarge, BodyTooSlow.
        """
        if self.whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._silence):
                message = await self._receive()
        except TimeoutError:
            self.refusal = BodyTooSlow(self._silence)
            raise self.refusal from None
        self.whole = not message.get("more_body", False)
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            self.refusal = BodyTooLarge(self._limit)
            raise self.refusal
        return message


async def nothing_more() -> Message:
    """Return what follows a body that has all come."""
    return {"type": "http.disconnect"}


class Replies:
    """The answer of one request; once its body was refused, the application's own is held back."""

    def __init__(self, body: BoundedBody, send: Send) -> None:
        self._body = body
        self._send = send
        self.started = False

    async def send(self, message: Message) -> None:
        """Send a message on."""
        if self._body.refusal is not None and not self.started:
            return
        self.started = True
        await self._send(message)


def check_head(scope: Scope) -> None:
    """Refuse a head of which another reader may think otherwise: whom it asks, and what its body is.

    Raises: MalformedRequest.
    Source: RFC 9112, 3.2 and 6.1.
    """
    hosts = sum(name == b"host" for name, _ in scope["headers"])
    if hosts > 1 or (not hosts and scope.get("http_version") == "1.1"):
        raise MalformedRequest(f"the request has {hosts} headers Host; a request of HTTP/1.1 has one")
    codings = [value.strip() for name, value in scope["headers"] if name == b"transfer-encoding"]
    if codings and [one.lower() for one in codings] != [b"chunked"]:
        told = shown(b", ".join(codings))
        raise MalformedRequest(
            f"a body with Transfer-Encoding {told!r} is not read; send it as it is, or chunked"
        )


def content_length(scope: Scope) -> int | None:
    """Return the length a request tells; None when it tells none that is a number."""
    told = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(told) if told.isdigit() and len(told) < 20 else None


class Net:
    """Answers what no table knows with a plain 500; the traceback goes to the log and nowhere else."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and catch what falls."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            return  # nobody is there to be answered
        except Refusal:
            raise  # a body that was refused while it was read: BoundedBodies answers
        except Exception:
            log.exception("%s %s failed", scope.get("method", scope["type"]), shown(scope.get("path", "")))
            if started or scope["type"] != "http":
                raise
            await answer(Broken(), scope["path"])(scope, receive, send)
