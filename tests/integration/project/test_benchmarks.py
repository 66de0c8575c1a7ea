"""The benchmark runs from start to end, stops at wrong answers, and leaves no process behind. Nothing is timed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchmarks.agreement import compare
from benchmarks.contenders import Server
from benchmarks.faults import BenchmarkFailed
from benchmarks.processes import Child, running
from benchmarks.wrk import Check, Load, attempt, measure
from tests.conftest import missing
from tests.servers import wait_until

ROOT = Path(__file__).parents[3]
RUN_SECONDS = 100

Answer = Callable[[int, str], tuple[int, str]]


@pytest.fixture(autouse=True)
def _wrk() -> None:
    if shutil.which("wrk") is None:
        missing("no wrk: apt install wrk")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Everything a run makes lies under `tmp_path`, so that its processes can be told."""
    return {**os.environ, "TMPDIR": str(tmp_path)}


def start(words: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks", *words]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def processes_of(folder: Path) -> list[str]:
    """The command lines of processes that were started with this folder, by their arguments or environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + b"\0" + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in words and process.name != str(os.getpid()):
            found.append(words.split(b"\0\0")[0].decode(errors="replace"))
    return found


def test_a_run_prints_a_table_and_keeps_every_measurement(
    environment: dict[str, str], tmp_path: Path
) -> None:
    words = ["--quick", "--only", "soak", "--soak", "2", "--out", str(tmp_path / "out")]

    with start(words, environment) as process:
        printed, told = process.communicate(timeout=RUN_SECONDS)

    assert process.returncode == 0, told
    assert "growth of memory under full load" in printed
    [path] = (tmp_path / "out").glob("*-part.json")
    data = json.loads(path.read_text())
    [measured] = data["measurements"]
    assert measured["figures"]["rate"] > 0
    assert len(measured["samples"]) >= 2
    assert data["versions"]["redis server"].startswith(("Valkey ", "Redis "))
    assert processes_of(tmp_path) == []


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are told by /proc")
def test_ctrl_c_ends_every_process(environment: dict[str, str], tmp_path: Path) -> None:
    with start(["--only", "soak", "--out", str(tmp_path / "out")], environment) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if line.startswith("soak: 1"))
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=RUN_SECONDS)

    assert line
    assert process.returncode == 130
    assert "stopped" in told
    wait_until(lambda: processes_of(tmp_path) == [], "a process is left")
    assert not (tmp_path / "out").exists()


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """A server that answers the n-th request, with its body, as told."""
    counted = iter(range(1_000_000))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, body = answer(next(counted), asked)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    with running("idle", ["-c", "import time; time.sleep(60)"], tmp_path / "idle.log") as process:
        yield process


def test_the_speed_of_wrong_answers_is_not_measured(child: Child) -> None:
    with answering(lambda *_: (200, '{"predictions": [0.5]}')) as url:
        server = Server("rival", child, int(url.rstrip("/").rsplit(":", 1)[1]), "/{}")

        compare(server, "m", ["a:1"], [0.5000001])
        with pytest.raises(
            BenchmarkFailed, match=r"rival answers \[0\.5\] for a:1 and on, ONNX Runtime \[0\.6\]"
        ):
            compare(server, "m", ["a:1"], [0.6])


def test_a_server_that_ended_is_told_with_its_last_words(tmp_path: Path) -> None:
    with running("rival", ["-c", "raise SystemExit('no such model')"], tmp_path / "rival.log") as process:
        process.process.wait(RUN_SECONDS)

        with pytest.raises(BenchmarkFailed, match=r"rival ended with code 1.*\n  no such model"):
            process.check()


def test_the_open_load_counts_by_status_and_waits_for_no_answer(tmp_path: Path) -> None:
    with answering(lambda number, _: (429 if number % 3 == 0 else 200, "{}")) as url:
        told = load(url, tmp_path)
        words = ["127.0.0.1", url.rstrip("/").rsplit(":", 1)[1], "/", str(told.bodies), "100", "1", "4"]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.open_load", *words], cwd=ROOT, capture_output=True, check=True
        )

    seen = json.loads(done.stdout)
    assert seen["lost"] == 0
    assert seen["sent"] == sum(seen["statuses"].values()) > 0
    assert set(seen["statuses"]) == {"200", "429"}
    assert 0 < seen["accepted"]["p50_ms"] <= seen["accepted"]["p99_ms"]


def load(url: str, folder: Path, check: Check = "") -> Load:
    bodies = folder / "bodies.txt"
    bodies.write_text('{"keys": ["a:1"]}\n{"keys": ["a:2"]}\n')
    return Load(url, bodies, 1, 1, check=check)


def versioned(version: int, *values: float) -> tuple[int, str]:
    rows = ",".join(f'{{"key":"a:1","value":{value}}}' for value in values)
    return 200, f'{{"model":"m","version":{version},"predictions":[{rows}]}}'


def test_bodies_are_sent_in_turns(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(_: int, body: str) -> tuple[int, str]:
        asked.append(body)
        return 200, "{}"

    with answering(answer) as url:
        measure(load(url, tmp_path))

    assert set(asked[:2]) == {'{"keys": ["a:1"]}', '{"keys": ["a:2"]}'}
    assert asked[2:4] == asked[:2]


def test_bodies_of_one_length_are_sent_as_they_are(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(_: int, body: str) -> tuple[int, str]:
        asked.append(body)
        return 200, "{}"

    bodies = tmp_path / "bodies.bin"
    bodies.write_bytes(b"a\n\0bc\n\0d")
    with answering(answer) as url:
        measure(Load(url, bodies, 1, 1, body_bytes=4))

    assert set(asked) == {"a\n\0b", "c\n\0d"}


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are told by /proc")
def test_a_process_that_left_its_group_is_ended_too(tmp_path: Path) -> None:
    sleep = f"import time; '{tmp_path}'; time.sleep(60)"
    starts = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleep!r}], start_new_session=True)"
    )

    with running("parent", ["-c", starts], tmp_path / "parent.log"):
        wait_until(lambda: len(processes_of(tmp_path)) >= 2, "no process was started")

    wait_until(lambda: processes_of(tmp_path) == [], "a process is left")


@pytest.mark.parametrize("check", ["", "whole"])
def test_one_answer_that_is_no_200_stops_the_run(tmp_path: Path, check: Check) -> None:
    with (
        answering(lambda number, _: (503, "busy") if number == 5 else (200, "{}")) as url,
        pytest.raises(BenchmarkFailed, match=r"did not answer every request with 200 \(.*1 status"),
    ):
        measure(load(url, tmp_path, check))


def test_one_row_with_an_error_inside_a_200_stops_the_run(tmp_path: Path) -> None:
    bad = '{"predictions":[{"key":"a:1","error":{"code":"key_missing"}}]}'

    with (
        answering(lambda number, _: (200, bad if number == 5 else "{}")) as url,
        pytest.raises(BenchmarkFailed, match=r"1 wrong.*key_missing"),
    ):
        measure(load(url, tmp_path, "whole"))


def test_an_answer_that_mixes_versions_is_counted(tmp_path: Path) -> None:
    def answer(number: int, _: str) -> tuple[int, str]:
        return versioned(2, 0.99, 4.5e-05) if number == 5 else versioned(1 + number % 2, *[number % 2] * 2)

    with answering(answer) as url:
        seen = attempt(load(url, tmp_path, "version"))

    assert seen.errors == 1
    assert "4.5e-05" in seen.sample
    assert seen.figures["changes"] > 1
