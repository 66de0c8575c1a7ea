"""Augmentation: what becomes of rows, that padding stays zero, that a seed repeats it."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from models.recipe_augmentation import Augmentation, ImageAugmentation, SeriesAugmentation
from models.recipe_training import Training
from tests.unit.trainer.networks import network
from trainer.augmentation.alterations import Alteration, Batch
from trainer.augmentation.images import Images
from trainer.augmentation.series import Series
from trainer.fitting.rows import Rows

DIGITS = torch.from_numpy(load_digits().images[:200].astype(np.float32))


def images(x: Tensor, seed: int = 0, **options: Any) -> Tensor:
    torch.manual_seed(seed)
    return Images(ImageAugmentation(**options), (x, None))((x, None))[0]


def series(
    x: Tensor, lengths: Tensor | None = None, seed: int = 0, **options: Any
) -> tuple[Tensor, Tensor | None]:
    torch.manual_seed(seed)
    return Series(SeriesAugmentation(**options), (x, lengths))((x, lengths))


def ramps(count: int, steps: int) -> Tensor:
    """Every row counts its steps, in two channels."""
    ramp = torch.arange(float(steps))[None, :, None].expand(count, steps, 2)
    return ramp * torch.tensor([1.0, 10.0])


def test_a_shift_moves_every_image_by_whole_pixels() -> None:
    moved = images(DIGITS, shift=1, fill="zero")

    def shifted(image: Tensor, down: int, across: int) -> Tensor:
        padded = torch.nn.functional.pad(image, (1, 1, 1, 1))
        return padded[1 + down : 9 + down, 1 + across : 9 + across]

    offsets = set()
    for before, after in zip(DIGITS, moved, strict=True):
        found = [
            (down, across)
            for down in (-1, 0, 1)
            for across in (-1, 0, 1)
            if torch.allclose(shifted(before, down, across), after, atol=1e-3)
        ]
        assert found
        offsets.update(found)
    assert len(offsets) == 9


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    spec = Images(ImageAugmentation(rotate=90), (DIGITS, None))
    torch.manual_seed(0)
    places = spec._places(DIGITS[:, None])  # noqa: SLF001  # the angle drawn is seen nowhere else
    angles = torch.atan2(places[:, 1, 0], places[:, 0, 0])

    torch.manual_seed(0)
    turned, _ = spec((DIGITS, None))

    assert angles.abs().max() <= torch.pi / 2
    assert angles.std() > 0.5
    assert turned.shape == DIGITS.shape
    assert turned.mean() == pytest.approx(float(DIGITS.mean()), rel=0.2)


def test_an_image_that_is_not_square_turns_without_shear() -> None:
    wide = torch.zeros(1, 1, 9, 27)
    wide[0, 0, 4, 9:18] = 1  # a bar of nine pixels across the middle
    spec = Images(ImageAugmentation(rotate=180, fill="zero"), (wide, None))

    for seed in range(20):
        torch.manual_seed(seed)
        turned = spec((wide, None))[0]
        assert float(turned.sum()) == pytest.approx(9, rel=0.15)


@pytest.mark.parametrize(("flip", "axis"), [("horizontal", 2), ("vertical", 1)])
def test_a_flip_mirrors_half_of_the_images(flip: str, axis: int) -> None:
    flipped = images(DIGITS, flip=flip)

    mirrored = [torch.allclose(DIGITS[row].flip(axis - 1), flipped[row], atol=1e-3) for row in range(200)]
    same = [torch.allclose(DIGITS[row], flipped[row], atol=1e-3) for row in range(200)]
    assert all(one or other for one, other in zip(mirrored, same, strict=True))
    assert 70 < sum(mirrored) < 130


def test_noise_is_measured_in_deviations_of_each_channel() -> None:
    colours = torch.stack([DIGITS, 100 * DIGITS], 1)

    added = images(colours, noise=0.1) - colours

    deviations = added.std((0, 2, 3))
    assert deviations.tolist() == pytest.approx(
        [0.1 * float(DIGITS.std()), 10 * float(DIGITS.std())], rel=0.02
    )


def test_a_crop_keeps_steps_that_follow_one_another() -> None:
    lengths = torch.tensor([20, 12, 1, 7] * 10)

    cropped, kept = series(ramps(40, 20), lengths, crop=0.5)

    assert kept is not None
    assert bool(((kept >= (lengths * 0.5).ceil()) & (kept <= lengths)).all())
    assert len(set(kept.tolist())) > 5
    for row, steps in enumerate(kept.tolist()):
        assert cropped[row, :steps, 0].diff().tolist() == [1.0] * (steps - 1)
        assert cropped[row, :steps, 0].max() < lengths[row]
        assert not cropped[row, steps:].any()


def test_a_crop_of_rows_of_one_length_is_stretched_to_it() -> None:
    cropped, lengths = series(ramps(50, 11), crop=0.6)

    assert lengths is None
    slopes = cropped[:, :, 0].diff(dim=1)
    assert torch.allclose(slopes, slopes[:, :1].expand_as(slopes), atol=1e-4)
    assert 0.6 <= float(slopes.min()) < float(slopes.max()) <= 1
    assert float(cropped[:, :, 0].max()) <= 10


def test_a_shift_repeats_the_step_at_the_end() -> None:
    moved, lengths = series(ramps(30, 8), torch.full((30,), 6), shift=2)

    assert lengths is not None
    assert set(moved[:, 0, 0].tolist()) == {0.0, 1.0, 2.0}
    assert set(moved[:, 5, 0].tolist()) == {3.0, 4.0, 5.0}
    assert not moved[:, 6:].any()


def test_scale_and_jitter_spread_as_told_and_spare_padding() -> None:
    lengths = torch.tensor([9, 5] * 500)
    x = ramps(1000, 9) + 1

    scaled, _ = series(x, lengths, scale=0.2)
    jittered, _ = series(x, lengths, jitter=0.1)

    factors = scaled[:, 0] / x[:, 0]
    assert factors.std(0).tolist() == pytest.approx([0.2, 0.2], rel=0.1)
    assert torch.allclose(scaled[:, 4] / x[:, 4], factors, rtol=1e-4)
    added = (jittered - x)[:, :5]
    assert float(added[..., 1].std() / added[..., 0].std()) == pytest.approx(10, rel=0.1)
    assert not scaled[1::2, 5:].any()
    assert not jittered[1::2, 5:].any()


def altered(training: Training, rows: Rows, *form: int | None, layers: tuple[Any, ...] = ()) -> Batch:
    torch.manual_seed(0)
    return Alteration(network(form, *layers), training, rows)(rows)


def test_mixup_mixes_rows_targets_and_lengths_by_one_share() -> None:
    lengths = torch.tensor([3, 5, 2, 4])
    rows = Rows({"x": (ramps(4, 5) + 1, lengths)}, torch.arange(4))

    batch = altered(Training(mixup=0.4), rows, None, 2, layers=({"gru": 3},))

    x, mixed_lengths = batch.inputs["x"]
    assert batch.others is not None
    assert mixed_lengths is not None
    assert 0 <= batch.share <= 1
    for row, other in enumerate(batch.others.tolist()):
        longer = max(lengths[row], lengths[other])
        real = [torch.arange(5)[:, None] < lengths[one] for one in (row, other)]
        wanted = (
            batch.share * (ramps(1, 5)[0] + 1) * real[0] + (1 - batch.share) * (ramps(1, 5)[0] + 1) * real[1]
        )
        assert mixed_lengths[row] == longer
        assert torch.allclose(x[row], wanted)


def test_each_input_is_altered_by_what_it_is() -> None:
    augment = Augmentation.model_validate({"image": {"noise": 1}, "series": {"jitter": 1}})
    training = Training(augment=augment)
    vector = Rows({"x": (torch.ones(4, 3), None)}, torch.zeros(4))
    image = Rows({"x": (DIGITS[:4], None)}, torch.zeros(4))

    assert torch.equal(altered(training, vector, 3).inputs["x"][0], vector.inputs["x"][0])
    read_as_image = altered(training, image, 8, 8, layers=({"conv2d": 2}, "flatten"))
    read_as_series = altered(training, image, 8, 8, layers=({"gru": 2},))
    of_image = Images(augment.image, image.inputs["x"]).deviation
    assert of_image is not None
    assert of_image.shape == (1, 1)
    assert not torch.equal(read_as_image.inputs["x"][0], DIGITS[:4])
    assert not torch.equal(read_as_series.inputs["x"][0], read_as_image.inputs["x"][0])
    with pytest.raises(KeyError):
        network((3,)).kind("y")


def test_nothing_asked_for_is_nothing_done() -> None:
    rows = Rows({"x": (DIGITS[:4], None)}, torch.zeros(4))

    batch = altered(Training(), rows, 8, 8, layers=("flatten",))

    assert batch.inputs is rows.inputs
    assert batch.others is None
