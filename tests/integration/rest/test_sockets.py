"""What a client sees on the wire of a real server: bodies refused while they are still being sent."""

import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serving import ServeCommand

PATH = "/v1/models/churn/predict"
LIMIT = 1024
JSON = {"content-type": "application/json"}


@pytest.fixture
def served(redis_url: str) -> Iterator[ServeCommand]:
    server = ServeCommand(redis_url, {"INSITU_MAX_BODY_BYTES": str(LIMIT)})
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def spoken(served: ServeCommand) -> Callable[[bytes], bytes]:
    """A factory: what the server says to these bytes until it hangs up or falls silent."""
    place = urlsplit(served.url)

    def speak(said: bytes) -> bytes:
        heard = b""
        with socket.create_connection((place.hostname, place.port), timeout=5) as line:
            line.sendall(said)
            try:
                while part := line.recv(65536):
                    heard += part
            except TimeoutError:
                pass
        return heard

    return speak


def test_a_client_that_sends_far_too_much_still_reads_why(served: ServeCommand) -> None:
    response = httpx.post(served.url + PATH, content=b" " * (20 << 20), headers=JSON)

    assert response.status_code == 413
    assert response.headers["connection"] == "close"
    assert response.json()["error"] == {
        "code": "body_too_large",
        "message": response.json()["error"]["message"],
        "limit_bytes": LIMIT,
        "size_bytes": 20 << 20,
    }


def test_a_client_that_does_not_say_how_much_it_sends_still_reads_why(served: ServeCommand) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(2000):
            yield b" " * 4096

    response = httpx.post(served.url + PATH, content=parts(), headers=JSON)

    assert (response.status_code, response.json()["error"]["code"]) == (413, "body_too_large")


def test_a_client_that_asks_first_is_refused_before_it_sends(spoken: Callable[[bytes], bytes]) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
    )

    heard = spoken(head.encode())

    assert heard.startswith(b"HTTP/1.1 413")
    assert b"100 Continue" not in heard


def test_a_client_that_leaves_in_the_middle_is_no_fault_of_the_server(served: ServeCommand) -> None:
    place = urlsplit(served.url)
    head = f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"
    with socket.create_connection((place.hostname, place.port), timeout=5) as line:
        line.sendall(head.encode() + b'{"keys": [')

    alive = httpx.get(served.url + "/health/live")

    assert alive.status_code == 200
    assert "Traceback" not in served.log


def test_a_connection_is_kept_after_an_error(served: ServeCommand) -> None:
    with httpx.Client(base_url=served.url) as client:
        statuses = [client.post(PATH, content=b"{", headers=JSON).status_code for _ in range(3)]
        statuses.append(client.get("/health/live").status_code)

    assert statuses == [400, 400, 400, 200]


def test_a_path_that_is_no_utf_8_is_not_found(spoken: Callable[[bytes], bytes]) -> None:
    heard = spoken(b"GET /v1/models/%ff%fe HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")

    assert heard.startswith(b"HTTP/1.1 422")
    assert b"bad_name" in heard
