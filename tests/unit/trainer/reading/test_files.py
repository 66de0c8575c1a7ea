"""Rows of CSV and Parquet files: the view's fields name the columns, and a row is what its hash would be."""

import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from models.assembly import Plan
from models.recipe import Recipe
from tests.unit.trainer.reading.written import (
    CHURN,
    CHURN_CSV,
    IMAGES,
    WALKS,
    changed,
    csv,
    parquet,
    read,
    values,
)
from trainer.errors import TooManyBadRows, TooMuchData
from trainer.reading import filling
from trainer.table import Table

IN_PARQUET = ("source: csv, path: churn.csv", "source: parquet, path: churn.parquet")


def test_a_row_of_a_csv_file_has_the_key_that_its_columns_fill(tmp_path: Path) -> None:
    csv(tmp_path)

    table = read(Recipe.parse(CHURN), tmp_path)

    assert table.keys == ("customer:7", "customer:8", "customer:9")
    assert values(table) == [[41, 0], [20.5, 1], [10, 0]]
    assert table.inputs["x"].x.dtype == np.float32
    assert table.targets.tolist() == [0, 1, 1]
    assert table.targets.dtype == np.int64


def test_decimal_keys_keep_all_of_their_digits(tmp_path: Path) -> None:
    large = 2**53
    columns = {
        "id": pa.array([Decimal(large), Decimal(large + 1), Decimal("7.50")], pa.decimal128(20, 2)),
        "age": pa.array([Decimal("41.00"), Decimal("20.50"), None]),
        "plan": ["free", "paid", "free"],
        "left": pa.array([Decimal("0.00"), Decimal("1.00"), Decimal("1.00")]),
    }
    parquet(tmp_path, columns, "churn.parquet")

    table = read(
        changed(
            CHURN,
            IN_PARQUET,
            ("[age", "[{name: age, default: -1}"),
        ),
        tmp_path,
    )

    assert table.keys == (f"customer:{large}", f"customer:{large + 1}", "customer:7.5")
    assert values(table) == [[41, 0], [20.5, 1], [-1, 0]]
    assert table.targets.tolist() == [0, 1, 1]


def test_sequences_that_are_all_at_fault_are_told(tmp_path: Path) -> None:
    parquet(tmp_path, {"x": [[1.0], [1.0, 2.0, 3.0]], "y": [0.0, 1.0]}, "walks.parquet")

    with pytest.raises(TooManyBadRows, match=r"2 of 2 rows cannot be used \(2 wrong_length\)"):
        read(Recipe.parse(WALKS), tmp_path)


def test_without_a_column_for_it_a_row_s_key_is_its_number(tmp_path: Path) -> None:
    csv(tmp_path)

    table = read(changed(CHURN, ("customer:{id}", "customer:{nr}")), tmp_path)

    assert table.keys == ("customer:1", "customer:2", "customer:3")


@pytest.mark.parametrize(
    ("old", "new", "content"),
    [
        ("path: churn.csv", "path: churn.csv, separator: ';'", CHURN_CSV.replace(",", ";")),
        ("path: churn.csv", 'path: churn.csv, separator: "\\t"', CHURN_CSV.replace(",", "\t")),
        ("path: churn.csv", "path: churn.csv", CHURN_CSV.replace("paid", '"paid"').replace("\n", "\r\n")),
        ("path: churn.csv", "path: churn.csv", "\ufeff" + CHURN_CSV),
    ],
)
def test_csv_is_read_as_it_is_written_elsewhere(tmp_path: Path, old: str, new: str, content: str) -> None:
    (tmp_path / "churn.csv").write_bytes(content.encode())

    assert values(read(changed(CHURN, (old, new)), tmp_path)) == [[41, 0], [20.5, 1], [10, 0]]


def test_a_packed_csv_file_is_unpacked_as_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "churn.csv.gz").write_bytes(gzip.compress(CHURN_CSV.encode()))

    assert len(read(changed(CHURN, ("path: churn.csv", "path: churn.csv.gz")), tmp_path)) == 3


def test_an_empty_cell_is_the_field_s_default(tmp_path: Path) -> None:
    csv(tmp_path, 'id,age,plan,left\n7,,free,0\n8,NA,"",1\n')
    recipe = changed(
        CHURN,
        ("[age, {name: plan, categories: [free, paid]}]",
         "[{name: age, default: -1}, {name: plan, categories: [free, paid], default: paid}]"),
        ("path: churn.csv", "path: churn.csv, missing: [NA]"),
    )  # fmt: skip

    assert values(read(recipe, tmp_path)) == [[-1, 0], [-1, 1]]


def test_stand_ins_are_counted_of_the_rows_that_can_be_used(tmp_path: Path) -> None:
    csv(tmp_path, "id,age,plan,left\n7,,free,0\n8,3,,1\n9,,free,?\n10,,free,1\n")
    recipe = changed(
        CHURN,
        ("[age, {name: plan, categories: [free, paid]}]",
         "[{name: age, default: -1}, {name: plan, categories: [free, paid], default: paid}]"),
        ("path: churn.csv", "path: churn.csv, max_bad_share: 0.5"),
    )  # fmt: skip

    assert read(recipe, tmp_path).filled == {"age": 2, "plan": 1}


def test_an_unknown_category_counts_as_the_one_the_view_says(tmp_path: Path) -> None:
    csv(tmp_path, CHURN_CSV.replace("paid", "gold"))

    assert values(read(changed(CHURN, ("[free, paid]", "[free, other], unknown: other")), tmp_path))[1] == [
        20.5,
        1,
    ]


def test_texts_are_numbers_where_the_server_takes_them_for_one(tmp_path: Path) -> None:
    csv(tmp_path, "id,age,plan,left\n7, 41 ,free,0\n8,+20.5,paid,1\n9,-.5E1,free,1\n")

    assert values(read(Recipe.parse(CHURN), tmp_path)) == [[41, 0], [20.5, 1], [-5, 0]]


def test_unusable_rows_are_counted_and_left_out_within_their_share(tmp_path: Path) -> None:
    csv(tmp_path, CHURN_CSV + "10,much,free,0\n11,5,gold,0\n12,5,free,2\n13,,free,1\n")

    table = read(changed(CHURN, ("path: churn.csv", "path: churn.csv, max_bad_share: 0.6")), tmp_path)

    assert table.keys == ("customer:7", "customer:8", "customer:9")
    assert values(table) == [[41, 0], [20.5, 1], [10, 0]]
    assert table.skipped == {"unlabelled_row": 1, "not_a_number": 1, "cell_empty": 1, "unknown_category": 1}


def test_only_the_first_rows_are_read_when_the_recipe_says_so(tmp_path: Path) -> None:
    csv(tmp_path)

    assert len(read(changed(CHURN, ("path: churn.csv", "path: churn.csv, max_rows: 2")), tmp_path)) == 2


def test_parquet_columns_of_every_kind_of_number_are_read(tmp_path: Path) -> None:
    columns = {
        "a": pa.array([1, 2], pa.int8()),
        "b": pa.array([1.5, 2.5], pa.float16()),
        "c": pa.array([True, False]),
        "d": pa.array([Decimal("1.25"), Decimal("2.50")]),
        "e": pa.array(["3", "4"]).dictionary_encode(),
        "f": pa.array([2**40, 1], pa.int64()),
        "y": pa.array([1.5, 2.0]),
    }
    parquet(tmp_path, columns, "walks.parquet")
    recipe = changed(
        WALKS,
        ("lengths: x_length, ", ""),
        ("as: list, shape: [2], last: 3", "as: hash, fields: [a, b, c, d, e, f]"),
        ("{gru: 4}", "{linear: 4}"),
    )  # fmt: skip

    table = read(recipe, tmp_path)

    assert values(table) == [[1, 1.5, 1, 1.25, 3, 2**40], [2, 2.5, 0, 2.5, 4, 1]]
    assert table.targets.tolist() == [1.5, 2]
    assert table.targets.dtype == np.float32


@pytest.mark.parametrize("target", [pa.array([0, 1]), pa.array([0.0, 1.0]), pa.array(["0", "1"])])
def test_a_label_is_the_same_as_number_and_as_text(tmp_path: Path, target: pa.Array) -> None:
    pixels = pa.array([[1, 2, 3, 4], [5, 6, 7, 8]], pa.list_(pa.uint8()))
    parquet(tmp_path, {"image": pixels, "y": target}, "images.parquet")

    assert read(Recipe.parse(IMAGES), tmp_path).targets.tolist() == [0, 1]


@pytest.mark.parametrize(
    "pixels",
    [
        pa.array([[1, 2, 3, 4], [5, 6, 7, 8]], pa.list_(pa.int64())),
        pa.array([[1, 2, 3, 4], [5, 6, 7, 8]], pa.list_(pa.float32(), 4)),
        pa.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], pa.list_(pa.list_(pa.uint8()))),
        pa.array([bytes([1, 2, 3, 4]), bytes([5, 6, 7, 8])]),
        pa.array([bytes([1, 2, 3, 4]), bytes([5, 6, 7, 8])], pa.binary(4)),
    ],
)
def test_a_vector_is_a_column_of_lists_or_of_raw_bytes(tmp_path: Path, pixels: pa.Array) -> None:
    parquet(tmp_path, {"image": pixels, "y": ["0", "1"]}, "images.parquet")

    assert values(read(Recipe.parse(IMAGES), tmp_path), "image") == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


@pytest.mark.parametrize("columns", ['"p*"', "[p0, p1, p2, p3]"])
def test_a_vector_is_a_number_a_column_where_the_recipe_says_which(tmp_path: Path, columns: str) -> None:
    csv(tmp_path, "p0,p1,p2,p3,y\n1,2,3,4,0\n5,6,7,8,1\n", "images.csv")
    recipe = changed(
        IMAGES,
        ("source: parquet, path: images.parquet", "source: csv, path: images.csv"),
        ("images.csv", f'images.csv, columns: {{"image:{{id}}": {columns}}}'),
    )  # fmt: skip

    assert values(read(recipe, tmp_path), "image") == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]


def test_a_column_of_any_name_may_hold_a_vector(tmp_path: Path) -> None:
    parquet(tmp_path, {"p": [[1, 2, 3, 4]] * 2, "y": [0, 1]}, "images.parquet")

    recipe = changed(IMAGES, ("path: images.parquet", 'path: images.parquet, columns: {"image:{id}": p}'))

    assert values(read(recipe, tmp_path), "image")[0] == [[1, 2], [3, 4]]


STEPS = [[1, 2], [1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4]]


def test_a_list_of_free_length_keeps_its_last_steps(tmp_path: Path) -> None:
    parquet(tmp_path, {"x": pa.array(STEPS), "y": [1.0, 2.0, 3.0]}, "walks.parquet")

    table = read(Recipe.parse(WALKS), tmp_path)

    assert table.inputs["x"].lengths is not None
    assert table.inputs["x"].lengths.tolist() == [1, 3, 2]
    assert values(table) == [
        [[1, 2], [0, 0], [0, 0]],
        [[3, 4], [5, 6], [7, 8]],
        [[1, 2], [3, 4], [0, 0]],
    ]


@pytest.mark.parametrize(
    ("pad", "first"), [("left", [[9, 9], [9, 9], [1, 2]]), ("right", [[1, 2], [9, 9], [9, 9]])]
)
def test_a_list_is_padded_as_the_view_says(tmp_path: Path, pad: str, first: list[list[int]]) -> None:
    parquet(tmp_path, {"x": pa.array(STEPS), "y": [1.0, 2.0, 3.0]}, "walks.parquet")
    recipe = changed(WALKS, ("lengths: x_length, ", ""), ("last: 3", f"last: 3, pad: {pad}, pad_value: 9"))

    assert values(read(recipe, tmp_path))[:2] == [first, [[3, 4], [5, 6], [7, 8]]]


@pytest.mark.parametrize(("pad", "at"), [("left", 2), ("right", 0)])
def test_a_list_that_is_not_there_is_its_default(tmp_path: Path, pad: str, at: int) -> None:
    parquet(tmp_path, {"x": pa.array([None, [], [1.0, 2.0]]), "y": [1.0, 2.0, 3.0]}, "walks.parquet")
    free = changed(WALKS, ("last: 3", "last: 3, default: 7"))
    padded = changed(WALKS, ("lengths: x_length, ", ""), ("last: 3", f"last: 3, pad: {pad}, default: 7"))

    assert values(read(free, tmp_path))[0][0] == [7, 7]
    assert values(read(padded, tmp_path))[0][at] == [7, 7]


def test_a_vector_that_is_not_there_is_its_default(tmp_path: Path) -> None:
    parquet(tmp_path, {"image": [[1, 2, 3, 4], None], "y": [0, 1]}, "images.parquet")

    table = read(changed(IMAGES, ("shape: [2, 2]", "shape: [2, 2], default: 3")), tmp_path)

    assert values(table, "image") == [[[1, 2], [3, 4]], [[3, 3], [3, 3]]]


def test_what_a_request_will_carry_is_a_column_too(tmp_path: Path) -> None:
    parquet(
        tmp_path, {"hour": [3, 4], "place": [[1.0, 2.0], [3.0, 4.0]], "left": ["0", "1"]}, "churn.parquet"
    )
    recipe = changed(
        CHURN,
        IN_PARQUET,
        ('{key: "customer:{id}", as: hash, fields: [age, {name: plan, categories: [free, paid]}]}',
         "{inline: true, fields: [hour, {name: place, shape: [2]}]}"),
    )  # fmt: skip

    table = read(recipe, tmp_path)

    assert values(table) == [[3, 1, 2], [4, 3, 4]]
    assert table.keys == ("row:1", "row:2")


def test_lists_side_by_side_are_joined_step_by_step(tmp_path: Path) -> None:
    two = {"a": [[1, 2], [3]], "b": [[4, 5], [6]], "y": [1.0, 2.0]}
    parquet(tmp_path, two, "walks.parquet")
    sources = [f'{{key: "{one}:{{id}}", as: list, shape: [1], last: 3}}' for one in ("a", "b")]
    recipe = changed(
        WALKS,
        ('[{key: "walk:{id}", as: list, shape: [2], last: 3}]', f"[{', '.join(sources)}]"),
        ("path: walks.parquet", 'path: walks.parquet, columns: {"a:{id}": a, "b:{id}": b}'),
    )  # fmt: skip

    assert values(read(recipe, tmp_path)) == [[[1, 4], [2, 5]], [[3, 6], [0, 0]]]
    parquet(tmp_path, two | {"b": [[4, 5, 6], [6]]}, "walks.parquet")
    with pytest.raises(TooManyBadRows, match=r"row 1: the lists of input 'x' have 2, 3 steps"):
        read(recipe, tmp_path)


def test_a_file_of_several_batches_is_read_in_its_order(tmp_path: Path) -> None:
    rows = 40_000
    numbers = np.arange(rows)
    parquet(
        tmp_path, {"x": pa.array([[n, -n] for n in numbers.tolist()]), "y": numbers * 0.5}, "walks.parquet"
    )
    recipe = changed(WALKS, ("lengths: x_length, ", ""), ("last: 3", "last: 1, pad: left"))

    table = read(recipe, tmp_path)

    assert len(table) == rows
    assert np.array_equal(table.inputs["x"].x[:, 0, 0], numbers.astype(np.float32))
    assert table.keys[-1] == f"walk:{rows}"


def test_a_table_over_the_limit_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    csv(tmp_path)
    monkeypatch.setattr(filling, "TABLE_LIMIT_BYTES", 20)

    with pytest.raises(
        TooMuchData, match=r"3 rows of 8 bytes are over 20 bytes; set data\.max_rows to 2 or less"
    ):
        read(Recipe.parse(CHURN), tmp_path)


def test_times_of_parquet_part_rows_as_times_of_text_do(tmp_path: Path) -> None:
    when = [datetime(2026, 11, day, tzinfo=UTC) for day in (3, 1)]
    recipe = changed(CHURN, ("labels:", "split: {time: when}\nlabels:"))
    csv(
        tmp_path,
        "id,age,plan,left,when\n" + "".join(f"{n},1,free,0,{t.isoformat()}\n" for n, t in enumerate(when)),
    )
    texts = read(recipe, tmp_path)
    columns = {"id": [0, 1], "age": [1, 1], "plan": ["free"] * 2, "left": [0, 0], "when": when}
    parquet(tmp_path, columns, "churn.parquet")

    times = read(
        changed(
            CHURN,
            ("labels:", "split: {time: when}\nlabels:"),
            IN_PARQUET,
        ),
        tmp_path,
    )

    assert texts.marks is not None
    assert times.marks is not None
    assert texts.marks.tolist() == times.marks.tolist() == [one.timestamp() for one in when]


def test_a_cell_means_what_the_same_text_in_a_hash_would(tmp_path: Path) -> None:
    """Generated texts: whatever the server takes for a number, a file's cell is, and the same one."""
    texts = ["1", "-0.1", "1e-3", " 5 ", "+7", "0.30000000000000004", "16777217", "1E+2", ".5", "5."]
    csv(tmp_path, "id,age,plan,left\n" + "".join(f"{n},{text},free,0\n" for n, text in enumerate(texts)))
    recipe = Recipe.parse(CHURN)

    table: Table = read(recipe, tmp_path)

    plan = Plan(recipe.features)
    prepared = plan.prepare_keys(table.keys)
    (group,) = plan.assemble(prepared, [[text.encode(), b"free"] for text in texts]).groups
    assert np.array_equal(table.inputs["x"].x, group.feeds["x"])


def test_several_columns_are_several_labels_or_values(tmp_path: Path) -> None:
    csv(tmp_path, "a,sport,news,tags\n1,1,0,x|y\n2,0,1,y\n3,0,0,\n")
    view = ("[age, {name: plan, categories: [free, paid]}]", "[a]")
    labels = ('labels: {"0": stays, "1": leaves}\n', "")
    fields = changed(
        CHURN, view, labels, ("classification", "multilabel"), ("{column: left}", "{columns: [sport, news]}")
    )
    values = changed(
        CHURN, view, labels, ("classification", "regression"), ("{column: left}", "{columns: [sport, news]}")
    )

    assert fields.classes == ("sport", "news")
    assert read(fields, tmp_path).targets.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert read(values, tmp_path).targets.tolist() == [[1, 0], [0, 1], [0, 0]]


def test_one_column_may_hold_several_labels(tmp_path: Path) -> None:
    csv(tmp_path, "a,tags\n1,x|y\n2,y\n3,z\n")
    recipe = changed(
        CHURN,
        ("[age, {name: plan, categories: [free, paid]}]", "[a]"),
        ('{"0": stays, "1": leaves}', "[x, y]"),
        ("classification", "multilabel"),
        ("{column: left}", '{column: tags, separator: "|"}, max_bad_share: 0.5'),
    )

    table = read(recipe, tmp_path)

    assert table.targets.tolist() == [[1, 1], [0, 1]]
    assert table.skipped == {"unlabelled_row": 1}


def test_an_anomaly_score_needs_no_target(tmp_path: Path) -> None:
    csv(tmp_path)
    recipe = changed(
        CHURN,
        ('labels: {"0": stays, "1": leaves}\n', ""),
        ("classification", "anomaly"),
        (", target: {column: left}", ""),
    )

    table = read(recipe, tmp_path)

    assert (len(table), table.targets.tolist()) == (3, [0, 0, 0])
    assert recipe.data.dataset is None
