"""A printed command can be pasted."""

from pathlib import Path

import pytest

from cli.invocation import program_name


def test_a_program_outside_the_path_is_named_by_its_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.argv", [str(tmp_path / ".venv/bin/insitu"), "demo"])

    assert program_name() == ".venv/bin/insitu"


def test_a_program_beside_the_directory_is_named_in_full(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.argv", [str(tmp_path / "insitu")])

    assert program_name() == str(tmp_path / "insitu")


def test_a_program_on_the_path_is_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "insitu").write_text("#!/bin/sh")
    (tmp_path / "insitu").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", [str(tmp_path / "insitu")])

    assert program_name() == "insitu"
