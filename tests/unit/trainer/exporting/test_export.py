"""Exporting: what is checked, what is refused, and what a file does not give away."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from models.graph import inspect_graph
from models.tensors import Tensor as Array
from tests.unit.trainer.networks import TASK, blueprint, exported, network, rows, signature
from trainer.errors import ExportFailed, ExportMismatch
from trainer.exporting.export import Exported, Served, answers, ask, example, export, session
from trainer.exporting.exporters import older
from trainer.networks.building import build
from trainer.networks.network import Network
from trainer.networks.steps import Each
from trainer.table import Table, Values
from trainer.tasks.task import Regression
from trainer.tasks.values import Unit


class Reversed(nn.Module):
    """Depends on the size of its batch, as no row's answer may."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.zeros(3, 1)


class Fixed(nn.Module):
    """What its exporter sees is not what it does otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if torch.onnx.is_in_onnx_export() else x


class Undecided(nn.Module):
    """Looks at its numbers to choose a way, which the current exporter cannot follow."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 2 if x.abs().sum() >= 0 else x


class Stubborn(nn.Module):
    """What no exporter can follow."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.onnx.is_in_onnx_export() or torch.compiler.is_compiling():
            raise ValueError("not today")
        return x


def with_layer(module: nn.Module) -> Network:
    net = network((4,), {"linear": 4})
    net.branches[0].append(Each(module))  # type: ignore[operator]  # a list of modules
    return net


def made(net: Network, *feeds: Mapping[str, Array]) -> Exported:
    return export(Served(net, TASK), signature((4,)), feeds)


def test_a_graph_that_answers_otherwise_is_refused() -> None:
    with pytest.raises(ExportMismatch, match=r"differ by 0\..* on x \[2, 4\], 0.0001 is allowed"):
        made(with_layer(Fixed()), rows((4,), [1, 1]))


def test_a_network_bound_to_one_batch_size_is_refused() -> None:
    with pytest.raises(ExportFailed, match=r"PyTorch cannot write this network|does not run the network"):
        made(with_layer(Reversed()), rows((4,), [1]))


def test_the_older_exporter_writes_what_the_current_one_cannot() -> None:
    result = made(with_layer(Undecided()), rows((4,), [1, 1]), rows((4,), [1] * 7))

    assert (result.exporter, result.difference < 1e-6) == ("older", True)
    graph = inspect_graph(result.onnx)
    assert [(one.name, one.shape) for one in graph.inputs] == [("x", ("batch", 4))]
    assert graph.outputs[0].name == "probabilities"


def test_a_network_that_neither_exporter_can_write_says_why() -> None:
    with pytest.raises(ExportFailed, match=r"PyTorch cannot write this network .* neither: .*not today"):
        made(with_layer(Stubborn()), rows((4,), [1]))


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_the_older_exporter_keeps_batch_and_steps_free(kind: str) -> None:
    net = network(SEQUENCE, {kind: {"hidden": 5, "layers": 2, "bidirectional": True}})
    served = Served(net, TASK).eval()

    onnx_file = older(served, example(served, signature(SEQUENCE))).SerializeToString()

    for lengths in ([1], [9, 2], [3, 4, 1, 7, 2]):
        feed = rows(SEQUENCE, lengths)
        with torch.no_grad():
            wanted = served(torch.from_numpy(feed["x"]), torch.from_numpy(feed["x_length"])).numpy()
        np.testing.assert_allclose(ask(session(onnx_file), signature(SEQUENCE), feed), wanted, atol=1e-5)


SEQUENCE = (None, 4)


@pytest.fixture(scope="module")
def sequences() -> bytes:
    return exported(SEQUENCE, {"gru": 3}, feeds=[rows(SEQUENCE, [3, 5])]).onnx


def test_the_graph_has_the_names_and_free_axes_that_a_manifest_tells(sequences: bytes) -> None:
    graph = inspect_graph(sequences)

    assert [(one.name, one.dtype, one.shape) for one in graph.inputs] == [
        ("x", "float32", ("batch", "steps", 4)),
        ("x_length", "int64", ("batch",)),
    ]
    assert [(one.name, one.shape) for one in graph.outputs] == [("probabilities", ("batch", 3))]
    assert graph.opset == {"": 18}


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_rows_keep_the_type_they_are_stored_in(dtype: str) -> None:
    feed = {"x": np.array([[1, 2, 3, 4], [5, 6, 7, 200]], dtype)}
    served = Served(network((4,), {"scale": 16}, {"linear": 3}), TASK)

    result = export(served, signature((4,), dtype), [feed])

    assert inspect_graph(result.onnx).inputs[0].dtype == dtype
    assert result.difference < 1e-6


def test_a_regression_answers_in_its_own_unit() -> None:
    task = Regression(Unit((1000.0,), (50.0,)))
    net = build(blueprint((4,), outputs=task.outputs))
    feed = rows((4,), [1, 1, 1])

    result = export(Served(net, task), signature((4,), output=task.output), [feed])

    table = Table(("a", "b", "c"), {"x": Values(feed["x"])}, np.zeros(3))
    values = answers(result.onnx, signature((4,), output="value"), table)
    assert values.shape == (3, 1)
    assert np.abs(values - 1000).max() < 500
    assert np.abs(values - 1000).max() > 1


def test_a_file_holds_no_notes_of_the_machine_it_was_made_on(sequences: bytes) -> None:
    model = onnx.load_from_string(sequences)

    parts: list[Any] = [model, model.graph, *model.graph.node, *model.graph.initializer, *model.graph.input]
    assert [part for part in parts if part.doc_string or part.metadata_props] == []
    assert len(model.graph.value_info) == 0


def test_an_export_leaves_the_caller_s_warnings_alone() -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        exported((4,), feeds=[rows((4,), [1])])
        warnings.warn("still heard", stacklevel=1)

    assert "still heard" in [str(one.message) for one in told]


def test_answers_to_many_rows_are_those_to_each(sequences: bytes) -> None:
    feed = rows(SEQUENCE, [3, 9, 1, 5])
    table = Table(("a", "b", "c", "d"), {"x": Values(feed["x"], feed["x_length"])}, np.zeros(4))

    together = answers(sequences, signature(SEQUENCE), table)
    alone = [answers(sequences, signature(SEQUENCE), table.take(np.array([row]))) for row in range(4)]

    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(together.sum(1), 1, rtol=1e-6)


def test_what_is_no_graph_or_no_row_of_it_is_refused(sequences: bytes) -> None:
    table = Table(("a",), {"x": Values(np.zeros((1, 7), np.float32))}, np.zeros(1))

    with pytest.raises(ExportFailed, match="ONNX Runtime does not load"):
        answers(b"no graph", signature((4,)), table)
    with pytest.raises(ExportFailed, match=r"ONNX Runtime does not run the network on x \[1, 7\]"):
        answers(sequences, signature((4,)), table)
