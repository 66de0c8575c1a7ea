"""A fitted network as an ONNX file that answers as PyTorch does, checked in ONNX Runtime."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.tensors import Tensor as Array
from trainer.errors import ExportFailed, ExportMismatch
from trainer.exporting.exporters import Example, current, older
from trainer.exporting.quantization import Quantized
from trainer.exporting.weights import with_weights
from trainer.networks.ensemble import Fitted
from trainer.networks.recurrent import Cell
from trainer.table import Table
from trainer.tasks.task import Task

TOLERANCE = 1e-4  # of an answer, or of its share above 1; float32 differs by about 1e-6
EXAMPLE_ROWS = 3
EXAMPLE_STEPS = 5
ANSWER_ROWS = 4096
# Begins the names of ONNX Runtime's operators that scale all rows of a run alike.
ONE_SCALE = b"DynamicQuantize"


class Served(nn.Module):
    """What is exported: the network and the answer its task makes of it."""

    def __init__(self, network: Fitted, task: Task, temperature: float = 1.0) -> None:
        """Take a network; what its head gives is divided by the temperature, unless that is 1."""
        super().__init__()
        self.network, self.task, self.temperature = network, task, temperature
        for part in network.modules():
            if isinstance(part, Cell):
                part.freeze()

    def forward(self, *tensors: Tensor) -> Tensor:
        """Shape: each input and, where its steps are free, its lengths after it -> the task's answer."""
        given = iter(tensors)
        inputs = {
            entry.name: (next(given), next(given) if entry.form.free else None)
            for entry in self.network.entries
        }
        raw = self.network(inputs)
        return self.task.answer(raw if self.temperature == 1 else raw / self.temperature)


@dataclass(frozen=True, slots=True)
class Input:
    """The name and element type of one input of the graph, and the name of the one with its lengths."""

    name: str
    dtype: str
    lengths: str | None


@dataclass(frozen=True, slots=True)
class Signature:
    """The graph's inputs, in the order of the view, and the name of its output."""

    inputs: tuple[Input, ...]
    output: str


@dataclass(frozen=True, slots=True)
class Exported:
    """An ONNX file, how far its answers in float32 are from PyTorch's at most, and what it is served in."""

    onnx: bytes
    difference: float
    exporter: str = "current"
    quantized: Quantized | None = None


def export(served: Served, signature: Signature, feeds: Sequence[Mapping[str, Array]]) -> Exported:
    """Export a network and compare both on every feed.

    Raises: ExportFailed, no ONNX form; ExportMismatch, another answer.
    """
    served = served.cpu().eval()
    written, exporter = exported(served, signature)
    onnx = with_weights(written, served.network)
    return Exported(onnx, largest_difference(served, onnx, signature, feeds), exporter)


def exported(served: Served, signature: Signature) -> tuple[bytes, str]:
    """Return the ONNX file of a network in evaluation mode, and which of PyTorch's exporters wrote it.

    Raises: ExportFailed.
    """
    asked = example(served, signature)
    try:
        return current(served, asked).SerializeToString(), "current"
    except ExportFailed as error:
        reason = error
    try:
        return older(served, asked).SerializeToString(), "older"
    except ExportFailed as error:
        raise ExportFailed(f"{reason}; its older exporter neither: {error}") from reason


def example(served: Served, signature: Signature) -> Example:
    """Return the names of the graph, rows to trace it with, and the axes that stay free."""
    names, rows, axes = [], [], []
    for one, entry in zip(signature.inputs, served.network.entries, strict=True):
        shape = (EXAMPLE_ROWS, *(EXAMPLE_STEPS if dim is None else dim for dim in entry.form.dims))
        names.append(one.name)
        rows.append(torch.from_numpy(np.zeros(shape, one.dtype)))
        axes.append({0: "batch"})
        if one.lengths is not None:
            axes[-1][1] = "steps" if len(signature.inputs) == 1 else f"steps_{len(names)}"
            names.append(one.lengths)
            rows.append(torch.full((EXAMPLE_ROWS,), EXAMPLE_STEPS))
            axes.append({0: "batch"})
    return Example(tuple(names), tuple(rows), tuple(axes), signature.output)


def largest_difference(
    served: Served, onnx: bytes, signature: Signature, feeds: Sequence[Mapping[str, Array]]
) -> float:
    """Return the largest difference between PyTorch and ONNX Runtime over the feeds.

    Raises: ExportMismatch, it is over the tolerance.
    """
    runtime = session(onnx)
    largest = 0.0
    for rows in feeds:
        inputs = [torch.from_numpy(np.ascontiguousarray(value)) for value in rows.values()]
        with torch.no_grad():
            wanted = served(*inputs).numpy()
        difference = distance(wanted, ask(runtime, signature, rows))
        if not difference <= TOLERANCE:
            shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in rows.items())
            raise ExportMismatch(difference, TOLERANCE, shapes)
        largest = max(largest, difference)
    return largest


def distance(wanted: NDArray[Any], given: NDArray[Any]) -> float:
    """Return the largest difference of two answers, absolute up to 1 and relative above."""
    if wanted.shape != given.shape:
        return float("inf")
    scale = np.maximum(1.0, np.abs(wanted))
    return float((np.abs(wanted - given) / scale).max())


def session(onnx: bytes) -> onnxruntime.InferenceSession:
    """Open an ONNX file in ONNX Runtime on the CPU.

    Raises: ExportFailed, it does not load.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # more would burn the cores of whoever is served meanwhile
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no base but Exception
        raise ExportFailed(f"ONNX Runtime does not load what PyTorch wrote: {error}") from error


def feed(table: Table, signature: Signature) -> dict[str, Array]:
    """Return the rows of a table as a graph takes them, without padding that none of them needs."""
    rows: dict[str, Array] = {}
    for one in signature.inputs:
        values = table.inputs[one.name].trimmed()
        rows[one.name] = values.x
        if one.lengths is not None and values.lengths is not None:
            rows[one.lengths] = values.lengths
    return rows


def rows_a_run(onnx: bytes) -> int:
    """Return how many rows may share a run: where their activations have one scale, a row's answer is its own alone."""
    return 1 if ONE_SCALE in onnx else ANSWER_ROWS


def answers(onnx: bytes, signature: Signature, table: Table) -> NDArray[np.float32]:
    """Run an ONNX file on every row of a table, as many at once as a server would: (N, C) or (N, 1)."""
    runtime = session(onnx)
    return np.concatenate([ask(runtime, signature, rows) for rows in feeds(onnx, signature, table)])


def feeds(onnx: bytes, signature: Signature, table: Table) -> Iterator[dict[str, Array]]:
    """Give the rows of a table as a server gives them to a file: together, or each by itself."""
    size = rows_a_run(onnx)
    for start in range(0, len(table), size):
        yield feed(table.slice(start, start + size), signature)


def ask(
    runtime: onnxruntime.InferenceSession, signature: Signature, rows: Mapping[str, Array]
) -> NDArray[np.float32]:
    """Run a session once.

    Raises: ExportFailed, it does not take these rows.
    """
    try:
        result: NDArray[np.float32] = runtime.run([signature.output], dict(rows))[0]
    except Exception as error:  # ONNX Runtime's errors have no base but Exception
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in rows.items())
        raise ExportFailed(f"ONNX Runtime does not run the network on {shapes}: {error}") from error
    return result
