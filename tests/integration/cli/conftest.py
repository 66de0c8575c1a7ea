"""The real command as a process of its own, against a real Redis and a real server.

insitu(...)     runs a command to its end, in a process forked from one that has imported everything
running(...)    starts one that goes on, and ends it after the test; `fresh` starts an interpreter for it
server          the URL of one server for the session, over a Redis of its own that nobody writes to
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from models.bundle import Bundle
from models.connecting import connect
from models.store import ModelStore
from tests import forked
from tests.integration.rest import graphs
from tests.servers import RedisServer

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-m", "cli.main")
END_SECONDS = 240.0  # a training takes as long where others use the processors

Environment = dict[str, str]


@dataclass(frozen=True)
class Result:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line on stderr."""
        assert self.err.startswith("error: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err


@dataclass
class Running:
    """A command that goes on; its stdout line by line."""

    process: subprocess.Popen[str] | forked.Forked

    def line(self) -> str:
        """Return the next line of its output; empty when it has ended."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def line_with(self, text: str) -> str:
        """Skip to the line that has a text."""
        passed: list[str] = []
        while line := self.line():
            if text in line:
                return line
            passed.append(line)
        printed = "".join(passed[-40:])
        raise AssertionError(f"it ended with {self.process.wait()} and never said {text!r}, but:\n{printed}")

    def told(self) -> Any:
        return json.loads(self.line())

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(END_SECONDS)


def inherited() -> Environment:
    """Nothing of the machine's own settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("INSITU_")}


@pytest.fixture
def environment(redis_url: str, tmp_path: Path) -> Environment:
    """The test's Redis, and nothing of the machine's own settings."""
    return inherited() | {
        "INSITU_REDIS_URL": redis_url,
        "INSITU_DATA_DIR": str(tmp_path / "data"),
        "INSITU_URL": "http://127.0.0.1:1",
        "COLUMNS": "100",
    }


@pytest.fixture
def insitu(environment: Environment) -> Callable[..., Result]:
    def run(*words: str, seconds: float = END_SECONDS, given: str = "", **extra: str) -> Result:
        done = forked.run(words, environment | extra, seconds, given)
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def running(environment: Environment) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def run(*words: str, without: tuple[str, ...] = (), fresh: bool = False, **extra: str) -> Running:
        chosen = {name: value for name, value in (environment | extra).items() if name not in without}
        started.append(Running(begin_fresh(words, chosen) if fresh else forked.begin(words, chosen)))
        return started[-1]

    yield run
    for one in started:
        if one.process.poll() is None:
            one.end()  # in order, so that an embedded Redis of its own ends with it
        if one.process.stdout is not None:
            one.process.stdout.close()


def begin_fresh(words: Sequence[str], environment: Environment) -> subprocess.Popen[str]:
    """Begin a command as a shell would: an interpreter is started for it."""
    return subprocess.Popen(
        [*COMMAND, *words],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def churn(tmp_path: Path) -> tuple[str, str]:
    """An ONNX file with two labels and its feature view, over the hash customer:{id}."""
    model, view = tmp_path / "churn.onnx", tmp_path / "view.yaml"
    model.write_bytes(graphs.linear(graphs.CHURN_WEIGHTS, softmax=True))
    view.write_text(json.dumps(graphs.CHURN_VIEW))
    return str(model), str(view)


@pytest.fixture
def published(redis_url: str) -> None:
    """The model churn, version 1, and three customers, one of them without an age."""
    put_churn(redis_url)


@pytest.fixture(scope="session")
def server(redis_binary: Path) -> Iterator[str]:
    """Serves churn to the three customers; it is asked over HTTP alone."""
    redis = RedisServer(redis_binary).start()
    put_churn(redis.url)
    words = (*COMMAND, "serve", "--redis-url", redis.url, "--port", "0", "--log-level", "error", "--json")
    with subprocess.Popen(words, cwd=ROOT, env=inherited(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield str(json.loads(process.stdout.readline())["url"])
        finally:
            process.terminate()
            process.wait(END_SECONDS)
            redis.close()


def put_churn(redis_url: str) -> None:
    """Store the model churn and three customers, one of them without an age."""
    asyncio.run(publish(redis_url, graphs.churn()))
    with Redis.from_url(redis_url) as client:
        client.hset("customer:1", mapping={"age": "60", "spend": "10"})
        client.hset("customer:2", mapping={"age": "20", "spend": "90"})
        client.hset("customer:3", mapping={"spend": "5"})


async def publish(redis_url: str, bundle: Bundle) -> None:
    """Store a bundle as a program would."""
    client = connect(redis_url)
    await ModelStore(client).publish(bundle)
    await client.aclose()


def processes_about(text: str) -> list[int]:
    """Return the processes whose command line mentions a text: what a test has left behind."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in words:
                found.append(int(entry.name))
    return found
