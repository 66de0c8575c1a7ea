"""Recipes drafted from files: what is kept, what is left out and why; each reads, and trains as it is."""

import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.number_marks import CURE
from models.recipe import Recipe
from models.recipe_changes import changed
from models.sources import HashSource, ListSource, VectorSource
from trainer.drafting.draft import drafted
from trainer.drafting.look import look_at_file
from trainer.drafting.recipe_text import recipe_text
from trainer.errors import BadData
from trainer.run import Place, train

COUNT = 60
Y = [("no", "yes")[row % 2] for row in range(COUNT)]


def draft(folder: Path, target: str = "y", **columns: Any) -> tuple[Recipe, str]:
    path = folder / "rows.parquet"
    pq.write_table(pa.table({"a": np.linspace(0, 1, COUNT), "y": Y, **columns}), path)
    return read_draft(path, target)


def read_draft(path: Path, target: str = "y") -> tuple[Recipe, str]:
    text = recipe_text(drafted(look_at_file(path, target, path.name.split(".")[0])))
    return Recipe.parse(text), text


def fields(recipe: Recipe) -> dict[str, Any]:
    (source,) = recipe.features.inputs[0].sources
    assert isinstance(source, HashSource)
    return {field.name: field for field in source.fields}


def test_a_text_is_a_label_and_a_number_of_many_values_a_value(tmp_path: Path) -> None:
    labelled, _ = draft(tmp_path)
    valued, _ = draft(tmp_path, "b", b=np.linspace(3, 9, COUNT))

    assert (labelled.task, labelled.classes) == ("classification", ("no", "yes"))
    assert (valued.task, valued.classes) == ("regression", ())
    assert sorted(fields(valued)) == ["a", "y"]


def test_a_number_of_few_values_is_a_label_in_its_order(tmp_path: Path) -> None:
    recipe, text = draft(tmp_path, "n", n=[(10, 2, 3)[row % 3] for row in range(COUNT)])

    assert recipe.classes == ("2", "3", "10")
    assert "if they are amounts, say regression" in text


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ([f"C{row}" for row in range(COUNT)], "it is free text, such as 'C0'"),
        ([f"{row}.5" for row in range(COUNT - 1)] + ["inf"], "it holds 'inf', which is no finite number"),
        (["1.5", *(f"{row},5" for row in range(1, COUNT))], f"it holds '1,5', which is no number; {CURE}"),
        ([f"{row % 20},5" for row in range(COUNT)], f"it holds '0,5', which is no number; {CURE}"),
        ([f"1,{row:03}.50" for row in range(COUNT)], f"it holds '1,000.50', which is no number; {CURE}"),
        ([f"{row} %" for row in range(COUNT)], f"it holds '0 %', which is no number; {CURE}"),
        (
            [f"{row}.5" for row in range(COUNT - 1)] + ["abc"],
            f"1 of its {COUNT} values is no number, such as 'abc'; correct that, or leave such a cell empty; codes are",
        ),
        (["short", "long" * 200] * (COUNT // 2), "it is free text, such as 'short'"),
        (["same"] * COUNT, "it is always same"),
        ([None] * COUNT, "it is empty"),
        ([f"2026-01-{row % 28 + 1:02}" for row in range(COUNT)], "it is a time"),
        ([f"{row % 12 + 1}.1.2026" for row in range(COUNT)], "it is a time"),
        ([f"12/{row % 12 + 1:02}/26 10:30" for row in range(COUNT)], "it is a time"),
        (pa.array(range(COUNT), pa.timestamp("ns")), "it is a time"),
        (range(5, 5 + COUNT), "it is the key of the row"),
        (pa.array([[b"x"]] * COUNT), "it is list<"),
    ],
)
def test_a_column_that_teaches_nothing_is_left_out_with_its_reason(
    tmp_path: Path, column: Any, reason: str
) -> None:
    recipe, text = draft(
        tmp_path, z=pa.array([None] * COUNT, pa.string()) if column == [None] * COUNT else column
    )

    assert list(fields(recipe)) == ["a"]
    assert f"#   z: {reason}" in text


def test_names_of_rows_of_which_some_are_there_twice_are_no_feature(tmp_path: Path) -> None:
    recipe, text = draft(tmp_path, id=[*range(7, 4 + COUNT), 7, 8, 9])

    assert list(fields(recipe)) == ["a"]
    assert (
        f"#   id: it names the row, though 3 of {COUNT} rows have the name of another one; take out" in text
    )
    assert "keep it in one part: split: {group: id}" in text


def test_codes_of_which_many_are_texts_are_categories(tmp_path: Path) -> None:
    recipe, _ = draft(tmp_path, z=[f"{row % 12}" if row % 4 else "x" for row in range(COUNT)])

    assert fields(recipe)["z"].categories[-1] == "x"


def test_a_target_of_numbers_with_a_text_among_them_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadData, match=f"'z': 1 of its {COUNT} values is no number, such as 'abc'; correct that"
    ):
        draft(tmp_path, "z", z=["abc", *(f"{row % 20}.5" for row in range(COUNT - 1))])


def test_a_text_that_is_another_in_every_row_may_be_their_key(tmp_path: Path) -> None:
    hint = "; if it names the rows, let it be their key: rows:{z}"
    _, named = draft(tmp_path, z=[f"C{row}" for row in range(COUNT)])
    _, alike = draft(tmp_path, z=[f"C{row // 2}" for row in range(COUNT)])
    _, parted = draft(tmp_path, z=[f"C:{row}" for row in range(COUNT)])

    assert f"#   z: it is free text, such as 'C0'{hint}" in named
    assert hint not in alike
    assert hint not in parted


def test_an_answer_that_scoring_wrote_into_the_rows_is_no_feature(tmp_path: Path) -> None:
    some = np.arange(COUNT)
    answers: dict[str, Any] = {
        "churn": Y,
        "churn_probability": some / 99,
        "churn_version": some % 3 + 1,
        "churn_time": 1.79e9 + some,
    }
    own: dict[str, Any] = {"app": some % 7, "app_version": some % 3 + 1, "app_time": some % 24}

    recipe, text = draft(tmp_path, **answers, **own)

    assert sorted(fields(recipe)) == sorted(["a", *own])
    for name in answers:
        assert f"#   {name}: it is an answer that `insitu score --to-field churn` wrote" in text


def test_a_packed_file_is_parted_by_what_its_first_line_has_most_of(tmp_path: Path) -> None:
    lines = "".join(f"{row}.5;{row % 7};{Y[row]}\n" for row in range(COUNT))
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(f"a;b;y\n{lines}".encode()))

    recipe, text = read_draft(tmp_path / "rows.csv.gz")

    assert list(fields(recipe)) == ["a", "b"]
    assert 'separator: ";"' in text or "separator: ;" in text


def test_lists_of_lists_are_steps_or_squares(tmp_path: Path) -> None:
    steps = [[[row, 1.0], [2.0, 3.0], [4.0, 5.0]] for row in range(COUNT)]
    ragged = [steps[row][: row % 4] for row in range(COUNT)]
    square = [[[row, 1.0], [2.0, 3.0]] for row in range(COUNT)]
    uneven = [[[row], [2.0, 3.0]] for row in range(COUNT)]

    recipe, text = draft(tmp_path, steps=steps, ragged=ragged, square=square, uneven=uneven)

    sources = {one.name: one.sources[0] for one in recipe.features.inputs}
    assert sorted(sources) == ["ragged", "square", "steps", "x"]
    shapes = {
        name: source.shape
        for name, source in sources.items()
        if isinstance(source, VectorSource | ListSource)
    }
    assert shapes == {"steps": (2,), "ragged": (2,), "square": (2, 2)}
    assert "#   uneven: it is list<" in text
    assert "15 rows have no ragged" in text


def test_decimal_labels_are_written_as_they_are_read(tmp_path: Path) -> None:
    recipe, _ = draft(tmp_path, "rate", rate=[Decimal(row % 2) / 2 + Decimal("0.00") for row in range(COUNT)])
    labelled, _ = draft(tmp_path, "rate", rate=[Decimal(f"{row % 2}.00") for row in range(COUNT)])

    assert recipe.task == "regression"
    assert labelled.classes == ("0", "1")


def test_numbers_with_spaces_around_them_are_numbers(tmp_path: Path) -> None:
    recipe, _ = draft(tmp_path, z=[f" {row}.5 " for row in range(COUNT)])

    assert list(fields(recipe)) == ["a", "z"]
    assert fields(recipe)["z"].categories == ()


def test_a_target_of_numbers_with_marks_is_no_label(tmp_path: Path) -> None:
    with pytest.raises(
        BadData, match=r"'price' holds '0,5', which is no number; write it with a decimal point"
    ):
        draft(tmp_path, "price", price=[f"{row},5" for row in range(COUNT)])


def test_a_column_that_names_rows_makes_their_key(tmp_path: Path) -> None:
    named, _ = draft(tmp_path, patient_id=[f"P{row}" for row in range(COUNT)])
    numbered, _ = draft(tmp_path, id=[1, *range(1, COUNT)])

    assert named.rows.text == "rows:{patient_id}"
    assert numbered.rows.text == "rows:{row}"


def test_distinct_numbers_without_a_gap_are_no_names_of_rows(tmp_path: Path) -> None:
    ages = (np.arange(COUNT) * 7 % COUNT + 18).tolist()

    aged, _ = draft(tmp_path, age=ages)
    numbered, text = draft(tmp_path, member=list(range(500, 500 + COUNT)))

    assert "age" in fields(aged)
    assert "member" not in fields(numbered)
    assert "rows:{member}" in text


def test_what_is_missing_has_a_stand_in_that_no_cell_holds(tmp_path: Path) -> None:
    gaps = [None if row % 5 == 0 else row * 1.5 - 20 for row in range(COUNT)]
    plans = [None if row % 7 == 0 else ("free", "paid")[row % 2] for row in range(COUNT)]

    recipe, text = draft(tmp_path, gaps=gaps, plans=plans)

    assert fields(recipe)["gaps"].default == -20
    assert (fields(recipe)["plans"].default, fields(recipe)["plans"].categories) == (
        "missing",
        ("free", "paid", "missing"),
    )
    assert "columns: {gaps: [missing, standardize]}" in text
    assert "missing in 12 of 60" in text


def test_many_categories_are_embedded(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("town,y\n" + "".join(f"t{row % 24},{Y[row % 7]}\n" for row in range(240)))

    recipe, text = read_draft(path)

    assert len(fields(recipe)["town"].categories) == 24
    assert "columns: {town: {embedding: 8}}" in text


def test_labels_of_too_few_rows_are_left_out_and_their_rows_allowed_for(tmp_path: Path) -> None:
    recipe, text = draft(tmp_path, y=[None, None, "rare", *Y[3:]])

    assert recipe.classes == ("no", "yes")
    assert recipe.data.max_bad_share == 0.05
    assert "2 rows have no y; too few rows have rare (1)" in text


def test_words_for_no_value_are_found(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a;y\n" + "".join(f"{'NA' if row % 6 == 0 else row};{Y[row]}\n" for row in range(COUNT)))

    recipe, text = read_draft(path)

    assert "missing: [NA]" in text
    assert 'separator: ";"' in text
    assert fields(recipe)["a"].default == -1


@pytest.mark.parametrize(
    ("array", "kind", "layers"),
    [
        (np.zeros((COUNT, 8, 8), np.uint8), VectorSource, "preset: cnn"),
        (np.zeros((COUNT, 3, 8, 8), np.uint8), VectorSource, "preset: cnn"),
        (
            np.zeros((COUNT, 8, 8, 3), np.uint8),
            VectorSource,
            "put the channels first, in the file: x = np.moveaxis",
        ),
        (np.zeros((COUNT, 2, 2), np.float32), VectorSource, "- flatten"),
        (np.zeros((COUNT, 5), np.float32), VectorSource, "- standardize"),
        (np.zeros((COUNT, 9, 2), np.float32), ListSource, "preset: gru"),
    ],
)
def test_an_array_has_a_network_of_its_kind(tmp_path: Path, array: Any, kind: type, layers: str) -> None:
    np.savez(tmp_path / "rows.npz", image=array, y=Y)

    recipe, text = read_draft(tmp_path / "rows.npz")

    assert isinstance(recipe.features.inputs[0].sources[0], kind)
    assert layers in text


@pytest.mark.parametrize(
    ("columns", "target", "said"),
    [
        ({}, "yy", "has no column 'yy'; did you mean 'y'?"),
        ({"v": [[1.0]] * COUNT}, "v", "a target is a number or a text"),
        (
            {"y": [f"t{row}" for row in range(COUNT)]},
            "y",
            "has 0 labels .*; 't0' is the first that is no number",
        ),
        (
            {"y": ["a", "b" * 600] * (COUNT // 2)},
            "y",
            "holds a text of 600 characters; a label has 512 at most",
        ),
        (
            {f"g{at}": [float(at)] * (COUNT - 1) + [0.5] for at in range(4097)},
            "y",
            "there are 4098 columns to learn from, .* put the numbers of a row into a column of lists",
        ),
        (
            {"y": ["same"] * COUNT},
            "y",
            "'y' has 1 label that 3 rows or more have, 'same'; two labels are needed to tell apart",
        ),
        (
            {"y": ["a"] * 30 + ["b"] + [None] * (COUNT - 31)},
            "y",
            r"'y' has 1 label that 3 rows or more have, 'a'; 29 rows have no y; too few rows have b \(1\); two labels",
        ),
        ({"y": ["a"] * 5 + [None] * (COUNT - 5)}, "y", "5 rows have a value of 'y', 10 are needed"),
        ({"a": ["same"] * COUNT}, "y", r"nothing to learn from beside the target \(a: it is always same\)"),
    ],
)
def test_rows_that_nothing_can_be_drafted_from_say_why(
    tmp_path: Path, columns: dict[str, Any], target: str, said: str
) -> None:
    with pytest.raises(BadData, match=said.replace("?", r"\?")):
        draft(tmp_path, target, **columns)


def test_the_value_that_makes_texts_of_numbers_is_named(tmp_path: Path) -> None:
    rows = [f"{row}.5,{row}.25" for row in range(300)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,y", *rows, "1,inf", ""]))

    with pytest.raises(
        BadData, match="holds 301 different texts in 301 rows, 'inf' the first that is no number"
    ):
        read_draft(tmp_path / "rows.csv")


def test_a_column_without_a_name_is_left_out(tmp_path: Path) -> None:
    rows = [f"{row % 7},{row / 9},{Y[row % COUNT]}" for row in range(COUNT)]
    (tmp_path / "rows.csv").write_text("\n".join([",a,y", *rows, ""]))

    recipe, text = read_draft(tmp_path / "rows.csv")

    assert list(fields(recipe)) == ["a"]
    assert "#   : it has no name" in text


def test_rows_without_numbers_in_an_array_are_allowed_and_left_out(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(COUNT, 3))
    x[3, 1], x[7, 0] = np.nan, np.inf
    np.savez(tmp_path / "rows.npz", x=x, y=Y)

    recipe, text = read_draft(tmp_path / "rows.npz")

    assert "max_bad_share: 0.034" in text
    assert "# 2 rows have no x, or one of no finite numbers" in text
    made = train(changed(recipe, {"training.epochs": 1}, "test"), None, place=Place(tmp_path))
    assert made.outcome.rows.skipped == {"not_a_number": 2}


def test_rows_without_a_list_are_allowed_beside_those_without_a_target(tmp_path: Path) -> None:
    lists = [None if row % 10 == 0 else [1.0 * row] * (row % 4 + 1) for row in range(COUNT)]

    recipe, text = draft(tmp_path, y=[None, *Y[1:]], walk=lists)

    assert recipe.data.max_bad_share == pytest.approx(0.117)
    assert "# 1 rows have no y; 6 rows have no walk" in text


def test_a_path_that_is_no_text_is_not_blamed_on_what_the_file_holds(tmp_path: Path) -> None:
    folder = Path(f"{tmp_path}/caf\udce9")
    folder.mkdir()
    (folder / "rows.csv").write_text("a,y\n" + "1.5,u\n2.5,v\n" * 20)

    with pytest.raises(BadData, match="its name is no text in UTF-8; rename the file, or its folder"):
        look_at_file(folder / "rows.csv", "y", "rows")


def test_a_file_of_another_kind_and_one_without_rows_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.xlsx").write_bytes(b"x")
    (tmp_path / "rows.csv").write_text("a,y\n")

    with pytest.raises(BadData, match=r"is of no kind that is read by its name; there are \.csv"):
        read_draft(tmp_path / "rows.xlsx")
    with pytest.raises(BadData, match=r"rows\.csv has no rows"):
        read_draft(tmp_path / "rows.csv")


def test_a_draft_of_fields_lists_and_an_image_trains_as_it_is(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    recipe, _ = draft(
        tmp_path,
        plan=[("a", "b", None)[row % 3] for row in range(COUNT)],
        steps=[[float(row % 2)] * (row % 4 + 1) for row in range(COUNT)],
        point=random.normal(size=(COUNT, 3)).tolist(),
    )
    quick = recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": 3})})

    result = train(quick, None, place=Place(tmp_path))

    assert [one.name for one in recipe.features.inputs] == ["x", "steps", "point"]
    assert result.outcome.exported.difference < 1e-4
