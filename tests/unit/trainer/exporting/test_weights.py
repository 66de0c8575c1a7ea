"""Weights in an ONNX file: every network comes back from its own, folded layers included."""

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from tests.unit.trainer.networks import TASK, ask, exported, network, rows, signature
from trainer.exporting.export import Served, export, session
from trainer.exporting.weights import FOLDED, load_numbers, numbers, packed, unpacked, weights_of

NETWORKS: dict[str, tuple[tuple[int | None, ...], tuple[Any, ...]]] = {
    "mlp": ((4,), ("standardize", {"linear": 5}, "layer_norm", {"prelu": 0.2}, {"maxout": 3})),
    "cnn": (
        (8, 8),
        (
            {"conv2d": {"channels": 3, "padding": 1}},
            "batch_norm",
            {"residual": [{"conv2d": {"channels": 3, "padding": 1}}, "batch_norm"]},
            {"max_pool": 2},
            "flatten",
            {"linear": 6},
            "batch_norm",
        ),
    ),
    "gru": ((None, 4), ("batch_norm", {"gru": {"hidden": 3, "bidirectional": True, "layers": 2}})),
    "lstm": ((None, 4), ({"conv1d": 4}, "batch_norm", {"lstm": 3})),
    "rnn": ((None, 4), ({"rnn": 3},)),
    "embedding": ((3,), ({"embedding": {"count": 5, "size": 4}}, "flatten", {"linear": 2})),
}


def spread(net: torch.nn.Module) -> None:
    """Make every number another one, as training would; statistics stay above 0."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + (0.5 if "var" in name else -0.5))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back_from_its_file(name: str) -> None:
    form, layers = NETWORKS[name]
    feed = rows(form, [3, 7, 5])
    net = network(form, *layers)
    spread(net)
    file = export_of(net, form, feed)

    again = network(form, *layers, seed=9)
    load_numbers(again, weights_of(file))

    given, wanted = numbers(again), numbers(net)
    assert given.keys() == wanted.keys()
    assert all(np.array_equal(given[key], wanted[key]) for key in wanted)
    x = torch.from_numpy(feed["x"])
    lengths = torch.from_numpy(feed["x_length"]) if "x_length" in feed else None
    assert torch.equal(ask(net.eval(), x, lengths), ask(again.eval(), x, lengths))


def export_of(net: Any, form: tuple[int | None, ...], feed: Any) -> bytes:
    return export(Served(net, TASK), signature(form), [feed]).onnx


def test_only_what_is_folded_away_is_written_beside_the_graph() -> None:
    form, layers = NETWORKS["cnn"]

    plain = onnx.load_from_string(exported((4,), {"linear": 5}, feeds=[rows((4,), [1])]).onnx)
    folded = onnx.load_from_string(exported(form, *layers, feeds=[rows(form, [1])]).onnx)

    assert [entry.key for entry in plain.metadata_props] == []
    (entry,) = folded.metadata_props
    assert entry.key == FOLDED
    assert "branches.0.0.module.convolution.weight" in entry.value
    assert "head.weight" not in entry.value


def test_a_runtime_does_not_mind() -> None:
    form, layers = NETWORKS["cnn"]

    file = exported(form, *layers, feeds=[rows(form, [1])]).onnx

    assert session(file).get_modelmeta().custom_metadata_map.keys() == {FOLDED}


def test_arrays_of_any_type_and_shape_survive_packing() -> None:
    values: dict[str, NDArray[Any]] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array(7, np.int64),
        "c": np.zeros((0, 4), np.float16),
    }

    again = unpacked(packed(values))

    assert again.keys() == values.keys()
    for name, value in values.items():
        assert (again[name].dtype, again[name].shape) == (value.dtype, value.shape)
        assert np.array_equal(again[name], value)
