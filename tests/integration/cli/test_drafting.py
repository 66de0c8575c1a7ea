"""new and load: from a file to a served model without a line written, and never over somebody's own."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

from models.assembly import Plan
from models.recipe import Recipe
from tests.integration.cli.conftest import Result
from tests.servers import RedisServer
from trainer.events import Journal
from trainer.reading.rows import read_rows

Insitu = Callable[..., Result]


@pytest.fixture
def churn(tmp_path: Path) -> Path:
    """Generated customers: who spends little leaves."""
    path, random = tmp_path / "churn.csv", np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer_id", "age", "spend", "plan", "left"])
        for number, spend in enumerate(random.uniform(0, 100, 200).round(2)):
            age, plan = ("" if number % 9 == 0 else number % 60 + 18), ("free", "paid")[number % 2]
            writer.writerow([f"C{number}", age, spend, plan, ("stays", "leaves")[int(spend < 30)]])
    return path


def test_a_file_becomes_a_recipe_a_model_and_keys_that_it_is_asked_for(
    insitu: Insitu, churn: Path, redis_url: str
) -> None:
    recipe = churn.with_suffix(".yaml")

    made = insitu("new", str(churn), "--target", "left", "--out", str(recipe))
    trained = insitu("train", str(recipe), "--load", "--json")

    assert made.code == 0, made.err
    assert "churn.yaml is written: 200 rows, 3 columns to learn from" in made.out
    assert f"insitu train {recipe} --load puts the rows into Redis too, to be predicted by key" in made.out
    assert trained.code == 0, trained.err
    last = json.loads(trained.out.splitlines()[-1])
    assert last["metrics"]["accuracy"] > 0.8
    with Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.hgetall("churn:C9").keys() == {"spend", "plan", "left"}
    read = Recipe.load(recipe)
    table, plan = read_rows(read, None, Journal(), churn.parent), Plan(read.features)
    prepared = plan.prepare_keys(table.keys)
    with Redis.from_url(redis_url) as client:
        replies = [client.execute_command(*command) for command in prepared.commands]
    (group,) = plan.assemble(prepared, replies).groups
    assert np.array_equal(group.feeds["x"], table.inputs["x"].x)


def test_rows_that_are_not_learned_from_are_told(insitu: Insitu, tmp_path: Path) -> None:
    path, out = tmp_path / "plans.csv", tmp_path / "plans.yaml"
    labels = ["free", "paid"] * 20 + ["gold", "gold", "trial", ""]
    path.write_text("age,plan\n" + "".join(f"{row % 7},{plan}\n" for row, plan in enumerate(labels)))
    told = "1 rows have no plan; too few rows have gold (2), trial (1)"

    made = insitu("new", str(path), "--target", "plan", "--out", str(out))
    again = insitu("new", str(path), "--target", "plan", "--out", str(out), "--force", "--json")

    assert f"  left out  rows: {told}\n" in made.out
    assert again.json["rows_left_out"] == told
    assert Recipe.load(out).classes == ("free", "paid")


def test_loading_again_changes_nothing_and_somebody_s_key_is_left_alone(
    insitu: Insitu, churn: Path, redis_url: str
) -> None:
    recipe = churn.with_suffix(".yaml")
    insitu("new", str(churn), "--target", "left", "--out", str(recipe))

    first, again = (insitu("load", str(recipe), "--json").json for _ in range(2))
    with Redis.from_url(redis_url) as client:
        client.hset("churn:C7", "plan", "mine")
    refused = insitu("load", str(recipe))

    assert (first["rows"], first["written"], again["written"]) == (200, 200, 0)
    assert refused.code == 1
    assert "key 'churn:C7' is already in this Redis" in refused.error
    assert insitu("load", str(recipe), "--overwrite", "--json").json["written"] == 1


@pytest.mark.parametrize(
    "words",
    [
        ("breast_cancer", "patient:*", "diagnosis"),
        ("digits", "digit:*", "label"),
        ("japanese_vowels", "utterance:*", "speaker"),
    ],
)
def test_keys_in_redis_become_a_recipe(
    insitu: Insitu, tmp_path: Path, redis_url: str, words: tuple[str, str, str]
) -> None:
    dataset, match, target = words
    path = tmp_path / "drafted.yaml"
    insitu("load", dataset)

    made = insitu("new", "--match", match, "--target", target, "--out", str(path), "--json")

    recipe = Recipe.load(path)
    table = read_rows(recipe, redis_url, Journal())
    assert made.json["rows"] == len(table) > 500
    assert table.skipped == {}
    assert set(np.unique(table.targets).tolist()) == set(range(len(recipe.classes)))


def test_documents_in_redis_become_a_recipe_that_reads_the_target_in_them(
    insitu: Insitu, redis_server: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server, path = redis_server(json=True), tmp_path / "drafted.yaml"
    with server.connect() as client:
        for row in range(60):
            city = ("Rome", "Oslo")[row % 3 == 0]
            document = {
                "age": row % 9,
                "at": {"city": city},
                "vip": row % 2 == 0,
                "about": {"left": row % 9 > 4},
            }
            document |= {"clinic": f"c{row % 7}", "tags": ["a"]}
            client.execute_command("JSON.SET", f"user:{row}", "$", json.dumps(document))
        client.execute_command("JSON.DEL", "user:7", "$.age")
    words = ("--match", "user:*", "--target", "about.left", "--out", str(path), "--redis-url", server.url)

    made = insitu("new", *words, "--json")
    path.write_text(path.read_text() + "split: {group: clinic}\nfairness: {fields: [at.city], input: true}\n")

    assert made.json["left_out"] == {"tags": "it is a list; a path such as $.NAME[0] reads one entry"}
    recipe = Recipe.load(path)
    assert recipe.labels == {"false": "false", "true": "true"}
    table = read_rows(recipe, server.url, Journal())
    assert (len(table), table.skipped, table.filled) == (60, {}, {"age": 1})
    assert table.targets.tolist() == [int(key.split(":")[1]) % 9 > 4 for key in table.keys]
    assert table.marks is not None
    assert len(set(table.marks.tolist())) == 7


def test_one_column_is_one(insitu: Insitu, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("age,left\n" + "".join(f"{20 + row % 40},{row % 2}\n" for row in range(60)))

    made = insitu("new", str(file), "--target", "left", "--out", str(tmp_path / "rows.yaml"))

    assert "60 rows, 1 column to learn from" in made.out


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (
            "diagnosi",
            "nothing at user:{id}, user:{id}:truth has a field 'diagnosi'; did you mean 'diagnosis'?",
        ),
        ("agee", "did you mean 'age'?"),
        ("q", "has a field 'q'; it has age, diagnosis"),
    ],
)
def test_a_target_that_no_hash_has_is_told_with_the_fields_there_are(
    insitu: Insitu, redis_url: str, target: str, told: str
) -> None:
    with Redis.from_url(redis_url) as client:
        client.hset("user:1", "age", 40)
        client.hset("user:1:truth", "diagnosis", "well")

    wrong = insitu("new", "--match", "user:*", "--target", target)

    assert (wrong.code, told in wrong.error) == (1, True), wrong.error


def test_a_file_that_is_there_is_not_written_over(insitu: Insitu, churn: Path) -> None:
    recipe = churn.with_suffix(".yaml")
    recipe.write_text("mine")

    refused = insitu("new", str(churn), "--target", "left", "--out", str(recipe))

    assert refused.code == 2
    assert "is there already; --force writes over it" in refused.error
    assert recipe.read_text() == "mine"
    assert insitu("new", str(churn), "--target", "left", "--out", str(recipe), "--force").code == 0


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--target", "y"), 2, "name a file, or keys in Redis with --match"),
        (("x.csv", "--match", "a:*", "--target", "y"), 2, "one of them"),
        (("nowhere.csv", "--target", "y"), 1, "nowhere.csv is not there; name a file of rows"),
        (("x.csv", "--target", "y", "--name", "a b"), 2, "model name 'a b' is not a valid name"),
        ((".", "--target", "y"), 1, ". is a directory; name one file in it"),
        (("--match", "a:*:b:*", "--target", "y"), 1, "write one `*` where the rows differ"),
        (("--match", "nobody:*", "--target", "y"), 1, "no key in this Redis matches 'nobody:*'"),
    ],
)
def test_what_cannot_be_drafted_is_told(
    insitu: Insitu, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    wrong = insitu("new", *words, "--out", str(tmp_path / "out.yaml"))

    assert (wrong.code, said in wrong.error) == (code, True), wrong.err


def test_a_file_is_trained_on_without_a_redis(insitu: Insitu, churn: Path) -> None:
    recipe, out = churn.with_suffix(".yaml"), churn.parent / "made"
    insitu("new", str(churn), "--target", "left", "--out", str(recipe))

    done = insitu(
        "train",
        str(recipe),
        "--no-publish",
        "--out",
        str(out),
        INSITU_REDIS_URL="redis://127.0.0.1:1",
    )

    assert done.code == 0, done.err
    assert (out / "model.onnx").exists()
