"""A model as files: in the folder that was asked for, or else in one of its own; never those of two models."""

from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from cli.errors import WrongUsage
from cli.keeping import kept_whatever_comes
from cli.made import MANIFEST, ONNX, read, spare_folder, unwritable, write
from cli.terminal import Terminal
from cli.training_view import TrainingView
from models.bundle import Bundle
from models.composing import Wording, compose_bundle
from models.errors import BadModelFile, RedisRefused
from tests.graphs import scaled

CARD: dict[str, Any] = {
    "training": {"curve": [[1, 0.5, None, None]], "best_epoch": 1},
    "diagnosis": {"verdict": "good", "findings": ["it is good"]},
}


def trained(factor: float = 2.0) -> Any:
    bundle = compose_bundle(scaled(factor), "churn", Wording())
    card = {"card": CARD}
    return SimpleNamespace(
        bundle=Bundle(bundle.manifest.model_copy(update=card), bundle.onnx, b"<!doctype html>")
    )


def test_a_model_whose_folder_went_meanwhile_is_kept_in_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    gone, result = tmp_path / "gone", trained()
    terminal = Terminal(as_json=True)
    terminal.out = Console(file=StringIO())

    with (
        TrainingView(terminal, "churn") as view,
        pytest.raises(WrongUsage, match="gone cannot be written"),
        kept_whatever_comes(result, gone, "canary", view),
    ):
        write(result, gone)

    assert read(Path("churn.kept")).onnx == result.bundle.onnx
    assert [path.name for path in tmp_path.iterdir()] == ["churn.kept"]


def test_where_nothing_can_be_written_the_reason_why_it_was_not_stored_is_told_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = trained()
    terminal = Terminal(as_json=True)
    terminal.out, terminal.err = Console(file=StringIO()), Console(file=StringIO(), width=400)
    monkeypatch.setattr("cli.keeping.write", full)

    with (
        TrainingView(terminal, "churn") as view,
        pytest.raises(RedisRefused, match="out of memory"),
        kept_whatever_comes(result, None, "none", view),
    ):
        raise RedisRefused("out of memory")

    told: Any = terminal.err.file
    assert "churn: trained, but neither stored nor kept in files: --out churn.kept cannot" in told.getvalue()


def full(_result: Any, out: Path) -> None:
    raise unwritable(out, "No space left on device")


def test_files_of_two_trainings_are_no_model(tmp_path: Path) -> None:
    write(trained(2.0), tmp_path)

    (tmp_path / ONNX).write_bytes(scaled(3.0))

    with pytest.raises(BadModelFile, match=f"{ONNX} is not the file that {MANIFEST} was written for"):
        read(tmp_path)


def test_each_model_gets_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    made = [spare_folder("churn"), spare_folder("churn")]

    assert made == [Path("churn.kept"), Path("churn.kept2")]
    assert all(one.is_dir() for one in made)


def test_a_model_is_kept_where_nothing_can_be_written_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()

    made = spare_folder("churn")

    assert made.is_dir()
    made.rmdir()
