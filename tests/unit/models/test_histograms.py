"""A histogram counts every number once, whatever the order, in a bounded number of bins."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.histograms import MOST_BINS, Histogram

TINY = 1e-200  # below, a number divided by the width of its bin is no number any more
NUMBERS = st.lists(
    st.floats(-1e30, 1e30).map(lambda number: number if abs(number) > TINY else 0.0), min_size=1, max_size=60
)


def of(*parts: list[float]) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(np.array(part, np.float64))
    return histogram


@given(NUMBERS)
def test_every_number_is_counted_in_the_bin_it_lies_in(numbers: list[float]) -> None:
    histogram = of(numbers)

    counted = np.array([count for *_, count in histogram.bins])
    inside = [sum(begin <= number < end for number in numbers) for begin, end, _ in histogram.bins]
    assert counted.sum() == len(numbers)
    assert counted.tolist() == inside
    assert len(histogram.bins) <= MOST_BINS


@given(NUMBERS, NUMBERS, NUMBERS)
def test_the_order_and_the_parts_change_nothing(a: list[float], b: list[float], c: list[float]) -> None:
    merged = of(a)
    merged.merge(of(b, c))
    other = of(c)
    other.merge(of(b))
    other.merge(of(a))

    assert merged.bins == other.bins
    assert sum(count for *_, count in merged.bins) == len(a + b + c)


def test_bins_are_as_fine_as_they_can_be() -> None:
    histogram = of(np.linspace(0, 1, 1000, endpoint=False).tolist())

    assert [end - begin for begin, end, _ in histogram.bins] == [1 / MOST_BINS] * MOST_BINS
    assert len(histogram.coarser(8).bins) == 8
    assert sum(count for *_, count in histogram.coarser(8).bins) == 1000


@pytest.mark.parametrize("numbers", [[0.0], [-0.0, 5e-324], [1e308, -1e308], [7.25] * 9, [-3.0, -1.0]])
def test_odd_spreads_are_counted(numbers: list[float]) -> None:
    assert sum(count for *_, count in of(numbers).bins) == len(numbers)


def test_it_is_read_as_it_was_written_and_nothing_is_nothing() -> None:
    histogram = of([0.1, 0.2, 7.0])

    assert Histogram.from_data(histogram.to_data()).bins == histogram.bins
    assert Histogram().bins == []
    assert of([]).bins == []
    assert Histogram().coarser(4).bins == []


def test_numbers_beside_zero_stay_in_two_bins() -> None:
    histogram = Histogram()
    histogram.add(np.array([-1.0, 1.0]))

    assert [count for *_, count in histogram.coarser(1).bins] == [1, 1]


def test_bins_are_joined_up_to_a_width_and_never_parted() -> None:
    found = Histogram(0, {0: 1, 1: 2, 5: 3})

    assert (found.wider(2).exponent, found.wider(2).counts) == (2, {0: 3, 1: 3})
    assert found.wider(-1).counts == found.counts
