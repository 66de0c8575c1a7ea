"""Steps to come in files, arrays and functions: beside the rows, or the end of a row's own sequence."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.errors import BadRecipe
from models.recipe import Recipe
from tests.unit.trainer.reading.written import changed, csv, parquet, read
from trainer.datasets.series import Series
from trainer.errors import BadData, TooManyBadRows
from trainer.run import Place, train
from trainer.table import Table

BESIDE = """\
name: demand
task: forecasting
data: {source: parquet, path: demand.parquet, target: {column: next, shape: [2]}}
features:
  inputs:
    - {name: x, lengths: x_length, sources: [{key: "shop:{id}", as: list, shape: [1], last: 4}]}
network: [{gru: 4}]
training: {epochs: 2, batch: 4}
"""
PARQUET = "source: parquet, path: demand.parquet"
NUMPY = (PARQUET, "source: numpy, path: demand.npz")
CSV = (PARQUET, 'source: csv, path: demand.csv, columns: {"shop:{id}": "past_*"}')
TARGET = "target: {column: next, shape: [2]}"
FOLLOWING = (TARGET, "target: {as: following, steps: 2, windows: 2}")
PAST = [[1, 2, 3], [4], [5, 6]]
NEXT = [[10, 11], [20, 21], [30, 31]]


def steps(table: Table) -> list[Any]:
    """The steps that each row shows, without padding."""
    own = table.inputs["x"]
    lengths = [own.x.shape[1]] * len(own.x) if own.lengths is None else own.lengths
    return [row[:length, 0].tolist() for row, length in zip(own.x, lengths, strict=True)]


def test_a_column_of_lists_holds_the_steps_to_come(tmp_path: Path) -> None:
    parquet(tmp_path, {"x": pa.array(PAST), "next": pa.array(NEXT)}, "demand.parquet")

    table = read(Recipe.parse(BESIDE), tmp_path)

    assert table.targets.dtype == np.float32
    assert table.targets.tolist() == [[[10], [11]], [[20], [21]], [[30], [31]]]
    assert steps(table) == PAST


def test_steps_of_several_numbers_have_a_shape_with_channels(tmp_path: Path) -> None:
    nested = [[[row, row + 0.5], [row + 1, row + 1.5]] for row in (1, 2, 3)]
    parquet(tmp_path, {"x": pa.array(PAST), "next": pa.array(nested)}, "demand.parquet")

    table = read(changed(BESIDE, ("shape: [2]}", "shape: [2, 2]}")), tmp_path)

    assert table.targets.tolist() == nested


@pytest.mark.parametrize(
    "target",
    [
        "target: {columns: [n1, n2]}",
        'target: {columns: "n*", shape: [2]}',
        "target: {columns: [n1, n2], shape: [2]}",
    ],
)
def test_the_steps_to_come_may_be_a_number_a_column(tmp_path: Path, target: str) -> None:
    csv(tmp_path, "past_1,past_2,n1,n2\n1,2,10,11\n3,4,20,21\n", "demand.csv")

    table = read(changed(BESIDE, CSV, (TARGET, target)), tmp_path)

    assert table.targets.tolist() == [[[10], [11]], [[20], [21]]]
    assert steps(table) == [[1, 2], [3, 4]]


@pytest.mark.parametrize("channels", [1, 2])
def test_an_array_of_rows_by_steps_holds_the_steps_to_come(tmp_path: Path, channels: int) -> None:
    following = np.arange(3 * 2 * channels, dtype=np.float64).reshape(3, 2, channels)
    shaped = following if channels > 1 else following[..., 0]
    np.savez(tmp_path / "demand.npz", x=np.ones((3, 5, 1)), x_length=[5, 1, 2], next=shaped)
    shape = "shape: [2, 2]}" if channels > 1 else "shape: [2]}"

    table = read(changed(BESIDE, NUMPY, ("shape: [2]}", shape)), tmp_path)

    assert table.targets.tolist() == following.tolist()


def test_a_function_returns_the_steps_to_come(tmp_path: Path) -> None:
    (tmp_path / "demand_pair.py").write_text(
        "import numpy as np\ndef load():\n"
        "    return {'x': np.ones((3, 4, 1)), 'x_length': np.array([4, 4, 4]), 'next': np.ones((3, 2))}\n"
    )
    recipe = changed(BESIDE, (PARQUET, "source: python, function: demand_pair:load"))

    assert read(recipe, tmp_path).targets.shape == (3, 2, 1)


def last_known(recipe: Recipe, folder: Path) -> Any:
    series = Series.of(recipe)
    assert series is not None
    naive = series.last_known(read(recipe, folder))
    return None if naive is None else naive.tolist()


def test_the_naive_forecast_says_the_last_step_again_that_a_row_shows(tmp_path: Path) -> None:
    long = [[1, 2, 3, 4, 5, 6, 7, 8], [10, 20, 30]]
    parquet(tmp_path, {"id": ["a", "b"], "x": pa.array(long)}, "demand.parquet")
    padded = ("last: 4}", "last: 4, pad: left}"), ("lengths: x_length, ", "")
    behind = ("last: 4}", "last: 4, pad: right}"), ("lengths: x_length, ", "")

    assert last_known(changed(BESIDE, FOLLOWING), tmp_path) == [[[6]], [[5]], [[10]]]
    assert last_known(changed(BESIDE, FOLLOWING, *padded), tmp_path) == [[[6]], [[5]], [[10]]]
    assert last_known(changed(BESIDE, FOLLOWING, *behind), tmp_path) is None


def test_a_forecast_of_the_ends_of_series_is_held_against_the_last_known_value(tmp_path: Path) -> None:
    walks = np.random.default_rng(0).normal(size=(60, 7, 2)).cumsum(1).astype(np.float32)
    np.savez(tmp_path / "demand.npz", x=walks, x_length=np.full(60, 7))
    target = (TARGET, "target: {as: following, steps: 3, channels: [1]}")
    recipe = changed(BESIDE, NUMPY, target, ("shape: [1]", "shape: [2]"))

    result = train(recipe, None, place=Place(folder=tmp_path))

    held = [int(key.partition(":")[2]) - 1 for key in result.outcome.held_out.keys]
    naive = np.abs(walks[held, 4:, 1] - walks[held, 3:4, 1]).mean()
    found = result.bundle.manifest.metrics
    assert found["naive_mae"] == pytest.approx(naive, abs=1e-5)
    assert found["mase"] == pytest.approx(found["mae"] / naive, rel=1e-4)
    low, high = result.bundle.manifest.card["intervals"]["mase"]
    assert low < found["mase"] < high


def test_the_ends_of_a_column_of_lists_are_taken_off(tmp_path: Path) -> None:
    long = [[1, 2, 3, 4, 5, 6, 7, 8], [10, 20, 30]]
    parquet(tmp_path, {"id": ["a", "b"], "x": pa.array(long)}, "demand.parquet")

    table = read(changed(BESIDE, FOLLOWING), tmp_path)

    assert table.keys == ("shop:a", "shop:a", "shop:b")
    assert steps(table) == [[3, 4, 5, 6], [2, 3, 4, 5], [10]]
    assert table.targets[..., 0].tolist() == [[7, 8], [6, 7], [20, 30]]


@pytest.mark.parametrize("source", ["numpy", "python"])
def test_the_ends_of_an_array_of_sequences_are_taken_off(tmp_path: Path, source: str) -> None:
    x = np.zeros((2, 6, 1), np.float32)
    x[0, :, 0], x[1, :4, 0] = np.arange(1, 7), [10, 20, 30, 40]
    np.savez(tmp_path / "demand.npz", x=x, x_length=[6, 4])
    (tmp_path / "demand_ends.py").write_text(
        "import numpy as np\nfrom pathlib import Path\n"
        "def load():\n    return dict(np.load(Path(__file__).parent / 'demand.npz'))\n"
    )
    where = NUMPY if source == "numpy" else (PARQUET, "source: python, function: demand_ends:load")

    table = read(changed(BESIDE, where, FOLLOWING), tmp_path)

    assert steps(table) == [[1, 2, 3, 4], [1, 2, 3], [10, 20], [10]]
    assert table.targets[..., 0].tolist() == [[5, 6], [4, 5], [30, 40], [20, 30]]


def test_the_ends_of_columns_of_numbers_are_taken_off_and_padded_as_the_view_says(tmp_path: Path) -> None:
    csv(tmp_path, "id,past_1,past_2,past_3,past_4\n7,1,2,3,4\n8,5,6,7,8\n", "demand.csv")
    padded = ("lengths: x_length, ", ""), ("last: 4", "last: 3, pad: left, pad_value: -1")

    table = read(changed(BESIDE, CSV, FOLLOWING, *padded), tmp_path)

    assert steps(table) == [[-1, 1, 2], [-1, -1, 1], [-1, 5, 6], [-1, -1, 5]]
    assert table.targets[..., 0].tolist() == [[3, 4], [2, 3], [7, 8], [6, 7]]


def test_an_array_of_a_padded_view_is_whole_without_lengths(tmp_path: Path) -> None:
    np.savez(tmp_path / "demand.npz", x=np.arange(10.0).reshape(1, 10, 1))
    padded = ("lengths: x_length, ", ""), ("last: 4", "last: 3, pad: left")

    table = read(changed(BESIDE, NUMPY, FOLLOWING, *padded), tmp_path)

    assert steps(table) == [[5, 6, 7], [4, 5, 6]]


def test_what_lies_beside_a_series_is_the_same_for_each_of_its_ends(tmp_path: Path) -> None:
    parquet(
        tmp_path,
        {"x": pa.array([[1, 2, 3, 4], [5, 6, 7, 8]]), "size": [1.5, 2.5], "part": ["train", "test"]},
        "demand.parquet",
    )
    inputs = '{name: s, sources: [{key: "shop:{id}:about", as: hash, fields: [size]}]}'
    recipe = changed(
        BESIDE,
        FOLLOWING,
        (
            "network: [{gru: 4}]",
            f"    - {inputs}\nsplit: {{part: part}}\nnetwork: {{branches: {{x: [{{gru: 4}}], s: []}}}}",
        ),
    )

    table = read(recipe, tmp_path)

    assert table.inputs["s"].x.tolist() == [[1.5], [1.5], [2.5], [2.5]]
    assert table.marks is not None
    assert table.marks.tolist() == [0, 0, 2, 2]


def test_a_series_that_is_too_short_or_at_fault_is_told_with_its_row(tmp_path: Path) -> None:
    series = pa.array([[1, None, 3], [1, 2], [1, 2, 3], [4, 5, 6]])
    parquet(tmp_path, {"x": series}, "demand.parquet")
    recipe = changed(BESIDE, FOLLOWING)
    allowed = changed(BESIDE, (TARGET, f"{FOLLOWING[1]}, max_bad_share: 0.5"))

    with pytest.raises(TooManyBadRows, match="row 1: element 1 of column 'x'"):
        read(recipe, tmp_path)
    table = read(allowed, tmp_path)

    assert table.keys == ("shop:3", "shop:4")
    assert table.skipped == {"not_a_number": 1, "unlabelled_row": 1}


def test_series_that_are_all_too_short_are_no_rows(tmp_path: Path) -> None:
    parquet(tmp_path, {"x": pa.array([[1, 2], [3]])}, "demand.parquet")

    with pytest.raises(TooManyBadRows, match="row 1: 'shop:1' has 2 steps; to forecast 2 it needs 3 or more"):
        read(changed(BESIDE, FOLLOWING), tmp_path)


@pytest.mark.parametrize(
    ("following", "told"),
    [
        ([[1, 2], None], "row 2: column 'next' is empty; it is the target"),
        ([[1, 2], [1, 2, 3]], "row 2: column 'next' holds 3 numbers, the view wants 2"),
        ([[1, 2], [1, None]], "row 2: element 1 of column 'next'"),
        ([[1, 2], [1, float("inf")]], "row 2: element 1 of column 'next'"),
    ],
)
def test_steps_to_come_that_are_none_are_told_with_their_row(
    tmp_path: Path, following: list[Any], told: str
) -> None:
    parquet(tmp_path, {"x": pa.array([[1], [2]]), "next": pa.array(following)}, "demand.parquet")

    with pytest.raises(TooManyBadRows, match=told):
        read(Recipe.parse(BESIDE), tmp_path)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("{column: nxt, shape: [2]}", "has no column 'nxt' for the target; did you mean 'next'"),
        ('{columns: "q*", shape: [2]}', r"has no column 'q\*' for the target"),
        ("{column: when, shape: [2]}", "column 'when' is date32.*lists of numbers, or a number a column"),
        ("{column: size, shape: [2]}", "has 1 columns for the target, whose shape has 2 numbers"),
        ('{columns: "s*", shape: [3]}', "has 1 columns for the target, whose shape has 3 numbers"),
    ],
)
def test_columns_that_hold_no_steps_are_told_before_rows_are_read(
    tmp_path: Path, target: str, told: str
) -> None:
    day = pa.array([0, 1], pa.date32())
    columns = {"x": pa.array([[1], [2]]), "next": pa.array([[1, 2], [3, 4]]), "size": [1, 2], "when": day}
    parquet(tmp_path, columns, "demand.parquet")

    with pytest.raises(BadData, match=told):
        read(changed(BESIDE, (TARGET, f"target: {target}")), tmp_path)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("{column: next}", "data.target needs shape: how many steps are to come"),
        ('{columns: "n*"}', "data.target needs shape"),
        (
            "{columns: [a, b], shape: [3]}",
            r"data.target.columns names 2 columns for the 3 numbers of shape \[3\]",
        ),
        ("{as: following}", "data.target.steps is missing"),
        ("{as: following, steps: 2, shape: [2]}", "data.target has no key 'shape'"),
        ("{column: next, shape: [2], colunm: 3}", "data.target has no key 'colunm'"),
        ("{shape: [2]}", "names no field, or both"),
        ("{as: following, steps: 2, channels: [1]}", "names a channel that an entry of shape"),
    ],
)
def test_a_target_of_steps_is_checked_with_the_recipe(target: str, told: str) -> None:
    with pytest.raises(BadRecipe, match=told):
        changed(BESIDE, (TARGET, f"target: {target}"))


def test_a_shape_is_for_forecasting() -> None:
    with pytest.raises(BadRecipe, match="has a shape, which is for forecasting; task is regression"):
        changed(BESIDE, ("task: forecasting", "task: regression"))


@pytest.mark.parametrize("following", [False, True])
def test_a_forecast_is_trained_from_a_file(tmp_path: Path, following: bool) -> None:
    random = np.random.default_rng(0)
    past = [np.cumsum(random.normal(size=12)).tolist() for _ in range(40)]
    columns = {"x": pa.array(past), "next": pa.array([[one[-1] + 1, one[-1] + 2] for one in past])}
    parquet(tmp_path, columns, "demand.parquet")
    recipe = changed(BESIDE, FOLLOWING) if following else Recipe.parse(BESIDE)

    result = train(recipe, None, place=Place(tmp_path))

    manifest = result.bundle.manifest
    assert manifest.task == "forecasting"
    assert manifest.spec("forecast") is not None
    assert manifest.card["data"]["rows"]["train"] > 20
    assert (Series.of(recipe) is None) is not following


def test_several_values_of_a_file_are_trained_and_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [f"{a},{b},{a + b},{a - b}" for a, b in random.normal(size=(40, 2)).round(3)]
    csv(tmp_path, "\n".join(["a,b,cost,hours", *rows, ""]), "values.csv")
    recipe = Recipe.parse(
        "name: values\ntask: regression\ndata: {source: csv, path: values.csv, target: {columns: [cost, hours]}}\n"
        'features:\n  inputs: [{name: x, sources: [{key: "p:{id}", as: hash, fields: [a, b]}]}]\n'
        "network: [{linear: 4}]\ntraining: {epochs: 2}\n"
    )

    answer = train(recipe, None, place=Place(tmp_path)).bundle.manifest.answer

    assert answer is not None
    assert answer.values == ("cost", "hours")
