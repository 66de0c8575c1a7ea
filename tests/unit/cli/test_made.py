"""A model that nobody named a folder for gets one of its own."""

from pathlib import Path

import pytest

from cli.made import spare_folder


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
