"""Sessions of small graphs that tell what they ran, and batchers in front of them.

held(graph, ...)    a session whose runs can be held back
batcher(session)    a batcher in front of it
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from models.bundle import Bundle
from models.tensors import Tensor
from server.inference.batcher import Batcher, BatchLimits
from server.inference.runs import Runner
from server.inference.samples import Rows
from server.inference.sessions import Session
from tests.graphs import bundle, numbered

HELD_SECONDS = 5.0


class Held(Session):
    """A session that notes each run's rows, and waits in a run while its gate is closed."""

    def __init__(self, one: Bundle) -> None:
        super().__init__(one)
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Event()
        self.runs: list[int] = []
        self.threads: list[str] = []

    def run(self, feeds: Mapping[str, Tensor], stop: ort.RunOptions | None = None) -> dict[str, Tensor]:
        first = next(iter(feeds.values()))
        self.runs.append(len(first) if first.ndim else 1)
        self.threads.append(threading.current_thread().name)
        self.running.set()
        assert self.gate.wait(HELD_SECONDS)
        return super().run(feeds, stop)

    def hold(self) -> None:
        """Let the next run begin and not end."""
        self.gate.clear()
        self.running.clear()


@pytest.fixture
def held() -> Callable[..., Held]:
    """A factory: arguments are those of `tests.graphs.bundle`."""

    def make(onnx: bytes, **said: Any) -> Held:
        return Held(numbered(bundle(onnx, **said)))

    return make


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2, thread_name_prefix="run") as threads:
        yield threads


@pytest.fixture
def batcher(pool: ThreadPoolExecutor) -> Callable[..., Batcher]:
    """A factory: keywords are the bounds of its queue."""

    def make(session: Session, rows: Rows = "apart", **limits: Any) -> Batcher:
        bounds = BatchLimits(**limits)
        return Batcher(Runner(session, rows, pool, bounds.batch_rows), bounds)

    return make


def numbers(*values: float) -> Tensor:
    """Return rows (B, 2): each value twice."""
    return np.array([[one, one] for one in values], np.float32)
