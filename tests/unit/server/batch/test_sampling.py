"""An even part of any number of rows."""

import pytest

from server.batch.sampling import Sample


def taken(most: int, *numbers: int, at_once: int = 7) -> list[int]:
    sample = Sample[int](most)
    for start in range(0, len(numbers), at_once):
        sample.add((b"%d" % one, one) for one in numbers[start : start + at_once])
    return sample.rows


def test_few_rows_are_all_taken_each_once() -> None:
    assert sorted(taken(9, 3, 1, 2, 3, 1)) == [1, 2, 3]


def test_of_many_rows_the_same_ones_are_taken_in_whatever_order_they_come() -> None:
    some = taken(50, *range(1000))

    assert some == taken(50, *reversed(range(1000)), at_once=900)
    assert len(set(some)) == 50


def test_rows_are_taken_evenly() -> None:
    some = taken(1000, *range(10_000))

    assert sum(some) / 1000 == pytest.approx(5000, abs=400)
    assert sum(some[:500]) / 500 == pytest.approx(5000, abs=600)


def test_a_walk_that_begins_anew_begins_with_nothing() -> None:
    sample = Sample[int](1)
    sample.add((b"%d" % one, one) for one in range(9))
    sample.clear()
    sample.add([(b"77", 77)])

    assert sample.rows == [77]
