"""The command line as a whole: help, versions, wrong usage, exit codes."""

import json
import re
from pathlib import Path

import pytest

from cli import program
from cli.errors import (
    MEANINGS,
    ExitCode,
    NotInstalled,
    RedisUnreachable,
    ServerRefused,
    ServerUnreachable,
    WrongUsage,
    exit_code,
    needs,
)
from models.errors import BadName, InsituError, ModelNotFound, RedisUnavailable

COMMANDS = [
    *("demo", "up", "serve", "train", "publish", "import redisai", "models", "promote", "rollback", "delete"),
    *("traffic", "predict", "explain", "score", "jobs", "check", "token"),
]


def test_help_names_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    code = program.run(["--help"])

    shown = capsys.readouterr().out
    assert code == ExitCode.DONE
    assert [name for name in COMMANDS if f"\n  {name.split()[0]} " not in shown] == []
    assert [meaning for meaning in MEANINGS.values() if meaning not in shown] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_its_exit_codes(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = program.run([*command.split(), "--help"])

    shown = capsys.readouterr().out
    assert code == ExitCode.DONE
    assert f"$ insitu {command}" in shown
    assert "Exit codes: 0 " in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_names_what_to_write_and_not_its_type(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program.run([*command.split(), "--help"])

    options = [line for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith("-")]
    assert [line for line in options if re.search(r"<(str|int|float|path|list|int range)\b", line)] == []


def test_a_group_alone_shows_its_commands_and_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["import"]) == ExitCode.USAGE
    assert "\n  redisai " in capsys.readouterr().out


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(["--version"]) == ExitCode.DONE
    assert capsys.readouterr().out.startswith("insitu ")


def test_no_command_shows_the_help_and_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run([]) == ExitCode.USAGE
    assert "Usage: insitu" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["modles"], "Did you mean 'models'?"),
        (["models", "--jsn"], "no such option: --jsn"),
        (["promote", "churn"], "missing argument 'VERSION'"),
        (["delete", "churn", "three"], "invalid value for 'VERSION': should be a whole number (got 'three')"),
        (["score", "churn", "--ttl", "0"], "invalid value for '--ttl': should be at least 1 (got '0')"),
        (["token", "--scope", "all"], "'--scope': 'all' is not one of 'predict', 'admin' (see"),
        (["import", "redisai", "f", "--db", "x"], "invalid value for '--db': should be a whole number (got"),
        (["traffic", "churn", "3"], "'3' is no VERSION=WEIGHT; write it as 4=5"),
        (["traffic", "churn", "=5"], "'=5' is no VERSION=WEIGHT"),
        (["traffic", "churn", "3=all"], "the weight of '3=all' is no number"),
        (["traffic", "churn", "3=5", "--clear"], "--clear ends the rule"),
        (["predict", "churn"], "give exactly one of: keys, --instances, --inputs"),
        (["predict", "churn", "k", "--inputs", "{}"], "give exactly one of"),
        (["predict", "churn", "--inputs", "{"], "--inputs '{' is no JSON"),
        (["predict", "churn", "--inputs", "[" * 100_000], "deeper than any tensor"),
        (["predict", "churn", "--inputs", '{"x": [[1e400]]}'], "NaN, Infinity and numbers beyond 1.8e308"),
        (["predict", "churn", "--instances", '[{"a": NaN}]'], "cannot be sent as JSON: NaN"),
        (["predict", "churn", "--instances", '[{"a": "\\ud800"}]'], "is half a character"),
        (["models", ":3"], "':3' names no model"),
        (["score", "churn", "--missing", "NaN"], "no job keeps NaN"),
        (["score", "churn", "--missing", '{"a": 1e400}'], "no job keeps NaN"),
        (["score", "churn", "--missing", '{"a": "\\ud800"}'], "no job keeps half a character"),
        (["predict", "churn", "--instances", "@/nowhere"], "cannot be read: No such file"),
        (["predict", "churn", "k", "--url", "nowhere"], "--url is 'nowhere'"),
        (["publish", "/nowhere.onnx", "--name", "m"], "/nowhere.onnx cannot be read"),
        (["predict", "churn", "k", "--url", "http://h:8000/v1"], "leave /v1 off"),
        (["predict", "churn", "--key", "k"], "keys stand after the name: insitu predict NAME KEY..."),
        (["predict", "churn", "k", "--redis-url", "r"], "predict asks the server"),
        (["jobs", "--cancel"], "--cancel is for one job; name it"),
        (["jobs", "--watch"], "--watch is for one job"),
        (["jobs", "nightly", "--cancel", "--watch"], "do not go together"),
        (["explain", "churn"], "give exactly one of: keys, --instances, --inputs"),
        (["explain", "churn", "k", "--reference", "{"], "--reference '{' is no JSON"),
        (["explain", "churn", "k", "--top", "0"], "invalid value for '--top'"),
        (["explain", "churn", "--key", "k"], "keys stand after the name: insitu explain NAME KEY..."),
        (["token", "--scope", "root"], "'root' is not one of"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = program.run(words)

    streams = capsys.readouterr()
    assert code == ExitCode.USAGE
    assert told in streams.err
    assert streams.err.startswith("error: ")
    assert streams.err.count("\n") == 1
    assert streams.out == ""


def test_a_file_that_is_no_onnx_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code = program.run(["publish", __file__, "--name", "m"])

    assert code == ExitCode.FAILED
    assert f"{Path(__file__).name}: these bytes are no ONNX model" in capsys.readouterr().err


def test_a_misspelt_variable_stops_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INSITU_REDIS_ULR", "redis://")

    assert program.run(["token"]) == ExitCode.USAGE
    assert "did you mean INSITU_REDIS_URL?" in capsys.readouterr().err


def test_a_program_gets_the_error_as_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    code = program.run(["publish", "/nowhere.onnx", "--name", "m", "--json"])

    streams = capsys.readouterr()
    assert code == ExitCode.USAGE
    assert json.loads(streams.out)["error"]["code"] == "wrong_usage"
    assert streams.err.startswith("error: ")


@pytest.mark.parametrize(
    "words", [["--debug", "publish", "/no", "-n", "m"], ["publish", "/no", "-n", "m", "--debug"]]
)
def test_debug_shows_where_an_error_comes_from(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    program.run(words)

    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_word_after_two_dashes_is_no_option_of_ours() -> None:
    assert program.without_debug(["predict", "--", "--debug"]) == (False, ["predict", "--", "--debug"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WrongUsage("x"), 2),
        (BadName("model name", "a b", "rule"), 2),
        (RedisUnreachable("x"), 3),
        (RedisUnavailable("x"), 3),
        (ServerUnreachable("http://x", "refused"), 3),
        (ServerRefused(503, {"code": "redis_unavailable", "message": "Redis does not answer"}), 3),
        (ServerRefused(404, {"code": "key_missing", "message": "key 'a:1' is not in Redis"}), 1),
        (NotInstalled("trainer", "torch"), 4),
        (ModelNotFound("m"), 1),
        (InsituError("x"), 1),
    ],
)
def test_every_kind_of_error_has_its_exit_code(error: InsituError, code: int) -> None:
    assert exit_code(error) == code


def test_a_part_that_is_not_installed_is_named_with_its_extra() -> None:
    with pytest.raises(NotInstalled, match=r"pip install 'insitu\[trainer\]'"), needs("trainer"):
        raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")


def test_ctrl_c_behind_an_import_that_failed_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise ImportError("initialization failed") from KeyboardInterrupt()  # as libraries in C++ tell it

    monkeypatch.setattr(program, "check_words", stopped)

    assert program.run(["models"]) == ExitCode.STOPPED
    assert capsys.readouterr().err == ""


def test_a_module_of_our_own_that_is_missing_is_a_fault() -> None:
    with pytest.raises(ModuleNotFoundError), needs("trainer"):
        raise ModuleNotFoundError("No module named 'trainer.nothing'", name="trainer.nothing")


@pytest.mark.parametrize(
    "words", [["predict", "churn", "customer:\udcff"], ["score", "churn", "--match", "\udcff*"]]
)
def test_bytes_that_are_no_text_are_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run(words) == ExitCode.USAGE
    assert "is no text in UTF-8" in capsys.readouterr().err


def test_a_file_may_have_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "\udcff.onnx"
    file.write_bytes(b"")

    code = program.run(["publish", str(file), "--name", "a b"])

    assert code == ExitCode.USAGE
    assert "model name 'a b' is not a valid name" in capsys.readouterr().err
