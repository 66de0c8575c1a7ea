"""Rows evenly out of all."""

import pytest

from trainer.sampling import evenly


@pytest.mark.parametrize(
    ("count", "most", "rows"),
    [
        (0, 3, []),
        (1, 3, [0]),
        (3, 5, [0, 1, 2]),
        (9, 3, [0, 4, 8]),
        (9, 1, [0]),
        (9, 0, [0]),
    ],
)
def test_rows_are_evenly_out_of_all(count: int, most: int, rows: list[int]) -> None:
    assert evenly(count, most).tolist() == rows
