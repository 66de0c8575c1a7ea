"""Layers: each is built, learns, is exported and answers in ONNX Runtime as in PyTorch."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.layers.layer import Layer
from models.layers.network import LAYERS, Residual
from models.recipe_training import Training
from tests.unit.trainer.networks import TASK, ask, blueprint, exported, layers, network, rows
from trainer.errors import BadNetwork
from trainer.fitting.optimizers import optimizer
from trainer.networks.building import build, check
from trainer.networks.network import Network

VECTOR = (6,)
SEQUENCE = (None, 4)
STEPS = (7, 4)
IMAGE = (8, 8)
NUMBERS = (None, 1)
KINDS = ("weight", "bias")

ACTIVATIONS = (
    "sigmoid",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "tanh",
    "softmax",
    "log_softmax",
    "silu",
    "swish",
    "softplus",
    "softsign",
    "mish",
    "hard_sigmoid",
    "hard_swish",
    "hard_tanh",
    "prelu",
    "none",
)
Case = tuple[tuple[int | None, ...], list[Any]]
CASES: dict[str, Case] = {
    **{word: (VECTOR, [{"linear": 8}, word]) for word in ACTIVATIONS},
    "prelu, a slope each": (IMAGE, [{"conv2d": 3}, {"prelu": {"each_channel": True}}, "flatten"]),
    "softmax of pixels": (IMAGE, [{"conv2d": 3}, "softmax", "flatten"]),
    "maxout": (VECTOR, [{"maxout": {"features": 5, "pieces": 3}}]),
    "linear": (VECTOR, [{"linear": {"features": 5, "bias": False}}]),
    "linear of steps": (SEQUENCE, [{"linear": 5}, "tanh", "global_avg_pool"]),
    "dropout": (VECTOR, [{"linear": 8}, {"dropout": 0.2}]),
    "flatten": (IMAGE, ["flatten", {"linear": 5}]),
    "reshape": (VECTOR, [{"reshape": [2, 3]}, {"gru": 4}]),
    "embedding": (NUMBERS, [{"embedding": {"count": 5, "size": 3}}, "global_avg_pool"]),
    "embedding of a vector": (VECTOR, [{"embedding": {"count": 5, "size": 3}}, "flatten"]),
    "conv1d": (
        SEQUENCE,
        [{"conv1d": {"channels": 5, "kernel": 5, "padding": 1, "stride": 2}}, "global_avg_pool"],
    ),
    "conv1d, dilated in groups": (
        SEQUENCE,
        [
            {"conv1d": {"channels": 6, "dilation": 3, "groups": 2, "padding": "same"}},
            {"conv1d": {"channels": 5, "padding": "causal", "dilation": 2, "stride": 2}},
            "global_max_pool",
        ],
    ),
    "conv2d, dilated in groups": (
        IMAGE,
        [
            {"conv2d": {"channels": 4, "kernel": 4, "padding": "same"}},
            {"conv2d": {"channels": 6, "dilation": 2, "groups": 2, "padding": "same", "stride": 2}},
            "flatten",
        ],
    ),
    "conv1d of fixed steps": (STEPS, [{"conv1d": {"channels": 5, "padding": 1}}, "flatten"]),
    "conv2d": (
        IMAGE,
        [{"conv2d": {"channels": 4, "kernel": 3, "padding": 1, "stride": 2}}, "relu", "flatten"],
    ),
    "max_pool": (SEQUENCE, [{"linear": 5}, {"max_pool": {"size": 3, "stride": 2}}, {"gru": 4}]),
    "avg_pool": (SEQUENCE, [{"linear": 5}, {"avg_pool": {"size": 3, "stride": 2}}, {"gru": 4}]),
    "pools of pixels": (
        IMAGE,
        [{"conv2d": 4}, {"max_pool": 2}, {"avg_pool": {"size": 2, "stride": 1}}, "flatten"],
    ),
    "global_max_pool": (SEQUENCE, [{"linear": 5}, "global_max_pool"]),
    "global_avg_pool": (SEQUENCE, [{"linear": 5}, "global_avg_pool"]),
    "global pools of pixels": (IMAGE, [{"conv2d": 4}, {"conv2d": 5}, "global_avg_pool"]),
    "adaptive_max_pool": (SEQUENCE, [{"linear": 5}, {"adaptive_max_pool": 3}, "flatten"]),
    "adaptive_avg_pool": (SEQUENCE, [{"linear": 5}, {"adaptive_avg_pool": 3}, "flatten"]),
    "adaptive pools of fixed steps": (
        STEPS,
        [{"linear": 5}, {"adaptive_avg_pool": 5}, {"adaptive_max_pool": 2}, "flatten"],
    ),
    "adaptive pools of pixels": (
        IMAGE,
        [
            {"conv2d": 4},
            {"adaptive_max_pool": 4},
            {"adaptive_avg_pool": 3},
            {"adaptive_avg_pool": 3},
            "flatten",
        ],
    ),
    "dropout1d": (SEQUENCE, [{"linear": 8}, {"dropout1d": 0.2}, "global_avg_pool"]),
    "dropout2d": (IMAGE, [{"conv2d": 8}, {"dropout2d": 0.2}, "flatten"]),
    "attention": (
        SEQUENCE,
        [{"attention": {"heads": 2, "positions": True, "dropout": 0.1}}, "global_avg_pool"],
    ),
    "attention of fixed steps": (
        STEPS,
        [{"linear": 5}, {"attention": {"heads": 1, "positions": True}}, {"attention": 5}, "global_max_pool"],
    ),
    "residual": (VECTOR, [{"residual": [{"linear": 6}, "relu"]}, {"residual": [{"linear": 8}, "tanh"]}]),
    "residual of steps": (
        SEQUENCE,
        [
            {"residual": [{"conv1d": {"channels": 4, "padding": "same"}}, "relu"]},
            {"residual": [{"conv1d": {"channels": 6, "kernel": 4, "stride": 2}}, {"max_pool": 2}]},
            {"residual": [{"residual": [{"gru": {"hidden": 6, "output": "all"}}]}]},
            {"gru": 4},
        ],
    ),
    "residual of fixed steps": (STEPS, [{"residual": [{"conv1d": 4}, {"avg_pool": 2}]}, "flatten"]),
    "residual of pixels": (
        IMAGE,
        [
            {"conv2d": 4},
            {"residual": [{"conv2d": {"channels": 6, "stride": 2, "padding": 1}}, "relu"]},
            {"residual": [{"conv2d": {"channels": 6, "padding": "same"}}, "batch_norm"]},
            "flatten",
        ],
    ),
    "group_norm": (SEQUENCE, [{"linear": 6}, {"group_norm": 3}, {"gru": 4}]),
    "group_norm of a vector": (VECTOR, [{"linear": 6}, {"group_norm": 2}]),
    "group_norm of pixels": (IMAGE, [{"conv2d": 4}, {"group_norm": 2}, "flatten"]),
    "rnn": (SEQUENCE, [{"rnn": {"hidden": 6, "layers": 2, "bidirectional": True}}]),
    "lstm": (SEQUENCE, [{"lstm": {"hidden": 6, "layers": 2, "bidirectional": True}}]),
    "gru": (SEQUENCE, [{"gru": {"hidden": 6, "layers": 2, "bidirectional": True, "dropout": 0.1}}]),
    "gru, every step": (SEQUENCE, [{"gru": {"hidden": 6, "output": "all"}}, "global_max_pool"]),
    "gru of fixed steps": (STEPS, [{"gru": {"hidden": 6, "bidirectional": True}}]),
    "batch_norm": (SEQUENCE, ["batch_norm", {"gru": 4}]),
    "batch_norm of a vector": (VECTOR, ["batch_norm", {"linear": 4}]),
    "batch_norm of pixels": (IMAGE, [{"conv2d": 4}, "batch_norm", "flatten"]),
    "layer_norm": (SEQUENCE, ["layer_norm", {"gru": 4}]),
    "layer_norm of pixels": (IMAGE, [{"conv2d": 4}, "layer_norm", "flatten"]),
    "standardize": (SEQUENCE, ["standardize", {"gru": 4}]),
    "scaling": (VECTOR, [{"scale": 2}, "log1p", {"clip": {"low": -1, "high": 1}}, "standardize", "min_max"]),
    "fitted": (VECTOR, ["robust", "quantile", {"linear": 4}]),
    "whiten": (SEQUENCE, ["standardize", "whiten", {"gru": 4}]),
    "last_step": (SEQUENCE, [{"linear": 5}, "last_step"]),
    "scaling of pixels": (
        IMAGE,
        [{"reshape": [1, 8, 8]}, "min_max", "standardize", {"conv2d": 3}, "flatten"],
    ),
}


def batch(form: tuple[int | None, ...], lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor | None]:
    feed = rows(form, lengths)
    of_rows = torch.from_numpy(feed["x_length"]) if "x_length" in feed else None
    return torch.from_numpy(feed["x"]), of_rows


def every(written: Iterable[Layer]) -> Iterator[Layer]:
    for layer in written:
        yield layer
        yield from every(layer.layers if isinstance(layer, Residual) else ())


def first(net: Network) -> Any:
    return net.branches[0]


def test_every_layer_of_a_recipe_has_a_case() -> None:
    learned, answered = (
        {layer.layer for _, written in cases.values() for layer in every(layers(*written))}
        for cases in (CASES, EXPORTS)
    )

    assert learned == answered == set(LAYERS) - {"columns"}  # whose tests are in test_columns.py


@pytest.mark.parametrize("case", CASES)
def test_a_layer_learns_by_backpropagation(case: str) -> None:
    form, written = CASES[case]
    net = network(form, *written)
    x, lengths = batch(form, [3, 9, 1, 5, 7, 2, 8, 4])
    targets = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    net.fit_scaling({"x": (x, lengths)})
    descent = optimizer(net, Training(lr=0.02))
    losses = []

    for _ in range(40):
        net.train()
        loss = TASK.loss(ask(net, x, lengths), targets)
        descent.zero_grad()
        loss.backward()
        descent.step()
        losses.append(loss.item())

    assert losses[-1] < 0.9 * losses[0]
    assert [name for name, one in net.named_parameters() if one.grad is None or not one.grad.any()] == []


# An export takes a second, most of it to set the exporter up: layers share a few.
SCALING = [{"scale": 2}, "log1p", {"clip": {"low": -1, "high": 1}}, "standardize", "min_max"]
LEARNED = [
    "batch_norm",
    {"linear": {"features": 8, "bias": False}},
    "layer_norm",
    {"maxout": 6},
    {"dropout": 0.2},
]
PIXELS = [
    "batch_norm",
    {"prelu": {"each_channel": True}},
    {"max_pool": 2},
    "layer_norm",
    "softmax",
    {"avg_pool": 2},
]
WINDOWS = [{"max_pool": {"size": 3, "stride": 2}}, "softmax", {"avg_pool": {"size": 3, "stride": 2}}]
RECURRENT = {"hidden": 5, "layers": 2, "bidirectional": True}
EVERY_STEP = {**RECURRENT, "output": "all"}
EXPORTS: dict[str, Case] = {
    **{
        " and ".join(words): (VECTOR, [part for word in words for part in ({"linear": 8}, word)])
        for words in (ACTIVATIONS[:7], ACTIVATIONS[7:13], ACTIVATIONS[13:])
    },
    "a vector": (VECTOR, [*SCALING, *LEARNED, {"reshape": [2, 3]}, "flatten"]),
    "whole numbers": (VECTOR, [{"embedding": {"count": 5, "size": 3}}, "flatten"]),
    "an image": (IMAGE, [{"reshape": [1, 8, 8]}, "min_max", "whiten", {"conv2d": 4}, *PIXELS, "flatten"]),
    "a small image": (IMAGE, [{"conv2d": {"channels": 4, "stride": 2, "padding": 1}}, "global_max_pool"]),
    "fixed steps": (STEPS, [{"conv1d": 5}, *WINDOWS, {"gru": EVERY_STEP}, "flatten"]),
    "steps": (
        SEQUENCE,
        [{"conv1d": {"channels": 5, "kernel": 5, "stride": 2}}, "layer_norm", *WINDOWS, {"gru": 3}],
    ),
    "rnn": (SEQUENCE, ["standardize", "batch_norm", {"rnn": EVERY_STEP}, "global_avg_pool"]),
    "gru": (NUMBERS, [{"embedding": {"count": 5, "size": 3}}, {"gru": EVERY_STEP}, "global_max_pool"]),
    "lstm": (SEQUENCE, [{"lstm": RECURRENT}]),
    **{
        case: CASES[case]
        for case in (
            "conv1d, dilated in groups",
            "conv2d, dilated in groups",
            "adaptive pools of fixed steps",
            "adaptive pools of pixels",
            "residual",
            "residual of steps",
            "residual of fixed steps",
            "residual of pixels",
            "attention of fixed steps",
            "group_norm of pixels",
        )
    },
    "a long sequence": (
        SEQUENCE,
        [
            {"linear": 6},
            {"dropout1d": 0.1},
            {"group_norm": 2},
            {"attention": {"heads": 2, "positions": True}},
            {"adaptive_max_pool": 4},
            {"adaptive_avg_pool": 2},
            "flatten",
        ],
    ),
    "fitted": (SEQUENCE, ["robust", {"quantile": "normal"}, "whiten", {"linear": 4}, "last_step"]),
    "parts of a sequence": (SEQUENCE, [{"adaptive_avg_pool": 3}, "flatten"]),
    "an image with channels left out": (IMAGE, [{"conv2d": 4}, {"dropout2d": 0.1}, "flatten"]),
}


@pytest.mark.parametrize("case", EXPORTS)
def test_layers_answer_in_onnx_runtime_as_in_pytorch(case: str) -> None:
    form, written = EXPORTS[case]
    feeds = [rows(form, lengths) for lengths in ([1], [11], [2, 9], [5, 1, 3, 8, 7])]

    result = exported(form, *written, feeds=feeds)

    assert result.difference < 1e-5
    assert not any(trace in result.onnx for trace in (b"/work", b"/tmp", b"/home", b".py", b"site-packages"))


RAGGED = [case for case, (form, _) in CASES.items() if None in form]


@pytest.mark.parametrize("case", RAGGED)
def test_padding_does_not_change_an_answer(case: str) -> None:
    form, written = CASES[case]
    net = network(form, *written).eval()
    feed = rows(form, [3, 9, 1, 5])
    x, lengths = torch.from_numpy(feed["x"]), torch.from_numpy(feed["x_length"])

    together = ask(net, x, lengths)
    alone = [ask(net, x[row : row + 1, : lengths[row]], lengths[row : row + 1]) for row in range(4)]

    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("case", RAGGED)
def test_what_stands_in_the_padding_is_never_read(case: str) -> None:
    form, written = CASES[case]
    net = network(form, *written)
    x, lengths = batch(form, [3, 9, 1, 5])
    assert lengths is not None
    padding = torch.arange(9)[None, :] >= lengths[:, None]
    other = torch.where(padding[:, :, None], 1e6, x)

    for mode in (False, True):
        net.train(mode)
        torch.manual_seed(1)
        answer = ask(net, x, lengths)
        torch.manual_seed(1)
        same = ask(net, other, lengths)

        torch.testing.assert_close(answer, same, rtol=0, atol=0)


def test_scaling_is_measured_on_the_rows_and_not_on_the_padding() -> None:
    net = network(SEQUENCE, "standardize", "global_avg_pool")
    x = torch.tensor([[[1.0, 0, 5, 2], [3, 0, 5, 4]], [[5, 0, 5, 9], [99, 99, 99, 99]]])
    lengths = torch.tensor([2, 1])

    net.fit_scaling({"x": (x, lengths)})

    scaled, _ = first(net)[0](x, lengths)
    real = torch.stack([scaled[0, 0], scaled[0, 1], scaled[1, 0]])
    torch.testing.assert_close(real.mean(0), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(real.std(0, correction=0)[[0, 3]], torch.ones(2))
    assert real[:, 1:3].abs().max() == 0


def test_min_max_brings_each_channel_between_zero_and_one() -> None:
    net = network((2,), "min_max")
    x = torch.tensor([[1.0, -4.0], [3.0, 4.0], [2.0, 0.0]])

    net.fit_scaling({"x": (x, None)})

    scaled, _ = first(net)[0](x, None)
    assert scaled.tolist() == [[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]


def test_scaling_is_fitted_after_the_layers_before_it() -> None:
    net = network((1,), {"scale": 10}, "min_max")
    x = torch.tensor([[0.0], [100.0]])

    net.fit_scaling({"x": (x, None)})

    scaled, _ = first(net)[1](first(net)[0](x, None)[0], None)
    assert scaled.flatten().tolist() == [0.0, 1.0]


def test_log1p_mirrors_negative_numbers() -> None:
    net = network((3,), "log1p")

    scaled, _ = first(net)[0](torch.tensor([[-1.0, 0.0, 1.0]]), None)

    assert scaled[0].tolist() == pytest.approx([-np.log(2), 0.0, np.log(2)])


def test_an_embedding_takes_a_number_outside_for_the_nearest() -> None:
    net = network((1,), {"embedding": {"count": 3, "size": 2}}, "flatten").eval()

    answers = ask(net, torch.tensor([[-7.0], [0.0], [2.0], [99.0]]))

    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[2], answers[3])


@pytest.mark.parametrize(
    ("form", "written", "said"),
    [
        (
            IMAGE,
            [{"conv2d": 3}, {"linear": 4}],
            "layer 1 (conv2d) gives (3, 6, 6), layer 2 (linear) takes (features)",
        ),
        (
            IMAGE,
            [{"conv2d": 3}],
            "layer 1 (conv2d) gives (3, 6, 6), the head takes (features); end the network with `flatten`",
        ),
        (VECTOR, [{"gru": 4}], "the input gives (6), layer 1 (gru) takes (steps, features)"),
        (VECTOR, [{"conv2d": 4}], "the input gives (6), layer 1 (conv2d) takes (channels, height, width)"),
        (VECTOR, [{"conv1d": 4}], "layer 1 (conv1d) takes (steps, channels)"),
        (VECTOR, [{"max_pool": 2}], "layer 1 (max_pool) takes"),
        (VECTOR, ["global_avg_pool"], "layer 1 (global_avg_pool) takes"),
        (VECTOR, [{"reshape": [4, 2]}], "takes 8 numbers for the shape (4, 2)"),
        (SEQUENCE, ["flatten"], "the input gives (steps, 4), layer 1 (flatten) takes rows of one size"),
        (SEQUENCE, [{"conv2d": 3}], "takes (channels, height, width)"),
        (
            SEQUENCE,
            ["relu"],
            "layer 1 (relu) gives (steps, 4), the head takes (features); end the network with `gru`",
        ),
        (SEQUENCE, [{"embedding": {"count": 3, "size": 2}}], "takes (numbers) or (steps, 1)"),
        (IMAGE, [{"conv2d": {"channels": 3, "kernel": 9}}], "takes at least 9 on a side"),
        (IMAGE, [{"conv2d": 3}, {"max_pool": 7}], "layer 2 (max_pool) takes at least 7 on a side"),
        (IMAGE, [{"conv2d": 3}, {"maxout": 3}], "layer 2 (maxout) takes (features)"),
        (IMAGE, [{"conv2d": 3}, {"gru": 3}], "layer 2 (gru) takes (steps, features)"),
        (STEPS, [{"conv1d": {"channels": 3, "kernel": 9}}], "takes at least 9 on a side"),
        (VECTOR, [{"adaptive_avg_pool": 2}], "layer 1 (adaptive_avg_pool) takes (steps, features) or"),
        (VECTOR, [{"dropout1d": 0.5}], "layer 1 (dropout1d) takes (steps, channels); take `dropout`"),
        (SEQUENCE, [{"dropout2d": 0.5}], "layer 1 (dropout2d) takes (channels, height, width); take"),
        (VECTOR, [{"attention": 2}], "layer 1 (attention) takes (steps, features)"),
        (
            SEQUENCE,
            [{"attention": 3}],
            "gives (steps, 4), layer 1 (attention) takes features that 3 heads share",
        ),
        (VECTOR, [{"group_norm": 4}], "layer 1 (group_norm) takes channels that part into 4 equal groups"),
        (
            SEQUENCE,
            [{"conv1d": {"channels": 3, "groups": 2}}],
            "takes channels that part into 2 groups, as its",
        ),
        (IMAGE, [{"conv2d": {"channels": 4, "groups": 2}}], "takes channels that part into 2 groups, as its"),
        (
            IMAGE,
            [{"conv2d": {"channels": 4, "padding": "causal"}}],
            "takes padding `same` or a number; `causal`",
        ),
        (IMAGE, [{"conv2d": {"channels": 3, "dilation": 4}}], "takes at least 9 on a side"),
        (
            SEQUENCE,
            [{"residual": [{"gru": 4}]}],
            "layer 1 (residual) takes layers that keep it a sequence, its own end in (4); take out what",
        ),
        (
            SEQUENCE,
            [{"residual": [{"adaptive_max_pool": 4}]}],
            "layer 1 (residual) takes layers that keep it a sequence, its own end in (4, 4)",
        ),
        (
            VECTOR,
            [{"linear": 3}, {"residual": [{"linear": 5}, {"gru": 4}]}],
            "layer 2 (residual), layer 1 (linear) gives (5), layer 2 (residual), layer 2 (gru) takes",
        ),
        (
            VECTOR,
            [{"residual": [{"gru": 4}]}],
            "the input of layer 1 (residual) gives (6), layer 1 (residual), ",
        ),
        (
            VECTOR,
            [{"residual": ["standardize"]}],
            "layer 1 (residual), layer 1 (standardize) is fitted on the",
        ),
        (VECTOR, [{"linear": 3}, "standardize"], "layer 2 (standardize) is fitted on the training rows"),
    ],
)
def test_layers_that_do_not_fit_are_named_with_both_shapes(form: Any, written: list[Any], said: str) -> None:
    with pytest.raises(BadNetwork) as caught:
        check(blueprint(form, *written))

    assert said in str(caught.value)


@pytest.mark.parametrize("form", [(), (2, 3, 4, 5), (None, 4, 4)])
def test_rows_that_are_no_vector_sequence_or_image_are_refused(form: Any) -> None:
    with pytest.raises(BadNetwork, match="a network takes"):
        check(blueprint(form, "relu"))


def test_a_network_too_large_is_refused_before_it_is_allocated() -> None:
    with pytest.raises(BadNetwork, match=r"4,29.*,... parameters, over 268,435,456"):
        build(blueprint((6,), {"linear": 65_536}, {"linear": 65_536}))


def test_a_network_of_no_layers_is_a_linear_model() -> None:
    assert check(blueprint((6,))) == 6 * 3 + 3


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("kind", ["max", "avg"])
def test_adaptive_pools_are_those_of_pytorch(kind: str, size: int) -> None:
    word = f"adaptive_{kind}_pool"
    image, steps = torch.rand(2, 3, 7, 8), torch.rand(2, 7, 3)
    ours, along = (first(network(form, {word: size}, "flatten"))[0] for form in ((3, 7, 8), (7, 3)))

    pixels, _ = ours(image, None)
    parts, _ = along(steps, None)

    theirs = {"max": nn.AdaptiveMaxPool2d, "avg": nn.AdaptiveAvgPool2d}[kind](size)
    one = {"max": nn.AdaptiveMaxPool1d, "avg": nn.AdaptiveAvgPool1d}[kind](size)
    torch.testing.assert_close(pixels, theirs(image))
    torch.testing.assert_close(parts, one(steps.transpose(1, 2)).transpose(1, 2))


def test_a_causal_convolution_reads_no_later_step() -> None:
    net = network((7, 4), {"conv1d": {"channels": 3, "padding": "causal", "dilation": 2}}, "flatten").eval()
    steps = torch.rand(1, 7, 4)
    later = steps.clone()
    later[:, 5:] = 9.0

    one, other = (first(net)[0](x, None)[0] for x in (steps, later))

    assert torch.equal(one[:, :5], other[:, :5])
    assert not torch.equal(one[:, 5:], other[:, 5:])


def test_attention_is_that_of_pytorch() -> None:
    net = network((7, 6), {"attention": {"heads": 3, "feedforward": 4}}, "flatten").eval()
    block = first(net)[0]
    theirs = nn.TransformerEncoderLayer(6, 3, 24, 0, nn.GELU(), batch_first=True, norm_first=True).eval()
    names = {
        "self_attn.in_proj_weight": "asked.weight",
        "self_attn.in_proj_bias": "asked.bias",
        "self_attn.out_proj.weight": "told.weight",
        "self_attn.out_proj.bias": "told.bias",
        **{
            f"linear{number}.{kind}": f"each.{at}.{kind}" for number, at in ((1, 0), (2, 2)) for kind in KINDS
        },
        **{
            f"norm{number}.{kind}": f"{at}.{kind}"
            for number, at in ((1, "before"), (2, "between"))
            for kind in KINDS
        },
    }
    theirs.load_state_dict({name: block.state_dict()[ours] for name, ours in names.items()})
    x, lengths = torch.rand(3, 7, 6), torch.tensor([7, 2, 5])

    ours, _ = block(x, lengths)

    padding = torch.arange(7)[None, :] >= lengths[:, None]
    wanted = theirs(x, src_key_padding_mask=padding)
    torch.testing.assert_close(ours[~padding], wanted[~padding])


def test_what_a_residual_block_gets_is_added_to_what_its_layers_give() -> None:
    net = network((4,), {"residual": [{"linear": 4}]}, "none")
    x = torch.rand(2, 4)

    added, _ = first(net)[0](x, None)

    torch.testing.assert_close(added, x + first(net)[0].steps[0](x, None)[0])
