"""What is written for people cannot steer their terminal, and what is for programs is JSON alone."""

import json
import sys
from io import BytesIO, TextIOWrapper

import pytest
from rich.console import Console

from cli.progress import Work
from cli.terminal import (
    Terminal,
    count_text,
    duration_text,
    framed,
    plain,
    printable,
    size_text,
    take_any_text,
)


def test_control_characters_are_shown_not_obeyed() -> None:
    assert printable("a\x1b[31mb\tc") == "a\\x1b[31mb\\tc"
    assert printable("größe\nüber") == "größe\nüber"


def test_markup_in_a_description_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().say("[red]not red[/red] :smile:")

    assert capsys.readouterr().out == "[red]not red[/red] :smile:\n"


def test_json_goes_out_alone_and_the_rest_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(as_json=True)

    terminal.emit({"name": "größe"})
    terminal.say("for people")
    terminal.table(["a"], [["b"]])

    streams = capsys.readouterr()
    assert json.loads(streams.out) == {"name": "größe"}
    assert "for people" in streams.err


@pytest.mark.parametrize(
    ("encoding", "seen"), [("ascii", "gr??e ?? 3"), ("latin-1", "größe ?? 3"), ("utf-8", "größe █▍ 3")]
)
def test_what_stdout_has_no_sign_for_ends_no_command_and_no_json(
    encoding: str, seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, encoding=encoding))
    data = {"name": "größe █▍", "key": "\udcff"}

    take_any_text()
    Terminal().say("größe █▍ 3")
    Terminal().emit(data)

    line, document = written.getvalue().decode(encoding).splitlines()
    assert line == seen
    assert json.loads(document) == data


def test_a_long_name_leaves_room_for_what_stands_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [["z" * 128, "accuracy 0.9859", "1,200"], ["churn-20f8ddb3d9", "", "7"]]

    Console(width=80).print(framed(["name", "score", ">rows"], rows, 80))

    shown = capsys.readouterr().out
    assert "accuracy 0.9859" in shown
    assert "1,200" in shown
    assert "churn-20f8ddb3d9" in shown
    assert shown.count("z") == 128


def test_a_table_in_a_pipe_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 150

    Terminal().table(["name", ">rows"], [[long, 3]])

    assert long in capsys.readouterr().out


def test_fields_stand_in_one_column(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().fields([("a", 1), ("long", "2"), ("empty", "")])

    assert capsys.readouterr().out == "a     1\nlong  2\n"


def test_a_value_of_several_lines_makes_no_field_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().fields([("SHA-256", "ab12"), ("made by", "torch\nSHA-256  cd34")])

    assert capsys.readouterr().out.splitlines() == [
        "SHA-256  ab12",
        "made by  torch",
        "         SHA-256  cd34",
    ]


def test_work_in_a_log_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.progress.LINE_SECONDS", 0.0)

    with Work(Terminal(as_json=True), "reading", 200) as work:
        work.update(50, note="12 rows/s")

    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.startswith("reading: 25%, ")
    assert streams.err.endswith(", 12 rows/s\n")


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (12_345, "12.3 kB"), (5e9, "5.0 GB")])
def test_sizes_are_short(size: float, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.0123, "12 ms"), (4.21, "4.2 s"), (200, "3 min 20 s")])
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_numbers_are_short() -> None:
    assert (plain(0.123456), plain(3), plain("x")) == ("0.1235", "3", "x")


def test_one_thing_is_no_plural() -> None:
    assert [count_text(number, "row") for number in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]
