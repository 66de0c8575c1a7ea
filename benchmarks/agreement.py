"""Agreement: before anything is timed, a server's answers are held against ONNX Runtime itself."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.contenders import Server
from benchmarks.faults import BenchmarkFailed
from benchmarks.features import ROWS, key
from benchmarks.stage import Stage

RELATIVE, ABSOLUTE = 1e-4, 1e-6
ANSWER_SECONDS = 15.0
SAMPLES = (0, 1, 17, ROWS // 2, ROWS - 1)


def expected(model: bytes | Path, feeds: dict[str, NDArray[Any]], output: str = "value") -> NDArray[Any]:
    """Return what ONNX Runtime itself answers."""
    source = str(model) if isinstance(model, Path) else model
    session = ort.InferenceSession(source, providers=["CPUExecutionProvider"])
    answer: NDArray[Any] = session.run([output], feeds)[0]
    return answer


def agree(stage: Stage, server: Server, kind: str, rows_a_request: int = 1) -> None:
    """Stop the run unless a server answers some rows like ONNX Runtime does.

    Raises: BenchmarkFailed.
    """
    for start in SAMPLES:
        rows = [(start + offset) % ROWS for offset in range(rows_a_request)]
        wanted = expected(stage.model, {"x": stage.rows[rows]})[:, 0].tolist()
        compare(server, kind, [key(kind, row) for row in rows], wanted)


def compare(
    server: Server,
    model: str,
    keys: Sequence[str],
    wanted: Sequence[float],
    read: Callable[[Any], list[float]] | None = None,
) -> None:
    """Ask for keys and hold the answer against the wanted values.

    Raises: BenchmarkFailed, no answer, another status than 200, other values.
    """
    told = (read or server.values)(asked(server, model, list(keys)))
    if len(told) != len(wanted) or not np.allclose(told, wanted, rtol=RELATIVE, atol=ABSOLUTE):
        raise BenchmarkFailed(
            f"{server.name} answers {told[:3]} for {keys[0]} and on, ONNX Runtime {list(wanted[:3])}: "
            "the speed of wrong answers says nothing"
        )


def asked(server: Server, model: str, keys: list[str]) -> Any:
    """Return a server's answer for some keys.

    Raises: BenchmarkFailed, no answer, or another status than 200.
    """
    try:
        answer = httpx.post(
            server.url(model), json={"keys": keys}, headers=dict(server.headers), timeout=ANSWER_SECONDS
        )
    except httpx.TransportError as error:
        server.child.check()
        raise BenchmarkFailed(
            f"{server.name} gave no answer: {error!r}; its output: {server.child.log}"
        ) from error
    if answer.status_code != 200:
        raise BenchmarkFailed(f"{server.name} answered {answer.status_code}: {answer.text[:300]}")
    return json.loads(answer.content)
