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

from models.assembly import Plan
from models.bundle import Bundle
from models.tensors import Tensor
from server.inference.batch_limits import BatchLimits
from server.inference.batcher import Batcher
from server.inference.runs import Runner
from server.inference.samples import Rows
from server.inference.sessions import Session
from server.metrics import Metrics
from tests.graphs import bundle, numbered

HELD_SECONDS = 5.0


class Held(Session):
    """A session that notes each run's rows, and waits in a run while its gate is closed."""

    def __init__(self, one: Bundle) -> None:
        super().__init__(one)
        self.gate = threading.Event()
        self.gate.set()
        self.running = threading.Event()
        self.free = 0
        self.runs: list[int] = []
        self.ran_in: list[str] = []

    def run(self, feeds: Mapping[str, Tensor], stop: ort.RunOptions | None = None) -> dict[str, Tensor]:
        first = next(iter(feeds.values()))
        self.runs.append(len(first) if first.ndim else 1)
        self.ran_in.append(threading.current_thread().name)
        if first.size > self.free:
            self.running.set()
            assert self.gate.wait(HELD_SECONDS)
        return super().run(feeds, stop)

    def hold(self, free: int = 0) -> None:
        """Let the next run begin and not end; those of at most `free` elements go on."""
        self.free = free
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
        bounds, view = BatchLimits(**limits), session.manifest.features
        runner = Runner(session, rows, pool, bounds.batch_rows)
        return Batcher(runner, None if view is None else Plan(view), bounds, Metrics().of("m", 1))

    return make


def numbers(*values: float) -> Tensor:
    """Return rows (B, 2): each value twice."""
    return np.array([[one, one] for one in values], np.float32)
