"""Whitening beside scikit-learn's principal components: vectors, steps and pixels, and rows that say little."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from models.tensors import Tensor as Array
from tests.unit.trainer.networks import network
from trainer.errors import BadNetwork

Shape = tuple[int | None, ...]


def whitened(shape: Shape, x: Array, *words: Any, lengths: list[int] | None = None) -> Array:
    """Return what the layers in front make of rows that they were measured on."""
    net = network(shape, *words, "flatten" if None not in shape else "global_avg_pool")
    rows = torch.from_numpy(x.astype(np.float32)), None if lengths is None else torch.tensor(lengths)
    net.fit_scaling({"x": rows})
    branch: Any = net.branches[0]
    flow = rows
    for step in list(branch)[: len(words)]:
        flow = step(*flow)
    result: Array = flow[0].numpy()
    return result


def mixed(rows: int, width: int) -> Array:
    """Rows whose channels go together, each in a unit of its own."""
    chance = np.random.default_rng(7)
    return (
        chance.normal(size=(rows, width)) @ chance.normal(size=(width, width)) * 10.0 ** np.arange(width) + 5
    )


def test_components_are_those_of_scikit_learn() -> None:
    x = mixed(300, 4)
    theirs = PCA(whiten=True).fit_transform(StandardScaler().fit_transform(x))

    ours = whitened((4,), x, "standardize", {"whiten": 1e-9})

    signs = np.sign((ours * theirs).sum(0))
    np.testing.assert_allclose(ours, theirs * signs, atol=0.01)


def test_no_component_tells_of_another() -> None:
    ours = whitened((4,), mixed(300, 4), "standardize", {"whiten": 1e-6})

    np.testing.assert_allclose(np.cov(ours.T, bias=True), np.eye(4), atol=1e-3)


def test_shrinking_holds_back_what_the_rows_hardly_have() -> None:
    x = np.repeat(np.linspace(-1, 1, 50)[:, None], 2, 1)
    x[:, 1] += 1e-4 * np.sin(np.arange(50))

    little, more = (whitened((2,), x, "standardize", {"whiten": share}).std(0) for share in (1e-9, 0.01))

    assert little[1] == pytest.approx(1, abs=0.2)
    assert more[0] > 0.9
    assert more[1] < 0.01


def test_padding_is_not_measured() -> None:
    x = mixed(40, 3)
    ragged = np.full((10, 8, 3), 1e6)
    ragged[:, :4] = x.reshape(10, 4, 3)

    ours = whitened((None, 3), ragged, "standardize", "whiten", lengths=[4] * 10)

    np.testing.assert_allclose(
        ours[:, :4].reshape(40, 3), whitened((3,), x, "standardize", "whiten"), atol=1e-4
    )


def test_channels_of_pixels_are_turned_pixel_by_pixel() -> None:
    x = mixed(54, 2)

    ours = whitened((2, 3, 3), x.reshape(6, 9, 2).transpose(0, 2, 1).reshape(6, 2, 3, 3), "whiten")

    alone = whitened((2,), x, "whiten")
    np.testing.assert_allclose(ours.reshape(6, 2, 9).transpose(0, 2, 1).reshape(54, 2), alone, atol=1e-4)


@pytest.mark.parametrize(
    "column", [[1e9, 1e9, 1e9], [0, 0, 0], [-3.4e37, 0, 3.4e37], [1e-30, 2e-30, 3e-30], [5, 5, 1e30]]
)
def test_large_tiny_and_constant_channels_stay_finite(column: list[float]) -> None:
    x = np.stack([column, np.zeros(3)], 1)

    result = whitened((2,), x, "whiten")

    assert np.isfinite(result).all()
    assert np.abs(result).max() <= 2


def test_a_row_that_is_too_wide_is_told() -> None:
    with pytest.raises(
        BadNetwork, match=r"gives \(2049\), .*whiten.* takes 2048 channels at most; take `standardize`"
    ):
        network((2049,), "whiten")
