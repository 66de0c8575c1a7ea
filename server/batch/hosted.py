"""HostedJob: the process of one scoring job, as the server that started it sees it.

    server -> process   its settings as a line of JSON on standard input, which then stays open;
                        a line feed now and then while others are served
    process -> server   {"rows": N} a line on standard output: rows that it has looked at until now

Standard input that ends tells the process that it is alone.
"""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from server.settings import ServerSettings

# Started so and not with -m: the folder a user happens to be in may have a `server` of its own.
ROOT = Path(__file__).parents[2]
# Ctrl-C is for the server, which tells this one; a terminal sends it to both, also while this one still imports.
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path.append(sys.argv[1])
from server.job_process import main
main()
"""


@dataclass(frozen=True, slots=True)
class HostedJob:
    """A process that works on a job, or is about to.

    It stays in the session of the server: between sessions its low priority may count for nothing
    (sched_autogroup of Linux).
    """

    name: str
    process: Process
    orders: asyncio.StreamWriter
    reports: asyncio.StreamReader

    @classmethod
    async def start(cls, name: str, settings: ServerSettings) -> Self:
        """Start a process; it begins when it has its settings."""
        command = (sys.executable, "-P", "-c", PROGRAM, str(ROOT), name)
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        orders, reports = process.stdin, process.stdout
        if orders is None or reports is None:
            raise RuntimeError("a process was started without its pipes")
        orders.write(json.dumps(settings.model_dump(mode="json")).encode() + b"\n")
        return cls(name, process, orders, reports)

    def give_way(self) -> None:
        """Tell it that others are being served; one that does not listen is told once."""
        if not self.orders.is_closing() and not self.orders.transport.get_write_buffer_size():
            self.orders.write(b"\n")

    async def rows(self) -> AsyncIterator[int]:
        """Yield how many more rows it has looked at, until it has ended."""
        before = 0
        async for line in self.reports:
            with suppress(ValueError, TypeError, KeyError):  # a library's own words
                now = int(json.loads(line)["rows"])
                yield now - before
                before = now
        await self.process.wait()

    def terminate(self) -> None:
        """Let it end in order."""
        with suppress(ProcessLookupError):
            self.process.terminate()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self.process.kill()

    @property
    def died(self) -> str | None:
        """How it ended, in words, where it did not end by itself; None otherwise."""
        status = self.process.returncode
        if not status:
            return None
        return f"status {status}" if status > 0 else signal.Signals(-status).name

    def __str__(self) -> str:
        return f"job {self.name} (pid {self.process.pid})"
