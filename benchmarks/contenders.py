"""Contenders: each server started as its user would start it, and how to ask it and read its answers."""

import importlib.util
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.faults import BenchmarkFailed, Missing
from benchmarks.processes import HOST, Child, free_port, running, wait_for_port
from benchmarks.stage import Stage

INSITU, TEXTBOOK, MOSEC, EMPTY = "Insitu", "textbook", "mosec", "empty ASGI"
READY_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Server:
    """A running contender; `path` has the name of a model, or the kind of its features, in its braces."""

    name: str
    child: Child
    port: int
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def url(self, model: str = "") -> str:
        """Return where one model is asked."""
        return f"{self.root}{self.path.format(model)}"

    @property
    def root(self) -> str:
        """Where the server answers."""
        return f"http://{HOST}:{self.port}"

    def values(self, answer: Any) -> list[float]:
        """Return the predictions in an answer, in the order of the keys."""
        rows = answer["predictions"]
        return [row["value"] for row in rows] if self.name.startswith(INSITU) else rows


@contextmanager
def insitu(
    stage: Stage,
    name: str = INSITU,
    settings: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Serve with Insitu, ready when the block begins; `settings` by their environment variables."""
    port = free_port()
    env = {
        "INSITU_REDIS_URL": stage.url,
        "INSITU_LOG_LEVEL": "warning",
        "INSITU_GRPC_PORT": "-1",  # other ports are opened only where a case asks by them
        "INSITU_RESP_PORT": "-1",
        **(settings or {}),
    }
    command = ["-m", "cli.main", "serve", "--port", str(port)]
    with running(name, command, stage.log(name), env) as child:
        wait_for_port(child, port)
        server = Server(name, child, port, "/v1/models/{}/predict", headers or {})
        wait_until_ready(server)
        yield server


def wait_until_ready(server: Server) -> None:
    """Return once the models are loaded.

    Raises: BenchmarkFailed.
    """
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        server.child.check()
        try:
            if httpx.get(f"{server.root}/health/ready", timeout=READY_SECONDS).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(POLL_SECONDS)
    raise BenchmarkFailed(
        f"{server.name} was not ready within {READY_SECONDS:.0f} s; its output: {server.child.log}"
    )


@contextmanager
def textbook(stage: Stage) -> Iterator[Server]:
    """Serve with the service one writes by hand."""
    port = free_port()
    command = ["-m", "benchmarks.textbook", stage.url, str(stage.model), str(port)]
    with running(TEXTBOOK, command, stage.log(TEXTBOOK)) as child:
        wait_for_port(child, port)
        yield Server(TEXTBOOK, child, port, "/{}")


@contextmanager
def mosec(stage: Stage, kind: str) -> Iterator[Server]:
    """Serve one kind of features with mosec: one worker process.

    Raises: Missing, mosec is not installed.
    """
    if importlib.util.find_spec("mosec") is None:
        raise Missing("mosec is not installed: pip install 'insitu[bench]'")
    port = free_port()
    env = {"BENCH_REDIS_URL": stage.url, "BENCH_MODEL": str(stage.model), "BENCH_KIND": kind}
    flags = [
        "--address",
        HOST,
        "--port",
        str(port),
        "--path",
        str(stage.folder / f"mosec-{kind}"),
        "--log-level",
        "warning",
    ]
    command = ["-m", "benchmarks.mosec_service", *flags]
    with running(MOSEC, command, stage.log(f"mosec-{kind}"), env) as child:
        wait_for_port(child, port)
        yield Server(MOSEC, child, port, "/predict")


@contextmanager
def empty(stage: Stage) -> Iterator[Server]:
    """Serve empty answers."""
    port = free_port()
    with running(EMPTY, ["-m", "benchmarks.empty", str(port)], stage.log("empty")) as child:
        wait_for_port(child, port)
        yield Server(EMPTY, child, port, "/")
