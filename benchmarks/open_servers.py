"""Servers of the Open Inference Protocol, each with the same network as `vector`: Insitu, Triton twice, MLServer."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.contenders import INSITU, insitu
from benchmarks.faults import BenchmarkFailed, Missing
from benchmarks.processes import HOST, Child, free_port, running
from benchmarks.stage import Stage

TRITON, PYTRITON, MLSERVER = "Triton", "pytriton", "MLServer"
# The Python that `make bench` gives to rivals which pin packages of their own, and the package each comes from.
PYTHON = Path(sys.prefix) / "rivals" / "bin" / "python"
RIVALS = {TRITON: "pytriton", PYTRITON: "pytriton", MLSERVER: "mlserver"}
MODEL = "vector"
READY_SECONDS = 60.0
POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class OpenServer:
    """A running server; `grpc_port` is 0 where it is not asked by gRPC, `binary` whether HTTP takes binary tensors."""

    name: str
    child: Child
    port: int
    grpc_port: int
    binary: bool = True

    @property
    def url(self) -> str:
        """Where the network is asked over HTTP."""
        return self.infer(MODEL)

    def infer(self, model: str) -> str:
        """Return where one model is asked over HTTP."""
        return f"http://{HOST}:{self.port}/v2/models/{model}/infer"


@contextmanager
def open_insitu(stage: Stage) -> Iterator[OpenServer]:
    """Serve with Insitu, over HTTP and by gRPC."""
    port = free_port()
    with insitu(stage, settings={"INSITU_GRPC_PORT": str(port)}) as server:
        yield OpenServer(INSITU, server.child, server.port, port)


@contextmanager
def rival(stage: Stage, name: str) -> Iterator[OpenServer]:
    """Serve with one of RIVALS, ready when the block begins.

    Raises: Missing, it is not installed; BenchmarkFailed, it did not start.
    """
    if not installed(RIVALS[name]):
        raise Missing(
            f"{name} is not installed beside {PYTHON}: `make bench` tries to, and says why it cannot"
        )
    port, grpc_port = free_port(), free_port()
    folder = stage.folder / name.lower()
    folder.mkdir(exist_ok=True)
    words = [str(stage.model), str(port), str(grpc_port), str(folder)]
    command = ["-m", f"benchmarks.rivals.{name.lower()}_service", *words]
    with running(name, command, stage.log(name), python=str(PYTHON)) as child:
        server = OpenServer(name, child, port, grpc_port if by_grpc(name) else 0, in_binary(name))
        wait_until_ready(server)
        yield server


def by_grpc(name: str) -> bool:
    """Return whether a rival is asked by gRPC too."""
    return name != MLSERVER


def in_binary(name: str) -> bool:
    """Return whether a rival takes binary tensors over HTTP."""
    return name != MLSERVER


def installed(package: str) -> bool:
    """Return whether the rivals' Python has a package."""
    found = PYTHON.parent.parent.glob(f"lib/python*/site-packages/{package}/__init__.py")
    return PYTHON.exists() and any(found)


def wait_until_ready(server: OpenServer) -> None:
    """Return once the network answers.

    Raises: BenchmarkFailed.
    """
    deadline = time.monotonic() + READY_SECONDS
    url = server.url.removesuffix("infer") + "ready"
    while time.monotonic() < deadline:
        server.child.check()
        try:
            if httpx.get(url, timeout=READY_SECONDS).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(POLL_SECONDS)
    raise BenchmarkFailed(f"{server.name} was not ready within {READY_SECONDS:.0f} s: {server.child.log}")
