"""`insitu serve` in a process of its own, for what only a real process and a real socket show."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests import forked
from tests.servers import RedisServer, wait_until, wait_until_ready

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "cli.main")
WORDS = ("serve", "--port", "0", "--json")
END_SECONDS = 30.0


@dataclass
class ServeCommand:
    """`insitu serve` in a process of its own; settings are given as the environment gives them.

    One that is measured, or starts workers, is started `fresh`, with an interpreter of its own.
    """

    redis_url: str
    settings: dict[str, str] = field(default_factory=dict)
    fresh: bool = False
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="insitu-")))
    process: subprocess.Popen[bytes] | forked.Forked | None = None

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    @property
    def told(self) -> dict[str, str]:
        """What it said when it answered; empty until then."""
        line, ended, _ = (self.directory / "out").read_text().partition("\n")
        return dict(json.loads(line)) if ended else {}

    @property
    def url(self) -> str:
        return self.told.get("url", "")

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

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
        out, log = self.directory / "out", self.directory / "log"
        with out.open("wb") as told, log.open("wb") as logged:
            if self.fresh or "INSITU_WORKERS" in self.settings:
                command = [*COMMAND, *WORDS]
                self.process = subprocess.Popen(
                    command, cwd=ROOT, env=environment, stdout=told, stderr=logged
                )
            else:
                self.process = forked.Forked(WORDS, environment, (Path(os.devnull), out, log))
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

    def terminate(self) -> None:
        """Tell the process to end, and do not wait."""
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGTERM)

    def stop(self) -> None:
        """End the process as an operator would, and forget what it said."""
        self.terminate()
        try:
            if self.process is not None:
                self.wait()
        finally:
            self.close()

    def close(self) -> None:
        """End the process at once, and forget what it said."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(END_SECONDS)
        shutil.rmtree(self.directory, ignore_errors=True)


@contextmanager
def serving(
    fill: Callable[[str], Coroutine[Any, Any, None]], redis_binary: Path, **settings: str
) -> Iterator[ServeCommand]:
    """A server over a Redis of its own that `fill`, given its URL, has put models into; all of them are loaded."""
    with ExitStack() as stack:
        redis = RedisServer(redis_binary).start()
        stack.callback(redis.close)
        asyncio.run(fill(redis.url))
        server = ServeCommand(redis.url, settings)
        stack.callback(server.stop)
        wait_until_ready(server.start().url)
        yield server
