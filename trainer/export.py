"""A fitted network as an ONNX file that answers as PyTorch does, checked in ONNX Runtime.

The file holds nothing of the machine it was made on: the exporter's notes on source files and
stack traces are taken out.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import ModelProto
from torch import Tensor, nn
from torch.export import Dim

from models.tensors import Tensor as Array
from trainer.errors import ExportFailed, ExportMismatch
from trainer.networks.network import Network
from trainer.networks.recurrent import Cell
from trainer.table import Table
from trainer.tasks import Task

OPSET = 18  # what PyTorch's exporter writes itself; a higher one is converted afterwards
TOLERANCE = 1e-4  # of an answer, or of its share above 1; float32 differs by about 1e-6
EXAMPLE_ROWS = 3
EXAMPLE_STEPS = 5
ANSWER_ROWS = 4096


class Served(nn.Module):
    """What is exported: the network and the answer its task makes of it."""

    def __init__(self, network: Network, task: Task) -> None:
        super().__init__()
        self.network, self.task = network, task
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
        return self.task.answer(self.network(inputs))


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
    """An ONNX file and how far its answers are from PyTorch's at most."""

    onnx: bytes
    difference: float


def export(served: Served, signature: Signature, feeds: Sequence[Mapping[str, Array]]) -> Exported:
    """Export a network and compare both on every feed.

    Raises: ExportFailed, no ONNX form; ExportMismatch, another answer.
    """
    served = served.cpu().eval()
    onnx = exported(served, signature)
    return Exported(onnx, largest_difference(served, onnx, signature, feeds))


def exported(served: Served, signature: Signature) -> bytes:
    """Return the ONNX file of a network in evaluation mode.

    Raises: ExportFailed.
    """
    names, examples, shapes = example(served, signature)
    with exporter_is_quiet():
        try:
            program = torch.onnx.export(
                served,
                examples,
                dynamo=True,
                opset_version=OPSET,
                input_names=names,
                output_names=[signature.output],
                dynamic_shapes=(shapes,),
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise ExportFailed(f"PyTorch cannot write this network as ONNX: {error}") from error
    if program is None:
        raise ExportFailed("PyTorch wrote no ONNX file")
    return without_origins(program.model_proto).SerializeToString()


def example(
    served: Served, signature: Signature
) -> tuple[list[str], tuple[Tensor, ...], tuple[dict[int, Dim], ...]]:
    """Return the names of the graph's inputs, rows to trace it with, and the axes that stay free."""
    batch = Dim("batch")
    names, examples, shapes = [], [], []
    for one, entry in zip(signature.inputs, served.network.entries, strict=True):
        shape = (EXAMPLE_ROWS, *(EXAMPLE_STEPS if dim is None else dim for dim in entry.form.dims))
        names.append(one.name)
        examples.append(torch.from_numpy(np.zeros(shape, one.dtype)))
        shapes.append({0: batch})
        if one.lengths is not None:
            shapes[-1][1] = Dim("steps" if len(signature.inputs) == 1 else f"steps_{len(names)}")
            names.append(one.lengths)
            examples.append(torch.full((EXAMPLE_ROWS,), EXAMPLE_STEPS))
            shapes.append({0: batch})
    return names, tuple(examples), tuple(shapes)


@contextmanager
def exporter_is_quiet() -> Iterator[None]:
    """Keep back what PyTorch 2.13's exporter says about its own insides; nobody can act on it.

    It warns that it will change parts of PyTorch that it calls itself, and that the batch axis is
    shared by two inputs, which is what was asked for.
    """
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)  # "torchvision is not installed"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
            warnings.filterwarnings("ignore", "# The axis name: .* will not be used", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def without_origins(model: ModelProto) -> ModelProto:
    """Return the model without notes on where each part of it comes from."""
    del model.metadata_props[:]
    model.doc_string = ""
    graph = model.graph
    del graph.metadata_props[:]
    del graph.value_info[:]
    graph.doc_string, graph.name = "", "network"
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*graph.input, *graph.output):
        del value.metadata_props[:]
        value.doc_string = ""
    for weight in graph.initializer:
        del weight.metadata_props[:]
        weight.doc_string = ""
    return model


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


def answers(onnx: bytes, signature: Signature, table: Table) -> NDArray[np.float32]:
    """Run an ONNX file on every row of a table: (N, C) or (N, 1)."""
    runtime = session(onnx)
    parts = (table.slice(start, start + ANSWER_ROWS) for start in range(0, len(table), ANSWER_ROWS))
    return np.concatenate([ask(runtime, signature, feed(part, signature)) for part in parts])


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
