"""Parting: complete, disjoint, stratified, and the same again when rows are added."""

import numpy as np
import pytest

from tests.unit.trainer.tables import LINE, clouds, keys, line, recipe
from trainer.errors import NotEnoughRows
from trainer.split import split
from trainer.table import Table, Values


def test_every_row_is_in_exactly_one_part() -> None:
    table = clouds(101)

    parts = split(table, recipe(test=0.3, validation=0.2))

    together = np.concatenate([parts.train, parts.validation, parts.held_out])
    assert sorted(together) == list(range(101))


def test_every_class_has_its_share_in_each_part() -> None:
    targets = np.array([0] * 90 + [1] * 10)
    table = Table(keys(100), {"x": Values(np.zeros((100, 2), np.float32))}, targets)

    parts = split(table, recipe(test=0.2, validation=0.1))

    assert np.bincount(targets[parts.held_out]).tolist() == [18, 2]
    assert np.bincount(targets[parts.validation]).tolist() == [9, 1]


def test_a_part_without_strata_has_its_share_of_all() -> None:
    parts = split(clouds(100), recipe(test=0.2, validation=0.1, stratified=False))

    assert (len(parts.held_out), len(parts.validation), len(parts.train)) == (20, 10, 70)


def test_a_regression_is_parted_as_one_group() -> None:
    parts = split(line(100), recipe(LINE, test=0.25, validation=0))

    assert (len(parts.held_out), len(parts.validation), len(parts.train)) == (25, 0, 75)


def test_a_row_keeps_its_part_when_rows_are_added() -> None:
    few, many = clouds(400), clouds(440)

    before = {few.keys[row] for row in split(few, recipe()).held_out}
    after = {many.keys[row] for row in split(many, recipe()).held_out}

    assert len(before & after) > 0.85 * len(before)


def test_another_seed_parts_otherwise() -> None:
    table = clouds()

    assert set(split(table, recipe(seed=1)).held_out) != set(split(table, recipe(seed=2)).held_out)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(NotEnoughRows, match="there are 9 usable rows, training needs 10 or more"):
        split(clouds(9), recipe())


def test_a_label_with_hardly_a_row_is_named() -> None:
    targets = np.array([0] * 98 + [1] * 2)

    with pytest.raises(NotEnoughRows, match="the label 'right' has 2 rows, it needs 3 or more"):
        split(Table(keys(100), {"x": Values(np.zeros((100, 2), np.float32))}, targets), recipe())
