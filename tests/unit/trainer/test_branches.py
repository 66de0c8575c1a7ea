"""Several inputs in one model: a vector, a sequence and an image, each with a branch of its own."""

from typing import Any

import numpy as np
import pytest
import torch

from models.recipe import Recipe
from tests.unit.trainer.networks import TASK, layers
from tests.unit.trainer.tables import keys
from trainer.errors import BadNetwork
from trainer.networks.building import Blueprint, build, check
from trainer.networks.forms import Entry, Form
from trainer.run import train_on
from trainer.table import Table, Values

MIXED = """\
name: mixed
task: classification
data: {source: redis, match: "thing:*", target: {key: "thing:{id}", as: hash, field: kind}}
features:
  inputs:
    - {name: x, sources: [{key: "thing:{id}", as: hash, fields: [a, b]}]}
    - {name: series, lengths: steps, sources: [{key: "thing:{id}:s", as: list, shape: [3], last: 20}]}
    - {name: image, dtype: uint8, sources: [{key: "thing:{id}:i", as: vector, dtype: uint8, shape: [6, 6]}]}
labels: [none, one, two, three]
network:
  branches:
    x: [standardize, {linear: 8}, relu]
    series: [standardize, {gru: 8}]
    image: [{scale: 16}, {conv2d: {channels: 4, kernel: 3}}, relu, flatten]
  then: [{linear: 16}, relu]
training: {lr: 0.01, epochs: 25, batch: 16}
"""


def things(count: int = 160) -> Table:
    """A generated problem that no input solves alone: the label counts which of them are large."""
    random = np.random.default_rng(2)
    large = random.integers(0, 2, (count, 3))
    lengths = random.integers(1, 9, count)
    series = np.zeros((count, 8, 3), np.float32)
    for row, length in enumerate(lengths):
        series[row, :length] = random.normal(size=(length, 3)) + 4 * large[row, 1]
    image = random.integers(0, 8, (count, 6, 6)) + 8 * large[:, 2, None, None]
    inputs = {
        "x": Values((random.normal(size=(count, 2)) + 4 * large[:, :1]).astype(np.float32)),
        "series": Values(series, lengths.astype(np.int64)),
        "image": Values(image.astype(np.uint8)),
    }
    return Table(keys(count, "thing"), inputs, large.sum(1).astype(np.int64))


def test_a_vector_a_sequence_and_an_image_are_learned_together() -> None:
    result = train_on(Recipe.parse(MIXED), things())

    manifest = result.bundle.manifest
    assert [(one.name, one.dtype, one.shape) for one in manifest.inputs] == [
        ("x", "float32", ("batch", 2)),
        ("series", "float32", ("batch", "steps_2", 3)),
        ("steps", "int64", ("batch",)),
        ("image", "uint8", ("batch", 6, 6)),
    ]
    assert manifest.metrics["accuracy"] > 0.85
    assert manifest.card["parity"]["largest_difference"] < 1e-5


def test_the_same_seed_gives_the_same_file() -> None:
    recipe = Recipe.parse(MIXED.replace("epochs: 25", "epochs: 2"))

    assert train_on(recipe, things()).bundle.onnx == train_on(recipe, things()).bundle.onnx


def test_batches_for_parity_hold_the_shortest_and_the_longest_of_every_sequence() -> None:
    lengths = (np.array([3, 1, 2]), np.array([1, 2, 9]))
    inputs = {name: Values(np.zeros((3, 9, 1)), one) for name, one in zip("ab", lengths, strict=True)}

    rows = Table(keys(3), inputs, np.zeros(3)).samples((2,))

    assert [part.tolist() for part in rows] == [[1], [0], [1, 0], [0], [2], [0, 2]]


def blueprint(then: list[Any], **branches: tuple[tuple[int | None, ...], list[Any]]) -> Blueprint:
    entries = tuple(Entry(name, Form(form)) for name, (form, _) in branches.items())
    built = {name: tuple(layers(*written)) for name, (_, written) in branches.items()}
    return Blueprint(entries, built, tuple(layers(*then)), TASK.outputs)


def test_branches_are_joined_along_the_features() -> None:
    made = blueprint([], a=((2,), [{"linear": 3}]), b=((4,), []))

    net = build(made)

    assert net.head.in_features == 3 + 4
    assert net({"a": (torch.zeros(5, 2), None), "b": (torch.zeros(5, 4), None)}).shape == (5, 3)


@pytest.mark.parametrize(
    ("then", "image", "said"),
    [
        (
            [],
            [{"conv2d": 8}],
            "(8, 6, 6), the join of the branches takes (features); end branch image with `flatten` or",
        ),
        ([], [], "the input image gives (8, 8), the join of the branches takes (features)"),
        (
            [],
            [{"conv2d": 3}, {"linear": 4}],
            "branch image, layer 1 (conv2d) gives (3, 6, 6), branch image, layer 2 (linear) takes (features)",
        ),
        (
            [{"linear": 4}, {"gru": 3}],
            ["flatten"],
            "then, layer 1 (linear) gives (4), then, layer 2 (gru) takes (steps, features)",
        ),
        ([{"conv1d": 4}], ["flatten"], "the join of the branches gives (68), then, layer 1 (conv1d) takes"),
        (
            [{"reshape": [4, 17]}],
            ["flatten"],
            "then, layer 1 (reshape) gives (4, 17), the head takes (features); end then with `flatten`",
        ),
        (["relu", "standardize"], ["flatten"], "then, layer 2 (standardize) is fitted on the training rows"),
    ],
)
def test_branches_that_do_not_fit_are_named_with_both_shapes(then: Any, image: Any, said: str) -> None:
    with pytest.raises(BadNetwork) as caught:
        check(blueprint(then, x=((4,), ["standardize"]), image=((8, 8), image)))

    assert said in str(caught.value)


def test_rows_of_a_branch_that_no_network_takes_are_named() -> None:
    with pytest.raises(BadNetwork, match=r"the input b gives \(2, 3, 4, 5\); a network takes"):
        check(blueprint([], a=((2,), []), b=((2, 3, 4, 5), [])))
