"""Rows of files as the keys that their view reads: what is loaded reads back as what was learned from."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.assembly import Plan
from models.recipe import Recipe
from tests.unit.trainer.reading.written import CHURN, IMAGES, WALKS, changed, csv, parquet, read
from trainer.datasets.dataset import JsonDocument, Stored
from trainer.errors import BadData
from trainer.reading.stored import dataset_of

PIXELS = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)


def loaded(recipe: Recipe, folder: Path) -> dict[str, Any]:
    found = dataset_of(recipe, folder)
    every = [stored for row in found.rows() for stored in row]
    assert every == [stored for row in found.rows() for stored in row]
    return {stored.key: stored.value for stored in every}


def reply(command: tuple[Any, ...], keys: dict[str, Any]) -> Any:
    """What Redis would say of a key as it would be loaded."""
    value = keys.get(command[1])
    if command[0] == "HMGET":
        return [None if value is None or one not in value else value[one].encode() for one in command[2:]]
    return list(value) if isinstance(value, tuple) else value


def check_read_back(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Every row is read from the loaded keys as it was read from the file."""
    keys, table, plan = loaded(recipe, folder), read(recipe, folder), Plan(recipe.features)
    prepared = plan.prepare_keys(table.keys)
    (group,) = plan.assemble(prepared, [reply(command, keys) for command in prepared.commands]).groups
    for name, values in table.inputs.items():
        assert np.array_equal(group.feeds[name], values.x)
    return keys


def test_a_hash_holds_the_texts_of_its_row_and_the_target(tmp_path: Path) -> None:
    csv(tmp_path)

    keys = check_read_back(Recipe.parse(CHURN), tmp_path)

    assert keys["customer:8"] == {"age": "20.5", "plan": "paid", "left": "1"}


def test_a_cell_without_a_value_is_a_field_that_is_not_there(tmp_path: Path) -> None:
    csv(tmp_path, "id,age,plan,left\n7,,free,0\n8,NA,,1\n")
    view = "[{name: age, default: 0}, {name: plan, categories: [free, paid], default: paid}]"
    recipe = changed(
        CHURN,
        ("[age, {name: plan, categories: [free, paid]}]", view),
        ("path: churn.csv", "path: churn.csv, missing: [NA]"),
    )

    keys = check_read_back(recipe, tmp_path)

    assert keys == {"customer:7": {"plan": "free", "left": "0"}, "customer:8": {"left": "1"}}


@pytest.mark.parametrize("pixels", [PIXELS.reshape(2, 4).tolist(), [one.tobytes() for one in PIXELS]])
def test_a_vector_is_its_raw_bytes(tmp_path: Path, pixels: list[Any]) -> None:
    parquet(tmp_path, {"image": pa.array(pixels), "y": [0, 1]}, "images.parquet")

    keys = check_read_back(Recipe.parse(IMAGES), tmp_path)

    assert keys == {"image:1": bytes([0, 1, 2, 3]), "image:2": bytes([4, 5, 6, 7])}


def test_a_vector_of_several_columns_or_of_an_array_is_the_same(tmp_path: Path) -> None:
    csv(tmp_path, "p0,p1,p2,p3,y\n0,1,2,3,0\n4,5,6,7,1\n", "images.csv")
    np.savez(tmp_path / "images.npz", image=PIXELS, y=[0, 1])
    source = "source: parquet, path: images.parquet"
    spread = (source, 'source: csv, path: images.csv, columns: {"image:{id}": "p*"}')

    assert check_read_back(changed(IMAGES, spread), tmp_path) == check_read_back(
        changed(IMAGES, (source, "source: numpy, path: images.npz")), tmp_path
    )


@pytest.mark.parametrize("encoding", ["raw", "text"])
def test_a_list_is_an_entry_a_step(tmp_path: Path, encoding: str) -> None:
    parquet(tmp_path, {"x": pa.array([[1.5, 2], [1, 2, 3, 4]]), "y": [1.0, 2.0]}, "walks.parquet")
    recipe = changed(WALKS, ("last: 3", f"last: 3, encoding: {encoding}"))

    keys = check_read_back(recipe, tmp_path)

    first = np.array([1.5, 2], "<f4").tobytes() if encoding == "raw" else b"1.5,2.0"
    assert keys["walk:1"] == (first,)
    assert len(keys["walk:2"]) == 2


def test_sequences_of_an_array_are_as_long_as_they_say(tmp_path: Path) -> None:
    np.savez(tmp_path / "walks.npz", x=np.ones((2, 3, 2)), x_length=[3, 1], y=[1.0, 2.0])
    recipe = changed(WALKS, ("source: parquet, path: walks.parquet", "source: numpy, path: walks.npz"))

    assert [len(value) for value in loaded(recipe, tmp_path).values()] == [3, 1]


def test_the_fields_of_an_array_of_an_input_are_written_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "churn.npz", x=np.array([[41.5, 1.0], [20.0, 0.0]]), left=[0, 1])
    recipe = changed(CHURN, ("source: csv, path: churn.csv", "source: numpy, path: churn.npz"))

    keys = check_read_back(recipe, tmp_path)

    assert keys["customer:1"] == {"age": "41.5", "plan": "paid", "left": "0"}


def test_what_is_not_there_is_not_loaded(tmp_path: Path) -> None:
    parquet(tmp_path, {"image": [[1, 2, 3, 4], None], "y": [0, 1]}, "images.parquet")
    recipe = changed(IMAGES, ("shape: [2, 2]", "shape: [2, 2], default: 0"))

    assert list(loaded(recipe, tmp_path)) == ["image:1"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "as: hash, fields: [age",
            'as: json, fields: [{name: age, path: "$.all[*].age"}',
            "field 'age' is read at '$.all[*].age', which names no one place in a document",
        ),
        (
            "as: hash, fields: [age",
            'as: json, fields: [{name: age, path: "$.plan.age"}',
            "fields 'plan' and 'age' lie in one another in a document",
        ),
        ("as: hash, fields: [age", 'as: json, fields: [{name: age, path: "$"}', "is no member of a document"),
        ('key: "customer:{id}", as: hash', "inline: true", "reads no key, only what a request carries"),
        (
            "source: csv, path: churn.csv, target: {column: left}",
            'source: redis, match: "c:*", target: {key: "customer:{id}", field: left}',
            "lie in Redis already, at c:*",
        ),
    ],
)
def test_rows_that_no_key_can_take_are_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    csv(tmp_path)

    with pytest.raises(BadData) as caught:
        dataset_of(changed(CHURN, (old, new)), tmp_path)

    assert said in str(caught.value)


def test_a_key_that_a_row_cannot_make_is_named(tmp_path: Path) -> None:
    csv(tmp_path, "id,age,plan,left\n7,1,free,0\na:b,1,free,0\n")

    with pytest.raises(BadData, match="row 2: its columns make no key of"):
        list(dataset_of(Recipe.parse(CHURN), tmp_path).rows())


def test_only_as_many_rows_are_loaded_as_the_recipe_reads(tmp_path: Path) -> None:
    csv(tmp_path)

    found = dataset_of(changed(CHURN, ("path: churn.csv", "path: churn.csv, max_rows: 2")), tmp_path)

    assert (found.count, len(list(found.rows()))) == (2, 2)
    assert isinstance(next(iter(found.rows()))[0], Stored)


def test_a_series_is_loaded_whole_with_the_steps_that_are_forecast(tmp_path: Path) -> None:
    series = [[1.0, 2, 3, 4, 5, 6], [7.0, 8, 9]]
    parquet(tmp_path, {"x": pa.array(series), "next": pa.array([[1, 2], [3, 4]])}, "walks.parquet")
    np.savez(tmp_path / "walks.npz", x=np.arange(12.0).reshape(2, 6, 1))
    ahead = (
        ("regression", "forecasting"),
        ("target: {column: y}", "target: {as: following, steps: 2}"),
        ("shape: [2], last: 3", "shape: [1], last: 3, pad: left"),
        ("lengths: x_length, ", ""),
    )

    of_lists = loaded(changed(WALKS, *ahead), tmp_path)
    of_array = loaded(
        changed(WALKS, *ahead, ("source: parquet, path: walks.parquet", "source: numpy, path: walks.npz")),
        tmp_path,
    )

    assert [np.frombuffer(b"".join(steps), "<f4").tolist() for steps in of_lists.values()] == series
    assert [len(steps) for steps in of_array.values()] == [6, 6]


def test_steps_to_come_beside_a_row_are_no_field_of_its_hash(tmp_path: Path) -> None:
    csv(tmp_path, "id,age,n1,n2\n7,41,1,2\n")
    recipe = changed(
        CHURN,
        ('labels: {"0": stays, "1": leaves}\n', ""),
        ("classification", "forecasting"),
        ("{column: left}", "{columns: [n1, n2]}"),
        (", {name: plan, categories: [free, paid]}", ""),
    )

    assert loaded(recipe, tmp_path) == {"customer:7": {"age": "41"}}


def test_a_document_holds_numbers_texts_and_the_target_at_their_places(tmp_path: Path) -> None:
    csv(tmp_path, "id,age,plan,visits,last,left\n7,41,free,3,9.50,0\n8,1e1,paid,,007,1\n")
    fields = (
        'as: json, fields: [age, {name: plan, path: "$.about.plan", categories: [free, paid]}, '
        '{name: visits, path: "$.about[\'all visits\']", default: 0}, {name: last, path: "$.orders[-1].total"}]'
    )
    recipe = changed(CHURN, ("as: hash, fields: [age, {name: plan, categories: [free, paid]}]", fields))

    keys = loaded(recipe, tmp_path)

    assert keys == {
        "customer:7": JsonDocument(
            {"age": 41, "about": {"plan": "free", "all visits": 3}, "orders": [{"total": 9.5}], "left": 0}
        ),
        "customer:8": JsonDocument(
            {"age": 10.0, "about": {"plan": "paid"}, "orders": [{"total": "007"}], "left": 1}
        ),
    }


def test_a_category_that_looks_like_a_number_stays_a_text(tmp_path: Path) -> None:
    csv(tmp_path, "id,age,plan,left\n7,NaN,1,0\n")
    view = 'as: json, fields: [age, {name: plan, categories: ["1", "2"]}]'
    recipe = changed(CHURN, ("as: hash, fields: [age, {name: plan, categories: [free, paid]}]", view))

    assert loaded(recipe, tmp_path)["customer:7"] == JsonDocument({"age": "NaN", "plan": "1", "left": 0})


@pytest.mark.parametrize("kind", ["hash", "json"])
def test_what_two_inputs_read_of_one_key_lies_there_together(tmp_path: Path, kind: str) -> None:
    csv(tmp_path)
    recipe = changed(
        CHURN,
        (
            "as: hash, fields: [age, {name: plan, categories: [free, paid]}]}",
            (
                f"as: {kind}, fields: [age]}}\n    - name: z\n      sources:\n"
                f'        - {{key: "customer:{{id}}", as: {kind}, fields: [{{name: plan, categories: [free, paid]}}]}}'
            ),
        ),
        ("network: [{linear: 4}]", "network: {branches: {x: [], z: []}}"),
    )

    value = loaded(recipe, tmp_path)["customer:8"]

    members = value.members if isinstance(value, JsonDocument) else value
    assert {name: str(one) for name, one in members.items()} == {"age": "20.5", "plan": "paid", "left": "1"}


def test_an_array_of_an_input_is_parted_among_its_sources(tmp_path: Path) -> None:
    np.savez(tmp_path / "churn.npz", x=np.array([[41.0, 1.0, 5.0, 6.0]]), left=[0])
    sources = (
        '{key: "customer:{id}", as: hash, fields: [age, {name: plan, categories: [free, paid]}]}',
        (
            '{key: "customer:{id}", as: hash, fields: [age]}\n'
            '        - {key: "customer:{id}:more", as: json, fields: [{name: plan, categories: [free, paid]}]}\n'
            '        - {key: "customer:{id}:v", as: vector, shape: [2]}'
        ),
    )
    recipe = changed(CHURN, sources, ("source: csv, path: churn.csv", "source: numpy, path: churn.npz"))

    assert loaded(recipe, tmp_path) == {
        "customer:1": {"age": "41.0", "left": "0"},
        "customer:1:more": JsonDocument({"plan": "paid"}),
        "customer:1:v": np.array([5, 6], "<f4").tobytes(),
    }
