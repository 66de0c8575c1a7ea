"""What the server process weighs and how soon it answers, with three models of the usual kinds."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.integration.faults.conftest import Publish
from tests.integration.rest.served import ServerProcess

RESIDENT_LIMIT_MB = 150


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    line = next(
        one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024


def test_three_models_take_little_memory_and_no_torch(
    publish: Publish, serve: Callable[..., ServerProcess]
) -> None:
    for number, name in enumerate(("first", "second", "third"), 1):
        publish(name, float(number))
    begun = time.monotonic()

    server = serve()
    seconds = time.monotonic() - begun
    for name in ("first", "second", "third"):
        answer = httpx.post(f"{server.url}/v1/models/{name}/predict", json={"keys": ["row:1", "row:2"]})
        assert answer.status_code == 200

    assert server.process is not None
    pid = server.process.pid
    memory = resident_mb(pid)
    assert memory < RESIDENT_LIMIT_MB, f"ready after {seconds:.2f} s"
    assert "torch" not in Path(f"/proc/{pid}/maps").read_text()
