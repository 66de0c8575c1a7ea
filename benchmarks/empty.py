"""The ceiling of an ASGI server: a bare callable that reads nothing and answers `{}`, under the same uvicorn.

python -m benchmarks.empty PORT
"""

import sys
from typing import Any

import uvicorn

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"2")],
}
BODY = {"type": "http.response.body", "body": b"{}"}


async def answer(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer every request alike."""
    await send(START)
    await send(BODY)


def main() -> None:
    """Serve on loopback until stopped, with the settings Insitu gives to uvicorn."""
    uvicorn.run(
        answer,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
