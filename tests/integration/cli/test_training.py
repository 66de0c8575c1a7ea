"""train: a recipe's rows are read from Redis, and the model is in Redis at the end."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Result

Insitu = Callable[..., Result]

pytest.importorskip("torch", reason="the extra `trainer` is not installed")


def test_a_ready_recipe_is_loaded_trained_and_published(insitu: Insitu) -> None:
    done = insitu("train", "breast_cancer", "--load", "--alias", "canary", "--json", seconds=110)

    events = [json.loads(line) for line in done.out.splitlines()]
    last = events[-1]
    assert done.code == 0, done.err
    assert {event["model"] for event in events} == {"breast_cancer"}
    stages = [event["stage"] for event in events if event["event"] == "stage_ended"]
    assert stages == ["load", "read", "fit", "export", "evaluate", "baseline"]
    assert last["event"] == "done"
    assert (last["version"], last["alias"]) == (1, "canary")
    assert len(last["held_out"]["keys"]) == len(last["held_out"]["targets"]) == last["rows"]["held_out"]
    assert last["metrics"]["accuracy"] > 0.9
    assert insitu("models", "breast_cancer", "--json").json["aliases"] == {"canary": 1}


def test_without_publishing_the_model_is_files(insitu: Insitu, tmp_path: Path) -> None:
    out = tmp_path / "made"

    done = insitu("train", "breast_cancer", "--load", "--no-publish", "--out", str(out), seconds=110)

    assert done.code == 0, done.err
    assert "breast_cancer: " in done.out
    assert sorted(path.name for path in out.iterdir()) == ["manifest.json", "model.onnx", "report.svg"]
    assert json.loads((out / "manifest.json").read_text())["card"]["diagnosis"]["verdict"]
    assert insitu("models", "--json").json == []
    assert insitu("publish", str(out / "model.onnx"), "--name", "again").code == 0


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
        (("brest_cancer",), 1, "breast_cancer, caravan, diabetes, digits"),
        (("digits", "--no-publish"), 2, "--no-publish without --out"),
        (("digits", "breast_cancer", "--out", "x"), 2, "--out takes one recipe"),
    ],
)
def test_what_cannot_be_meant_is_told(insitu: Insitu, words: tuple[str, ...], code: int, told: str) -> None:
    wrong = insitu("train", *words)

    assert wrong.code == code
    assert told in wrong.error
