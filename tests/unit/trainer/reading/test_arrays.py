"""Rows of .npz files and of Python functions: an array for an input, or one for a field."""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.trainer.reading.written import CHURN, IMAGES, WALKS, changed, read, values
from trainer.errors import BadData
from trainer.events import Journal
from trainer.reading.rows import read_rows

NPZ = ("source: parquet, path: images.parquet", "source: numpy, path: images.npz")
FUNCTION = ("source: parquet, path: images.parquet", "source: python, function: rows:load")
PIXELS = np.arange(8).reshape(2, 2, 2)


def test_an_array_of_an_input_s_name_is_its_rows(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", image=PIXELS, y=np.array([0, 1]))

    table = read(changed(IMAGES, NPZ), tmp_path)

    assert np.array_equal(table.inputs["image"].x, PIXELS)
    assert table.inputs["image"].x.dtype == np.float32
    assert (table.keys, table.targets.tolist()) == (("image:1", "image:2"), [0, 1])


def test_an_array_for_each_field_is_read_as_columns(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "churn.npz", id=[7, 8], age=[1.5, 2], plan=["paid", "free"], left=np.array(["1", "0"], "S")
    )

    table = read(changed(CHURN, ("source: csv, path: churn.csv", "source: numpy, path: churn.npz")), tmp_path)

    assert table.keys == ("customer:7", "customer:8")
    assert values(table) == [[1.5, 1], [2, 0]]


def test_an_array_that_is_only_a_field_of_an_input_is_its_column(tmp_path: Path) -> None:
    np.savez(tmp_path / "churn.npz", x=[1, 2], plan=["paid", "free"], left=[0, 1])
    recipe = changed(
        CHURN, ("source: csv, path: churn.csv", "source: numpy, path: churn.npz"), ("[age", "[x")
    )

    assert values(read(recipe, tmp_path)) == [[1, 1], [2, 0]]


def test_an_array_of_several_dimensions_is_a_column_of_vectors(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", pixels=PIXELS, y=np.array([0, 1]))

    table = read(
        changed(
            IMAGES,
            (
                "source: parquet, path: images.parquet",
                'source: numpy, path: images.npz, columns: {"image:{id}": pixels}',
            ),
        ),
        tmp_path,
    )

    assert np.array_equal(table.inputs["image"].x, PIXELS)


def test_sequences_come_with_their_lengths(tmp_path: Path) -> None:
    x = np.ones((2, 3, 2), np.float32)
    np.savez(tmp_path / "walks.npz", x=x, x_length=[3, 1], y=[1.0, 2.0])

    table = read(
        changed(WALKS, ("source: parquet, path: walks.parquet", "source: numpy, path: walks.npz")), tmp_path
    )

    assert table.inputs["x"].lengths is not None
    assert table.inputs["x"].lengths.tolist() == [3, 1]


def test_a_row_at_fault_is_left_out_of_an_array(tmp_path: Path) -> None:
    x = np.array([[[1, 2]], [[np.nan, 2]], [[3, 4]], [[5, 6]]], np.float32)
    np.savez(tmp_path / "walks.npz", x=x, x_length=[1, 1, 1, 2], y=[1.0, 2.0, 3.0, 4.0])
    recipe = changed(
        WALKS, ("source: parquet, path: walks.parquet", "source: numpy, path: walks.npz, max_bad_share: 0.5")
    )

    table = read(recipe, tmp_path)

    assert table.keys == ("walk:1", "walk:3")
    assert (table.targets.tolist(), table.inputs["x"].x[:, 0].tolist()) == ([1, 3], [[1, 2], [3, 4]])
    assert table.skipped == {"not_a_number": 1, "wrong_length": 1}


@pytest.mark.parametrize("returned", ["(x, y)", "{'image': x, 'y': y}"])
def test_a_function_beside_the_recipe_returns_the_rows(tmp_path: Path, returned: str) -> None:
    name = f"rows_{len(returned)}"
    (tmp_path / f"{name}.py").write_text(
        "import numpy as np\nx, y = np.arange(8.0, dtype='f4').reshape(2, 2, 2), [1, 0]\n"
        f"def load():\n    return {returned}\n"
    )

    table = read(changed(IMAGES, FUNCTION, ("rows:load", f"{name}:load")), tmp_path)

    assert np.array_equal(table.inputs["image"].x, PIXELS)
    assert table.targets.tolist() == [1, 0]


def test_training_leaves_a_function_s_own_arrays_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "rows_own.py").write_text(
        "import numpy as np\nX = np.arange(8.0, dtype='f4').reshape(2, 2, 2)\ndef load():\n    return X, [1, 0]\n"
    )
    recipe = changed(IMAGES, FUNCTION, ("rows:load", "rows_own:load"))

    read(recipe, tmp_path).inputs["image"].x[:] = -1

    assert np.array_equal(read(recipe, tmp_path).inputs["image"].x, PIXELS)


def test_a_function_is_not_run_for_a_recipe_without_a_folder() -> None:
    with pytest.raises(
        BadData, match="'rows:load' is code that would be run: only for a recipe in a local file"
    ):
        read_rows(changed(IMAGES, FUNCTION), None, Journal())


def test_rows_in_redis_need_the_url_of_one() -> None:
    redis = (
        "source: csv, path: churn.csv, target: {column: left}",
        'source: redis, match: "c:*", target: {key: "customer:{id}", field: left}',
    )

    with pytest.raises(BadData, match="the rows of recipe churn lie in Redis; give the URL of one"):
        read_rows(changed(CHURN, redis), None, Journal())
