"""Names of the numbers of a row, for each kind of feature view."""

import pytest

from models.features import FeatureView
from trainer.judging.columns import column_names

HASH = '{key: "a:{id}", as: hash, fields: [age, spend]}'
VECTOR = '{key: "v:{id}", as: vector, shape: [2]}'


@pytest.mark.parametrize(
    ("sources", "more", "names"),
    [
        (HASH, "", ["age", "spend"]),
        (f"{HASH}, {VECTOR}", "", ["age", "spend", "x[2]", "x[3]"]),
        (VECTOR, "", ["x[0]", "x[1]"]),
        (
            '{key: "v:{id}", as: vector, shape: [4]}',
            "shape: [2, 2], ",
            ["x[0,0]", "x[0,1]", "x[1,0]", "x[1,1]"],
        ),
        (
            "{as: feast, project: p, view: v, entity: {id: int64}, fields: [age, {name: e, shape: [2]}]}",
            "",
            ["age", "e[0]", "e[1]"],
        ),
        (
            '{key: "l:{id}", as: list, shape: [1], last: 2, pad: left}',
            "",
            ["x[0,0]", "x[1,0]"],
        ),
        (
            '{key: "l:{id}", as: list, shape: [1], last: 9}',
            "lengths: n, ",
            ["mean of x[0]", "deviation of x[0]", "least of x[0]", "most of x[0]"],
        ),
    ],
)
def test_a_column_is_called_as_its_owner_knows_it(sources: str, more: str, names: list[str]) -> None:
    view = FeatureView.parse(f"inputs: [{{name: x, {more}sources: [{sources}]}}]")

    assert list(column_names(view.inputs[0])) == names
