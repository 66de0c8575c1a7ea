"""Groups are parted where a row would otherwise be seen in another row's answer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.assembly import Group
from server.inference.grouping import by_length, row_by_row
from server.inference.stacking import padded_inputs
from tests.graphs import bundle, every_step, last_step, scaled

LIST = {"key": "s:{id}", "as": "list", "shape": [2], "last": 9}
VIEW = {"inputs": [{"name": "x", "lengths": "lengths", "sources": [LIST]}]}


def padded(*lengths: int) -> Group:
    x = np.zeros((len(lengths), max(lengths), 2), np.float32)
    return Group([10 + row for row in range(len(lengths))], {"x": x, "lengths": np.array(lengths)})


def shapes(groups: list[Group]) -> list[tuple[Sequence[int], Any]]:
    return [(group.rows, group.feeds["x"].shape) for group in groups]


def test_rows_are_parted_one_by_one() -> None:
    groups = row_by_row(
        [Group([4, 7], {"x": np.array([[1, 2], [3, 4]])}), Group([5], {"x": np.array([[5, 6]])})]
    )

    assert [group.rows for group in groups] == [[4], [7], [5]]
    assert [group.feeds["x"].tolist() for group in groups] == [[[1, 2]], [[3, 4]], [[5, 6]]]


def test_padding_is_cut_off_where_outputs_show_every_step() -> None:
    manifest = bundle(every_step(), view=VIEW).manifest

    parts = by_length(manifest, [padded(2, 5, 2)], padded_inputs(manifest))

    assert shapes(parts) == [([10, 12], (2, 2, 2)), ([11], (1, 5, 2))]


def test_padding_stays_where_no_output_shows_it() -> None:
    manifest, groups = bundle(last_step(), view=VIEW).manifest, [padded(2, 5)]

    assert shapes(by_length(manifest, groups, padded_inputs(manifest))) == shapes(groups)


def test_a_graph_whose_outputs_show_steps_may_have_inputs_without_lengths() -> None:
    groups: list[Any] = [Group([0], {"x": np.zeros((1, 3), np.float32)})]
    view = {"inputs": [{"name": "x", "sources": [{"key": "v:{id}", "as": "vector", "shape": [3]}]}]}

    free = scaled(width="free")

    assert by_length(bundle(free).manifest, groups, ()) == groups
    assert by_length(bundle(free, view=view).manifest, groups, ()) == groups
