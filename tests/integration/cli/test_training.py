"""train: a recipe's rows are read from Redis, and the model is in Redis at the end."""

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
from redis import Redis

from tests.integration.cli.conftest import ROOT, Result, Running

Insitu = Callable[..., Result]
Start = Callable[..., Running]

KEPT = """
name: kept
task: classification
data: {source: csv, path: rows.csv, target: {column: left}}
features:
  inputs:
    - name: x
      sources: [{key: "kept:{id}", as: hash, fields: [a, b]}]
labels: ["no", "yes"]
network: [{linear: 4}, relu]
training: {epochs: 3}
"""

pytest.importorskip("torch", reason="the extra `trainer` is not installed")


def test_a_ready_recipe_is_loaded_trained_and_published(insitu: Insitu) -> None:
    done = insitu("train", "breast_cancer", "--load", "--alias", "canary", "--json")

    events = [json.loads(line) for line in done.out.splitlines()]
    last = events[-1]
    assert done.code == 0, done.err
    assert {event["model"] for event in events} == {"breast_cancer"}
    stages = [event["stage"] for event in events if event["event"] == "stage_ended"]
    assert stages == ["load", "read", "fit", "export", "evaluate", "baseline", "judge", "attribute"]
    assert last["event"] == "done"
    assert (last["version"], last["alias"]) == (1, "canary")
    assert len(last["held_out"]["keys"]) == len(last["held_out"]["targets"]) == last["rows"]["held_out"]
    assert last["metrics"]["accuracy"] > 0.9
    assert insitu("models", "breast_cancer", "--json").json["aliases"] == {"canary": 1}


def test_without_publishing_the_model_is_files(insitu: Insitu, tmp_path: Path) -> None:
    out = tmp_path / "made"

    done = insitu("train", "breast_cancer", "--load", "--no-publish", "--out", str(out))

    assert done.code == 0, done.err
    assert "breast_cancer: " in done.out
    assert sorted(path.name for path in out.iterdir()) == [
        "card.html",
        "manifest.json",
        "model.onnx",
        "report.svg",
    ]
    assert json.loads((out / "manifest.json").read_text())["card"]["diagnosis"]["verdict"]
    assert insitu("models", "--json").json == []
    assert insitu("publish", str(out / "model.onnx"), "--name", "again").code == 0


def test_a_model_that_redis_does_not_take_is_kept_and_stored_later(
    insitu: Insitu, running: Start, redis_url: str, tmp_path: Path
) -> None:
    rows = (f"{number % 7},{number % 9},{'yes' if number % 9 > 4 else 'no'}" for number in range(60))
    (tmp_path / "rows.csv").write_text("\n".join(("a,b,left", *rows)) + "\n")
    (tmp_path / "kept.yaml").write_text(KEPT)
    made = tmp_path / "made"

    with Redis.from_url(redis_url) as client:
        lost = running(
            "train", str(tmp_path / "kept.yaml"), "--alias", "canary", "--json", "--out", str(made)
        )
        lost.line_with('"read"')
        client.config_set("maxmemory", 1)
        try:
            event = json.loads(lost.line_with('"event": "kept"'))
            told = lost.line_with("it is kept in")
            code = lost.process.wait(30)
        finally:
            client.config_set("maxmemory", 0)
    later = insitu("publish", str(made))
    renamed = insitu("publish", str(made), "--name", "other")

    assert code == 1
    assert f"it is kept in {made}: `insitu publish {made} --alias canary` stores it" in told
    assert event["path"] == str(made)
    assert later.code == 0, later.err
    stored = insitu("models", "kept:1", "--json").json
    assert stored["card"]["diagnosis"]["verdict"]
    assert stored["labels"] == ["no", "yes"]
    assert "--name is for an ONNX file" in renamed.error


def test_what_redis_would_not_take_is_told_before_the_training(
    insitu: Insitu, redis_url: str, tmp_path: Path
) -> None:
    (tmp_path / "kept.yaml").write_text(KEPT)  # there is not even a file of rows
    with Redis.from_url(redis_url) as client:
        client.config_set("maxmemory", 1)
        try:
            refused = insitu("train", str(tmp_path / "kept.yaml"))
        finally:
            client.config_set("maxmemory", 0)

    assert refused.code == 1
    assert "nothing is trained, since 'kept' could not be published: Redis refused: " in refused.error
    assert "raise its maxmemory" in refused.error
    assert "--no-publish --out DIR" in refused.error


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "manifest.json cannot be read: No such file"),
        ({"manifest.json": "[]"}, "manifest.json is no manifest; `insitu train --out DIR` writes one"),
        ({"manifest.json": '{"name": "a", "version": 0, "format": 2}'}, "it has format 2"),
    ],
)
def test_a_folder_without_a_model_is_not_published(
    insitu: Insitu, tmp_path: Path, files: dict[str, str], told: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    wrong = insitu("publish", str(tmp_path))

    assert wrong.code in (1, 2)
    assert told in wrong.error


def test_a_folder_of_another_server_is_told_to_give_the_file(insitu: Insitu, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "config.pbtxt").write_text('platform: "onnxruntime_onnx"')

    wrong = insitu("publish", str(tmp_path), "--name", "churn")

    assert wrong.code == 2
    assert "No such file" in wrong.error
    assert "give the ONNX file: insitu publish FOLDER/1/model.onnx --name NAME" in wrong.error


def test_a_challenger_is_promoted_only_if_it_is_better(insitu: Insitu, tmp_path: Path) -> None:
    weak = tmp_path / "weak.yaml"
    text = (resources.files("models") / "recipes" / "breast_cancer.yaml").read_text()
    weak.write_text(text.replace("lr: 0.003", "lr: 0.00001").replace("epochs: 100", "epochs: 1"))

    first = insitu("train", "breast_cancer", "--load", "--promote-if", "better")
    worse = insitu("train", str(weak), "--promote-if", "better", "--json")

    assert (first.code, worse.code) == (0, 0), first.err + worse.err
    assert "there is no champion yet" in first.out
    assert "breast_cancer version 1 is published, production points to it" in first.out
    told = json.loads(worse.out.splitlines()[-1])
    assert (told["version"], told["alias"]) == (2, None)
    assert (told["contest"]["promoted"], told["contest"]["champion"]) == (False, 1)
    assert told["contest"]["why"].startswith("the champion is better: log loss")
    assert insitu("models", "breast_cancer", "--json").json["aliases"] == {"production": 1}


def test_a_version_that_is_never_promoted_is_published_without_an_alias(insitu: Insitu) -> None:
    done = insitu("train", "breast_cancer", "--load", "--promote-if", "never")

    assert done.code == 0, done.err
    assert "breast_cancer version 1 is published\n" in done.out
    assert insitu("models", "breast_cancer", "--json").json["aliases"] == {}


def test_rows_that_are_not_there_are_told_before_any_training(insitu: Insitu) -> None:
    empty = insitu("train", "digits")

    assert empty.code == 1
    assert "no key in this Redis matches 'digit:*'" in empty.err


def test_a_recipe_with_a_mistake_is_named_by_its_line(insitu: Insitu, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("name: mine\ntask: clasification\n")

    wrong = insitu("train", str(recipe))

    assert wrong.code == 1
    assert "mine.yaml, line 2: task" in wrong.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (
            ("brest_cancer",),
            1,
            "did you mean 'breast_cancer'? there are basic_motions, breast_cancer, caravan",
        ),
        (("digits", "--no-publish"), 2, "--no-publish without --out"),
        (("digits", "breast_cancer", "--out", "x"), 2, "--out takes one recipe"),
        (("digits", "--alias", "7"), 2, "alias '7' is not a valid name"),
        (("digits", "--out", "pyproject.toml"), 2, "--out pyproject.toml cannot be written: File exists"),
    ],
)
def test_what_cannot_be_meant_is_told(insitu: Insitu, words: tuple[str, ...], code: int, told: str) -> None:
    wrong = insitu("train", *words)

    assert wrong.code == code
    assert told in wrong.error


def test_a_training_begins_with_a_published_version(insitu: Insitu, tmp_path: Path) -> None:
    text = (ROOT / "models" / "recipes" / "breast_cancer.yaml").read_text()
    recipe = tmp_path / "again.yaml"
    recipe.write_text(text.replace("epochs: 100", "epochs: 2").replace("lr: 0.003", "lr: 0.00001"))
    words = ("train", str(recipe), "--json", "--from")
    assert insitu("train", "breast_cancer", "--load").code == 0

    again = insitu(*words, "breast_cancer:1")
    absent = insitu(*words, "breast_cancer:7")

    assert again.code == 0, again.err
    done = json.loads(again.out.splitlines()[-1])
    assert done["version"] == 2
    assert done["metrics"]["accuracy"] > 0.95
    stored = insitu("models", "breast_cancer", "--json").json
    assert stored["versions"]
    assert absent.code == 1
    assert "version 7" in absent.err


def test_a_search_shows_every_trial_and_publishes_the_best(insitu: Insitu, tmp_path: Path) -> None:
    text = (
        (ROOT / "models" / "recipes" / "breast_cancer.yaml").read_text().replace("epochs: 100", "epochs: 4")
    )
    recipe = tmp_path / "searched.yaml"
    recipe.write_text(f"{text}\nsearch: {{trials: 3, space: {{training.lr: [0.01, 0.000001]}}}}\n")

    words = ("train", str(recipe), "--load", "--no-publish", "--out", str(tmp_path / "out"))
    done = insitu(*words, "--json")
    person = insitu(*words)

    assert done.code == 0, done.err
    events = [json.loads(line) for line in done.out.splitlines()]
    trials = [event for event in events if event["event"] == "trial_ended"]
    assert [event["trial"] for event in trials] == [1, 2, 3]
    last = events[-1]
    assert len(last["search"]["trials"]) == 3
    best = last["search"]["trials"][last["search"]["best"] - 1]["values"]
    written = json.loads((tmp_path / "out" / "manifest.json").read_text())["recipe"]
    assert written["training"]["lr"] == best["training.lr"] == 0.01
    assert "search" not in written
    assert "trial  state     validation loss  epochs  training.lr" in person.out
