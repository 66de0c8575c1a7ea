"""What processes take of the machine, and callers that note what became of every request."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

END_SECONDS = 30.0
CALLERS = 3


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
