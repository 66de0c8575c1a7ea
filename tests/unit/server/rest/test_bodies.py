"""Bounds on bodies, byte by byte as they arrive, and the net under faults of our own."""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.rest.bodies import FORM_BYTES, BodyLimits, BoundedBodies, Net

LIMITS = BodyLimits(body_bytes=10, model_bytes=100, silence_seconds=0.05, linger_seconds=0.05)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the length of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


async def ask(
    app: ASGIApp, parts: Sequence[bytes], *, length: int | None = None, path: str = "/", ends: bool = True
) -> tuple[list[Message], int]:
    """Return what was sent, and how many parts of the body were read."""
    sent: list[Message] = []
    read = 0

    async def receive() -> Message:
        nonlocal read
        if read == len(parts):
            await asyncio.sleep(60)
        read += 1
        more = read < len(parts) or not ends
        return {"type": "http.request", "body": parts[read - 1], "more_body": more}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [] if length is None else [(b"content-length", b"%d" % length)]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "headers": headers}
    await app(scope, receive, send)
    return sent, read


def error_of(sent: list[Message]) -> dict[str, Any]:
    body = b"".join(message.get("body", b"") for message in sent)
    found: dict[str, Any] = json.loads(body)["error"]
    return found


async def test_a_body_within_the_bound_passes() -> None:
    sent, _ = await ask(BoundedBodies(echo, LIMITS), [b"12345", b"67890"], length=10)

    assert sent[0]["status"] == 200
    assert sent[1]["body"] == b"10"


async def test_a_body_that_tells_it_is_too_large_is_refused_before_the_application_sees_it() -> None:
    seen = False

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal seen
        seen = True

    sent, _ = await ask(BoundedBodies(application, LIMITS), [b"x" * 11], length=11)

    assert sent[0]["status"] == 413
    assert error_of(sent)["limit_bytes"] == 10
    assert error_of(sent)["size_bytes"] == 11
    assert not seen


async def test_a_body_that_does_not_tell_is_refused_at_the_byte_that_is_too_many() -> None:
    sent, _ = await ask(BoundedBodies(echo, LIMITS), [b"1234", b"5678", b"9abc", b"defg"])

    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]
    assert error_of(sent)["code"] == "body_too_large"


async def test_a_body_that_lies_about_its_length_is_counted_all_the_same() -> None:
    sent, _ = await ask(BoundedBodies(echo, LIMITS), [b"x" * 8, b"x" * 8], length=5)

    assert sent[0]["status"] == 413


async def test_what_the_application_makes_of_a_refused_body_is_held_back() -> None:
    async def wrong(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await echo(scope, receive, send)
        except Exception:  # noqa: BLE001  # as frameworks do when a body cannot be read
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"?"})

    sent, _ = await ask(BoundedBodies(wrong, LIMITS), [b"x" * 20])

    assert sent[0]["status"] == 413


async def test_a_body_that_stops_coming_is_given_up() -> None:
    sent, _ = await ask(BoundedBodies(echo, LIMITS), [b"123"], ends=False)

    assert sent[0]["status"] == 408
    assert error_of(sent)["code"] == "body_too_slow"


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("POST", "/v1/models/m/versions", 100 + FORM_BYTES),
        ("POST", "/v1/models/m/versions/", 100 + FORM_BYTES),
        ("POST", "/v1/models/m/versions/3/predict", 10),
        ("POST", "/v1/models/m/predict", 10),
        ("PUT", "/v1/models/m/versions", 10),
        ("POST", "/v1/models/a/b/versions", 10),
    ],
)
def test_only_an_upload_may_be_as_large_as_a_model(method: str, path: str, limit: int) -> None:
    assert LIMITS.of({"method": method, "path": path}) == limit


@pytest.mark.parametrize("told", [b"-1", b"1e9", b"9" * 30, b"", b"\xb2"])
async def test_a_length_that_is_no_number_is_not_believed(told: bytes) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"123", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(b"content-length", told)],
    }
    await BoundedBodies(echo, LIMITS)(scope, receive, send)

    assert sent[0]["status"] == 200


async def test_what_is_no_http_passes_untouched() -> None:
    kinds = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        kinds.append(scope["type"])

    async def nothing(*_: object) -> Any:
        raise AssertionError

    await BoundedBodies(application, LIMITS)({"type": "lifespan"}, nothing, nothing)

    assert kinds == ["lifespan"]


async def test_a_fault_of_ours_is_logged_and_answered_without_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("secret of the inside")

    with caplog.at_level(logging.ERROR):
        sent, _ = await ask(Net(broken), [b""], path="/v1/models/a\nb")

    assert sent[0]["status"] == 500
    assert error_of(sent) == {
        "code": "internal_error",
        "message": "the server failed at this request; its log says why",
    }
    assert "secret of the inside" in caplog.text
    assert "a\nb" not in caplog.messages[0]


async def test_a_fault_after_the_answer_began_ends_the_connection() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ask(Net(broken), [b""])
