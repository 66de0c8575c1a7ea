"""demo: the whole main job for real, twice on one data directory, and stopped in the middle of it."""

import json
import signal
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Result, Running, processes_about
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
    again = running(*words, INSITU_REDIS_URL="")
    url = again.line_with("Serving at ").split()[2]

    assert first.code == 0, first.err
    assert_it_beat_the_baseline(first)
    assert answer(f"{url}/v1/models/digits/predict?key=digit:7")["version"] == 2
    assert again.end(signal.SIGINT) == 0
    wait_until(lambda: processes_about(str(tmp_path)) == [], "a process is left")


def assert_it_beat_the_baseline(done: Result) -> None:
    told = done.json
    assert [model["name"] for model in told["models"]] == ["breast_cancer", "digits", "japanese_vowels"]
    for model in told["models"]:
        assert model["version"] == 1
        assert model["accuracy"] == pytest.approx(model["accuracy_when_trained"], abs=1e-6)
        assert model["accuracy"] > model["baseline"] - 0.03
    assert (told["scored"]["scored"], told["scored"]["skipped"]) == (569, {})


def answer(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=30) as reply:  # noqa: S310  # our own loopback address
        told: dict[str, object] = json.load(reply)
    return told


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_leaves_no_process_and_no_half_model(
    running: Start, insitu: Insitu, tmp_path: Path, number: int, code: int
) -> None:
    directory = str(tmp_path / "demo")
    started = running("demo", "--data-dir", directory, INSITU_REDIS_URL="")
    started.line_with("rows at patient:{id}")

    ended = started.end(number)

    assert ended == code
    wait_until(lambda: processes_about(directory) == [], "a process is left")
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
