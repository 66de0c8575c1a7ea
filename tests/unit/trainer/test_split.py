"""Parting: complete, disjoint, stratified, and the same again when rows are added."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.recipe import Recipe
from tests.unit.trainer.tables import CLOUDS, LINE, clouds, keys, line, recipe
from trainer.errors import NotEnoughRows
from trainer.split import Shares, part, parted, split
from trainer.table import Table, Values
from trainer.training import as_windows
from trainer.trying.folds import folds


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


def marked(marks: list[Any], kind: type[np.generic] = np.uint64, count: int = 120) -> Table:
    return replace(clouds(count), marks=np.resize(np.array(marks, kind), count))


def by(how: str, text: str = "", **training: Any) -> Recipe:
    made = recipe(text or CLOUDS, **training)
    return Recipe.model_validate(made.as_data() | {"split": {how: "field"}})


def parts_of(table: Table, made: Recipe) -> list[np.ndarray]:
    parts = split(table, made)
    return [parts.train, parts.validation, parts.held_out]


def test_no_two_parts_have_rows_of_one_group() -> None:
    table = marked(list(range(17)))

    parts = parts_of(table, by("group"))

    assert table.marks is not None
    names = [set(table.marks[part].tolist()) for part in parts]
    assert sorted(np.concatenate(parts)) == list(range(120))
    assert not names[0] & names[1] | names[0] & names[2] | names[1] & names[2]
    assert abs(len(parts[2]) / 120 - 0.2) < 0.06
    assert abs(len(parts[1]) / 120 - 0.15) < 0.06


def test_a_group_keeps_its_part_when_groups_are_added() -> None:
    few, many = marked(list(range(40)), count=400), marked(list(range(44)), count=440)

    held = [
        set(table.marks[split(table, by("group")).held_out])
        for table in (few, many)
        if table.marks is not None
    ]

    assert len(held[0] & held[1]) >= 0.8 * len(held[0])


@pytest.mark.parametrize(("count", "validation"), [(3, 0.15), (2, 0.0)])
def test_a_group_a_part_is_enough(count: int, validation: float) -> None:
    values = replace(line(), marks=np.resize(np.arange(count, dtype=np.uint64), 120))

    parts = parts_of(values, by("group", LINE, validation=validation))

    assert [len(part) > 0 for part in parts] == [True, validation > 0, True]


def test_the_newest_rows_are_held_out() -> None:
    table = marked(list(range(120)), np.float64)

    train, validation, held = parts_of(table, by("time"))

    assert held.tolist() == list(range(96, 120))
    assert validation.tolist() == list(range(78, 96))
    assert train.tolist() == list(range(78))


def test_rows_that_say_their_part_are_in_it() -> None:
    table = marked([0, 0, 1, 2], np.int8)

    parts = parts_of(table, by("part"))

    assert table.marks is not None
    assert [set(table.marks[part].tolist()) for part in parts] == [{0}, {1}, {2}]


def test_without_validation_rows_some_of_those_to_train_on_validate() -> None:
    table = marked([0, 0, 0, 2], np.int8)

    train, validation, held = parts_of(table, by("part", validation=0.2))

    assert (len(train), len(validation), len(held)) == (72, 18, 30)
    assert len(parts_of(table, by("part", validation=0.0))[1]) == 0


@pytest.mark.parametrize(
    ("how", "marks", "said"),
    [
        ("group", [1, 2], "field has 2 different values, 3 parts need one each"),
        ("time", [5], "field is the same in every row"),
        ("part", [0, 1], "no row says 'test' in field"),
        ("part", [2, 1], "no row says 'train' in field"),
    ],
)
def test_marks_that_part_nothing_are_refused(how: str, marks: list[int], said: str) -> None:
    with pytest.raises(NotEnoughRows, match=said):
        split(marked(marks), by(how))


def test_a_label_that_no_training_row_has_is_named() -> None:
    table = replace(clouds(), marks=np.array([0, 2] * 60, np.int8))

    with pytest.raises(NotEnoughRows, match="no row with the label 'right' is left to train on"):
        split(table, by("part"))


def test_rows_that_are_all_alike_teach_nothing() -> None:
    one = replace(clouds(), targets=np.zeros(120, np.int64))
    flat = replace(line(), targets=np.full(120, 7.5, np.float32))

    with pytest.raises(NotEnoughRows, match="every row has the label 'left'"):
        split(one, recipe())
    with pytest.raises(NotEnoughRows, match=r"every row has the target 7\.5"):
        split(flat, recipe(LINE))


def test_targets_that_float32_cannot_tell_apart_are_refused_with_that_reason() -> None:
    stamps = np.where(np.arange(120) % 2, 1e8 + 1, 1e8 - 1).astype(np.float32)

    with pytest.raises(NotEnoughRows, match=r"1e\+08 in float32, which keeps nothing finer than 8 there"):
        split(replace(line(), targets=stamps), recipe(LINE))


def test_parts_lie_in_the_table_s_own_memory() -> None:
    table, before = clouds(), clouds()
    parts = split(table, recipe())

    train, validation, held = parted(table, parts)

    for one, rows in ((train, parts.train), (validation, parts.validation), (held, parts.held_out)):
        assert np.shares_memory(one.inputs["x"].x, table.inputs["x"].x)
        assert np.array_equal(one.inputs["x"].x, before.inputs["x"].x[rows])
        assert one.keys == tuple(before.keys[row] for row in rows)
        assert np.array_equal(one.targets, before.targets[rows])


def folds_of(table: Table, made: Recipe, count: int) -> list[tuple[list[int], list[int]]]:
    return [(known.tolist(), asked.tolist()) for known, asked in folds(table, made, count)]


def test_every_row_is_asked_for_in_one_fold() -> None:
    found = folds_of(clouds(), recipe(), 5)

    assert sorted(row for _, asked in found for row in asked) == list(range(120))
    assert all(sorted(known + asked) == list(range(120)) for known, asked in found)
    assert all(abs(sum(row % 2 for row in asked) - 12) <= 1 for _, asked in found)


def series(count: int, windows: int) -> Table:
    """Windows of series, the newest of each first; the time of a window is its series'."""
    names = tuple(f"walk:{number}" for number in range(count) for _ in range(windows))
    marks = np.repeat(np.arange(count, dtype=np.float64), windows)
    return Table(names, {}, np.arange(len(names), dtype=np.float32), marks=marks)


def test_windows_of_one_series_are_in_one_fold() -> None:
    table = replace(series(20, 4), marks=None)

    for known, asked in folds_of(table, recipe(LINE), 5):
        assert not {table.keys[row] for row in known} & {table.keys[row] for row in asked}


def test_of_a_series_at_the_border_in_time_the_newest_windows_are_held_out() -> None:
    parts = split(series(3, 6), by("time", LINE, test=0.2, validation=0.1))

    assert parts.held_out.tolist() == [12, 13, 14, 15]
    assert parts.validation.tolist() == [16, 17]


FOLLOWING = """\
name: walk
task: forecasting
data: {source: redis, match: "walk:*", target: {as: following, steps: 4, windows: 60, every: 2}}
features:
  inputs:
    - {name: x, lengths: x_length, sources: [{key: "walk:{id}", as: list, shape: [1], last: 4}]}
network: [{gru: 4}]
"""


def unmarked(count: int, windows: int) -> Table:
    return replace(series(count, windows), marks=None)


def ahead(steps: int, every: int = 1, **training: Any) -> Recipe:
    return recipe(
        FOLLOWING.replace("steps: 4", f"steps: {steps}").replace("every: 2", f"every: {every}"), **training
    )


@pytest.mark.parametrize(
    ("steps", "every", "gap"), [(1, 1, 0), (4, 1, 3), (4, 2, 1), (4, 3, 1), (4, 4, 0), (5, 2, 2)]
)
def test_windows_of_two_parts_share_no_step_to_come(steps: int, every: int, gap: int) -> None:
    parts = split(unmarked(1, 60), ahead(steps, every, test=0.2, validation=0.1))

    assert parts.held_out.tolist() == [*range(12)]
    assert parts.validation.tolist() == [*range(12 + gap, 18 + gap)]
    assert parts.train.tolist() == [*range(18 + 2 * gap, 60)]
    assert parts.left_out.tolist() == [*range(12, 12 + gap), *range(18 + gap, 18 + 2 * gap)]
    assert gap * every < steps <= (gap + 1) * every


def test_a_series_in_one_part_keeps_all_its_windows() -> None:
    parts = split(unmarked(10, 6), ahead(4, test=0.2, validation=0.1))

    assert len(parts.left_out) == 0
    assert len(parts.held_out) == 12


def test_what_is_left_out_is_in_no_table() -> None:
    table, made = unmarked(1, 60), ahead(4, test=0.2, validation=0.1)

    train, validation, held = parted(table, split(table, made))

    assert [len(train), len(validation), len(held), len(table)] == [36, 6, 12, 60]
    assert held.targets.tolist() == [*range(12)]
    assert train.targets.tolist() == [*range(24, 60)]


@pytest.mark.parametrize(
    ("count", "steps", "parts", "what"),
    [
        (1, 12, {"test": 0.5, "validation": 0.1}, "learn from"),
        (1, 50, {"test": 0.5, "validation": 0}, "learn from"),
        (2, 12, {"test": 0.25, "validation": 0.1}, "validate"),
    ],
)
def test_a_series_too_short_for_that_says_what_to_take(
    count: int, steps: int, parts: dict[str, Any], what: str
) -> None:
    with pytest.raises(
        NotEnoughRows, match=rf"none are left to {what}; take more `windows`, or `every: {steps}`"
    ):
        split(unmarked(count, 40 // count), ahead(steps, **parts))


def test_of_a_series_at_the_border_of_two_folds_in_time_the_newest_windows_are_asked_for_later() -> None:
    found = folds_of(series(2, 6), by("time", LINE), 2)

    assert found == [([2, 3, 4, 5], [0, 1, 10, 11]), ([0, 1, 2, 3, 4, 5, 10, 11], [6, 7, 8, 9])]


@pytest.mark.parametrize(("steps", "every", "gap"), [(1, 1, 0), (4, 1, 3), (4, 2, 1), (4, 4, 0)])
def test_a_fold_is_asked_no_step_that_another_window_has_taught(steps: int, every: int, gap: int) -> None:
    found = folds_of(unmarked(2, 30), ahead(steps, every), 3)

    assert sorted(row for _, asked in found for row in asked) == [*range(60)]
    for known, asked in found:
        assert known == [
            row for row in range(60) if all(row // 30 != one // 30 or abs(row - one) > gap for one in asked)
        ]


def test_folds_that_leave_nothing_to_learn_from_say_what_to_take() -> None:
    with pytest.raises(NotEnoughRows, match=r"beside fold 1 shares some .* fewer folds, .* or `every: 20`"):
        folds_of(unmarked(1, 20), ahead(20), 2)


def test_the_windows_that_choose_the_epoch_of_a_fold_share_no_step_with_those_learned_from() -> None:
    table = unmarked(1, 60)

    parts = part(table, ahead(4, validation=0.2), Shares(0.2, 0))

    assert (parts.validation.tolist(), parts.train.tolist()) == ([*range(12)], [*range(15, 60)])
    assert as_windows(split(table, ahead(4, test=0.2, validation=0.2))).tolist() == [
        *range(30, 42),
        *range(30),
    ]


def test_folds_keep_groups_whole() -> None:
    table = marked(list(range(17)))

    for known, asked in folds_of(table, by("group"), 4):
        assert table.marks is not None
        assert not set(table.marks[known].tolist()) & set(table.marks[asked].tolist())


def test_a_fold_of_time_is_asked_what_comes_after_what_is_known() -> None:
    found = folds_of(marked(list(range(120)), np.float64), by("time"), 3)

    assert len(found) == 3
    assert all(max(known) < min(asked) for known, asked in found)


@pytest.mark.parametrize(
    ("table", "how", "said"),
    [
        (clouds(10), "", "a label has 5 rows that are not held out"),
        (marked([1, 2, 3]), "group", "have 3 groups of field"),
        (marked([1, 2, 3], np.float64, 6), "time", "6 rows are not held out"),
    ],
)
def test_more_folds_than_there_is_to_part_are_refused(table: Table, how: str, said: str) -> None:
    with pytest.raises(NotEnoughRows, match=said):
        folds_of(table, by(how) if how else recipe(), 7)
