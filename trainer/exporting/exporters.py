"""PyTorch's two ways to an ONNX file: the current exporter, and the older one where that fails.

A file holds nothing of the machine it was made on: notes on source files and stack traces are
taken out.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import onnx
import torch
from onnx import ModelProto
from torch import Tensor, nn
from torch.export import Dim

from trainer.errors import ExportFailed
from trainer.networks.recurrent import Cell

OPSET = 18  # what PyTorch's exporter writes itself; a higher one is converted afterwards
REASON_LETTERS = 300  # of what an exporter says of its own insides


@dataclass(frozen=True, slots=True)
class Example:
    """What a graph is traced with: its names, rows for each input, and the axes that stay free by name."""

    names: tuple[str, ...]
    rows: tuple[Tensor, ...]
    axes: tuple[dict[int, str], ...]
    output: str


def current(module: nn.Module, example: Example) -> ModelProto:
    """Return the graph that the current exporter writes.

    Raises: ExportFailed.
    """
    free = {name: Dim(name) for axes in example.axes for name in axes.values()}
    shapes = tuple({axis: free[name] for axis, name in axes.items()} for axes in example.axes)
    with exporter_is_quiet():
        try:
            program = torch.onnx.export(
                module,
                example.rows,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(example.names),
                output_names=[example.output],
                dynamic_shapes=(shapes,),
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise ExportFailed(f"PyTorch cannot write this network as ONNX: {shortened(error)}") from error
    if program is None:
        raise ExportFailed("PyTorch wrote no ONNX file")
    return without_origins(program.model_proto)


def older(module: nn.Module, example: Example) -> ModelProto:
    """Return the graph that the older exporter writes: it follows one run and keeps what that did.

    Whether the same holds for other rows is for a comparison to show.

    Raises: ExportFailed.
    """
    written = BytesIO()
    with warnings.catch_warnings(), unfrozen(module):
        warnings.simplefilter("ignore")  # it is told to go, and tells of every number that it takes for fixed
        try:
            torch.onnx.export(
                module,
                example.rows,
                written,  # type: ignore[arg-type]  # it writes into a buffer as well as into a file
                dynamo=False,
                opset_version=OPSET,
                input_names=list(example.names),
                output_names=[example.output],
                dynamic_axes={
                    **dict(zip(example.names, example.axes, strict=True)),
                    example.output: {0: "batch"},
                },
            )
        except Exception as error:  # the older exporter's errors have no base but Exception
            raise ExportFailed(shortened(error)) from error
    return without_origins(onnx.load_from_string(written.getvalue()))


def shortened(error: Exception) -> str:
    """Return the beginning of what an exporter says."""
    text = " ".join(str(error).split())
    return text if len(text) <= REASON_LETTERS else text[: REASON_LETTERS - 3] + "..."


@contextmanager
def unfrozen(module: nn.Module) -> Iterator[None]:
    """Let recurrent layers be PyTorch's own, which the older exporter knows as one operator."""
    cells = [part for part in module.modules() if isinstance(part, Cell)]
    try:
        for cell in cells:
            cell.as_operator = False
        yield
    finally:
        for cell in cells:
            cell.as_operator = True


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
