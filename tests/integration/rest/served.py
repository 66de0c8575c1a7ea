"""A server process of its own, as `insitu serve` runs it, for what only a real socket shows."""

import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from tests.servers import wait_until

ROOT = Path(__file__).parents[3]
PROGRAM = """
from server.app import run
from server.settings import ServerSettings
run(ServerSettings(), lambda address, _grpc: print(address, flush=True))
"""
STOP_SECONDS = 30


@dataclass
class ServerProcess:
    """One server; settings are given as the environment gives them."""

    redis_url: str
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    output: IO[bytes] = field(default_factory=tempfile.NamedTemporaryFile)  # closed by close()

    @property
    def log(self) -> str:
        return Path(self.output.name).read_text(errors="replace")

    @property
    def url(self) -> str:
        return next((line for line in self.log.splitlines() if line.startswith(("http://", "https://"))), "")

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def start(self) -> "ServerProcess":
        """Start the process and wait until it answers."""
        given = {"INSITU_REDIS_URL": self.redis_url, "INSITU_PORT": "0", **self.settings}
        environment = {**os.environ, **given, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PROGRAM]
        self.process = subprocess.Popen(
            command, env=environment, stdout=self.output, stderr=subprocess.STDOUT
        )
        wait_until(self.answers, f"the server did not start:\n{self.log}")
        return self

    def answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"the server ended while starting:\n{self.log}")
        return bool(self.url)

    def terminate(self) -> None:
        """Tell the process to end, and do not wait."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def status(self) -> int:
        """Return the exit status once the process has ended by itself."""
        assert self.process is not None
        return self.process.wait(STOP_SECONDS)

    def close(self) -> None:
        """End the process as an operator would."""
        self.terminate()
        if self.process is not None:
            self.status()
        self.output.close()
