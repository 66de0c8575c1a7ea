"""What is kept of the rows that a model was trained on."""

from typing import Any

import numpy as np
import pytest

from models.columns import Column
from models.privacy import OPEN, Privacy
from models.profiles import LEAST_ROWS, NOT_LISTED, PARTS_MOST, Bins, Part, Profile, bins, part

RANDOM = np.random.default_rng(5)


def column(values: Any, name: str = "age", **facts: Any) -> Column:
    numbers = np.asarray(values)
    return Column(name, numbers, facts.pop("rows", len(numbers)), **facts)


def of(values: Any) -> Bins:
    numbers = np.asarray(values)
    return bins(numbers, len(numbers))


def test_many_numbers_are_in_ten_bins_of_as_many_rows_each() -> None:
    values = RANDOM.normal(50, 9, 1000).astype(np.float32)

    kept = of(values)

    assert kept.counts == (100,) * 10
    assert np.array(kept.cuts, np.float32).tolist() == np.sort(values)[99:999:100].tolist()
    assert (np.float32(kept.least), np.float32(kept.most)) == (values.min(), values.max())
    assert kept.mean == pytest.approx(values.mean(), rel=1e-5)
    assert np.float32(kept.median) == np.sort(values)[499]


def test_a_few_numbers_have_a_bin_each_unless_few_rows_have_them() -> None:
    assert of([0] * 50 + [1] * 30 + [2] * 20).cuts == (0, 1)
    assert of([0] * 50 + [1] * 3 + [2] * 20 + [3] * 20).counts == (50, 23, 20)
    assert of([0] * 50 + [1] * 20 + [2] * 30 + [3] * 3).counts == (50, 20, 33)
    assert of([0] * 3 + [1] * 20 + [2] * 30).counts == (23, 30)


def test_a_constant_lies_between_two_bins_of_nothing() -> None:
    whole, fraction = of(np.full(40, 3)), of(np.full(40, 0.5, np.float32))

    assert (whole.cuts, whole.counts) == ((2, 3), (0, 40, 0))
    assert fraction.counts == (0, 40, 0)
    assert fraction.cuts[0] < fraction.cuts[1] == 0.5


def test_numbers_of_which_most_are_one_still_have_two_bins() -> None:
    assert of([*range(100), *[0] * 3000]).counts == (3001, 99)
    assert of([*range(100), *[99] * 3000]).counts == (99, 3001)


def test_so_few_rows_that_no_bin_would_have_enough_are_one() -> None:
    assert of([*range(15)]).counts == (15,)
    assert of([1, 2]).counts == (2,)


def test_no_bin_that_is_drawn_shows_fewer_rows_than_any_other() -> None:
    kept = of(np.concatenate([RANDOM.normal(0, 1, 500), [1e6]]))

    assert min(kept.drawn["counts"].values()) >= LEAST_ROWS
    assert len(kept.drawn["counts"]) > 3


def test_few_rows_are_drawn_in_wide_bins_rather_than_hardly_any() -> None:
    for values in (RANDOM.uniform(0, 1, 130), RANDOM.normal(0, 1, 60)):
        kept = of(values)

        assert sum(kept.drawn["counts"].values()) >= 0.9 * len(values)
        assert len(kept.drawn["counts"]) > 1


def test_rare_categories_are_counted_together_unless_they_are_few_and_unknown_ones_too() -> None:
    plans = ("free", "paid", "gold")

    kept = part(column([0] * 30 + [1] * 20 + [2] * 3 + [3] * 2, categories=plans), OPEN)

    assert (kept.categories, kept.others) == ({"free": 30, "paid": 20}, 0)
    several = part(column([0] * 30 + [1] * 6 + [2] * 4 + [3] * 2, categories=plans), OPEN)
    assert (several.categories, several.others) == ({"free": 30}, 12)
    everyone = part(column([3] * 30, categories=plans), OPEN)
    assert everyone.categories == {NOT_LISTED: 30}


def test_a_private_feature_goes_by_its_alias_and_its_categories_by_their_numbers() -> None:
    kept = part(column([0] * 30, "religion", categories=("one", "other")), Privacy(["religion"]))

    assert (kept.name, kept.categories) == ("private 1", {"category 0": 30})


def test_a_column_without_a_number_has_no_bins() -> None:
    kept = part(column([], rows=40, absent=40), OPEN)

    assert (kept.rows, kept.absent, kept.bins) == (40, 40, None)


def test_a_profile_is_read_from_a_card_as_it_was_written_and_only_so() -> None:
    made = Profile.made(
        "40 rows", [column(np.arange(40.0)), column([], "empty")], [column([1] * 40, "value")], OPEN
    )

    assert [one.name for one in made.features] == ["age"]
    assert Profile.of_card({"profile": made.as_entry()}) == made
    assert Profile.of_card({}) is None
    assert Profile.of_card({"profile": {"feature": []}}) is None


def test_of_many_features_the_first_are_kept_and_the_others_counted() -> None:
    every = [column([1] * 20, f"f{at}") for at in range(PARTS_MOST + 3)]

    made = Profile.made("", every, every, OPEN)

    assert (len(made.features), len(made.answers), made.left_out) == (PARTS_MOST, PARTS_MOST, 3)
    assert isinstance(made.features[0], Part)
