"""The server as a user starts it, and callers that note what became of every request."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.servers import wait_until

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "cli.main", "serve", "--port", "0", "--json")
END_SECONDS = 30.0
CALLERS = 3


@dataclass
class ServeCommand:
    """`insitu serve` in a process of its own; settings are given as the environment gives them."""

    redis_url: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "serve.log").read_text(errors="replace")

    @property
    def told(self) -> dict[str, str]:
        """What it said when it answered; empty until then."""
        line, ended, _ = (self.folder / "serve.out").read_text().partition("\n")
        return dict(json.loads(line)) if ended else {}

    @property
    def url(self) -> str:
        return self.told.get("url", "")

    @property
    def grpc(self) -> str:
        """Where gRPC answers."""
        return self.told.get("grpc", "")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> "ServeCommand":
        """Start the process and wait until it says where it answers."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("INSITU_")}
        environment = inherited | {"INSITU_REDIS_URL": self.redis_url} | self.settings
        with (self.folder / "serve.out").open("wb") as out, (self.folder / "serve.log").open("wb") as log:
            self.process = subprocess.Popen(COMMAND, cwd=ROOT, env=environment, stdout=out, stderr=log)
        wait_until(self.answers, "insitu serve said nothing")
        return self

    def answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"the server ended while starting:\n{self.log}")
        return bool(self.url)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        """Return the exit status once the process has ended by itself."""
        assert self.process is not None
        return self.process.wait(END_SECONDS)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(END_SECONDS)


@dataclass(frozen=True)
class Told:
    """What became of one request.

    Units: at, seconds of time.monotonic when it was sent; seconds until the answer.
    """

    at: float
    seconds: float
    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        """The code of the error, empty without one."""
        return str(self.body.get("error", {}).get("code", ""))


@dataclass
class Load:
    """Requests that go on until they are told to stop."""

    told: list[Told] = field(default_factory=list)

    def since(self, at: float) -> list[Told]:
        """Return what was sent after a time."""
        return [one for one in self.told if one.at >= at]

    def statuses(self) -> set[int]:
        return {one.status for one in self.told}

    async def until(self, enough: int) -> None:
        """Wait until so many more requests were answered."""
        wanted = len(self.told) + enough
        async with asyncio.timeout(END_SECONDS):
            while len(self.told) < wanted:  # noqa: ASYNC110  # nobody tells a test
                await asyncio.sleep(0.01)


@asynccontextmanager
async def load(url: str, path: str, body: dict[str, Any]) -> AsyncIterator[Load]:
    """Send one request after the other, from several callers at once."""
    made = Load()

    async def call(client: httpx.AsyncClient) -> None:
        while True:
            at = time.monotonic()
            response = await client.post(path, json=body)
            made.told.append(Told(at, time.monotonic() - at, response.status_code, response.json()))

    async with httpx.AsyncClient(base_url=url, timeout=END_SECONDS) as client:
        callers = [asyncio.create_task(call(client)) for _ in range(CALLERS)]
        try:
            yield made
        finally:
            for caller in callers:
                caller.cancel()
            for caller in callers:
                with suppress(asyncio.CancelledError):
                    await caller


async def ready(url: str) -> bool:
    """Whether the server says that it may be sent requests."""
    async with httpx.AsyncClient(base_url=url) as client:
        return (await client.get("/health/ready")).status_code == 200


def processor_seconds(pid: int) -> float:
    """Return how long a process has been at work."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Return how much memory a process has in RAM."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no VmRSS")
