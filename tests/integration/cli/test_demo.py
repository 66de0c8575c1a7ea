"""demo: the whole main job for real, twice on one data directory, and stopped in the middle of it."""

import json
import re
import shlex
import signal
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.demo.asking import free_port
from cli.embedded import find_running
from tests.integration.cli.conftest import ROOT, Result, Running, processes_about
from tests.servers import bundled_server, wait_until

Insitu = Callable[..., Result]
Start = Callable[..., Running]

pytest.importorskip("torch", reason="the extra `trainer` is not installed")
pytestmark = pytest.mark.skipif(bundled_server() is None, reason="the extra `embedded` is not installed")

DEMO_SECONDS = 300


@pytest.mark.timeout(2 * DEMO_SECONDS)
def test_the_demo_does_the_main_job_and_does_it_again(insitu: Insitu, running: Start, tmp_path: Path) -> None:
    words = ("demo", "--data-dir", str(tmp_path / "demo"), "--port", "0")

    first = insitu(*words, "--once", "--json", seconds=DEMO_SECONDS, INSITU_REDIS_URL="")
    again = running(*words, fresh=True, INSITU_REDIS_URL="")
    url = again.line_with("Serving at ").split()[2]

    assert first.code == 0, first.err
    assert_it_beat_the_baseline(first)
    assert answer(f"{url}/v1/models/digits/predict?key=digit:7")["version"] == 2
    for command, printed in readme_session():
        assert_it_prints(insitu, command, printed, url, tmp_path / "demo")
    assert again.end(signal.SIGINT) == 0
    wait_until(lambda: processes_about(str(tmp_path)) == [], "a process is left")
    assert find_running(tmp_path / "demo") is None


def assert_it_beat_the_baseline(done: Result) -> None:
    told = done.json
    assert [model["name"] for model in told["models"]] == ["breast_cancer", "digits", "japanese_vowels"]
    for model in told["models"]:
        assert model["version"] == 1
        assert model["accuracy"] == pytest.approx(model["accuracy_when_trained"], abs=1e-6)
        assert model["accuracy"] > model["baseline"] - 0.03
    assert (told["scored"]["scored"], told["scored"]["skipped"]) == (569, {})


def readme_session() -> list[tuple[str, str]]:
    """Return each command of the README's second terminal, and what it printed."""
    block = re.search(r"```console\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    steps = [step.partition("\n") for step in block[1].removeprefix("$ ").split("\n$ ")]
    return [(command, printed) for command, _, printed in steps]


def assert_it_prints(insitu: Insitu, command: str, printed: str, url: str, data_dir: Path) -> None:
    if command.startswith("curl "):
        path = re.search(r"(/v1/[^']+)'", command)
        assert path is not None
        assert said(answer(url + path[1])) == said(json.loads(printed))
        return
    words = shlex.split(command)
    assert words[0] == ".venv/bin/insitu"
    done = insitu(*words[1:], INSITU_REDIS_URL="", INSITU_DATA_DIR=str(data_dir))
    assert (done.code, shape(done.out)) == (0, shape(printed))


def said(told: Any) -> list[tuple[str, str, float]]:
    """Return what an answer says, its probabilities as far as they are alike on every machine."""
    return [
        (row["key"], row["label"], round(max(row["probabilities"].values()), 1))
        for row in told["predictions"]
    ]


def shape(text: str) -> list[list[str]]:
    """Return the words of each line, every number and time as '#'."""
    alike = re.sub(r"[\d.,:-]*\d( (ms|s)\b)?", "#", text)
    return [line.split() for line in alike.strip().splitlines()]


def answer(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as reply:  # noqa: S310  # our own loopback address
        return json.load(reply)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_leaves_no_process_and_no_half_model(
    running: Start, insitu: Insitu, tmp_path: Path, number: int, code: int
) -> None:
    directory = str(tmp_path / "demo")
    started = running("demo", "--data-dir", directory, fresh=True, INSITU_REDIS_URL="")
    started.line_with("rows at patient:{id}")

    ended = started.end(number)

    assert ended == code
    assert started.line_with("Stopped.")
    wait_until(lambda: processes_about(directory) == [], "a process is left")
    assert find_running(tmp_path / "demo") is None
    up = running(
        "up", "--port", "0", "--data-dir", directory, "--log-level", "error", "--json", INSITU_REDIS_URL=""
    )
    up.told()
    checked = insitu("check", "--json", INSITU_REDIS_URL="", INSITU_DATA_DIR=directory)
    assert [one for one in checked.json["findings"] if one["state"] == "fail"] == []


def test_a_data_directory_that_cannot_be_is_told(insitu: Insitu, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    refused = insitu("demo", "--once", "--data-dir", str(tmp_path / "file" / "x"), INSITU_REDIS_URL="")

    assert refused.code == 1
    assert "cannot keep its data in" in refused.err


def test_a_taken_port_is_passed_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert free_port("127.0.0.1", port) > port

    assert free_port("127.0.0.1", 0) == 0


def test_tokens_without_one_for_the_demo_itself_stop_it_before_any_work(insitu: Insitu) -> None:
    refused = insitu("demo", "--once", INSITU_TOKENS=f"admin:{'ab' * 32}")

    assert refused.code == 2
    assert "put its text into INSITU_TOKEN" in refused.error
    assert refused.out == ""
