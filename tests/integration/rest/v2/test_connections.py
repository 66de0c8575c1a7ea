"""What is refused before a route sees it: under /v2 in the protocol's words too."""

import pytest

from server.rest.connection import HEAD_BYTES
from tests.integration.rest.conftest import Listen
from tests.integration.rest.speaking import chunked, head, line, post

INFER = "/v2/models/churn/infer"


@pytest.mark.parametrize(
    ("path", "said"),
    [(INFER, str), (INFER + "?q=1", str), ("/v1/models/churn/predict", dict), ("/v22", dict)],
)
async def test_a_head_that_is_too_large_is_told_by_its_path(listen: Listen, path: str, said: type) -> None:
    wire = await listen()
    beginning = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ".encode()

    async with line(wire.port) as one:
        await one.say(beginning, *[b"a" * HEAD_BYTES] * 3)
        (reply,) = await one.hear()

    assert reply.status == 431
    assert isinstance(reply.data["error"], said)


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_a_body_that_is_too_large_is_told_in_a_text(listen: Listen, framing: str) -> None:
    wire = await listen(max_body_bytes=1024)
    lines = [f"POST {INFER} HTTP/1.1", "Host: 127.0.0.1", "Transfer-Encoding: chunked"]
    said = post(b" " * 2048, path=INFER)
    if framing == "chunks":
        said = head(*lines, body=chunked([b" " * 1000] * 3))

    async with line(wire.port) as one:
        await one.say(said)
        (reply,) = await one.hear()

    assert reply.status == 413
    assert "the limit is 1024" in reply.data["error"]
