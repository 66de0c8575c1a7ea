"""The case open-inference: its parts run by themselves, Insitu asked as each rival is, and the whole of it.

Rivals that are not installed, as in CI, are left out by the case itself, which says so.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from benchmarks import open_servers
from benchmarks.cases import open_inference
from benchmarks.faults import BenchmarkFailed
from benchmarks.infer_requests import METHOD
from benchmarks.networks import mlp, pooled
from benchmarks.open_servers import MLSERVER, RIVALS, by_grpc, in_binary, installed, open_insitu, rival
from benchmarks.options import Options
from benchmarks.peaks import Peak
from benchmarks.run import Run
from benchmarks.stage import Stage, staged
from models.composing import compose_bundle
from tests.conftest import missing

ROOT = Path(__file__).parents[3]
GROWTH_BYTES = 50_000_000
LIMIT_SECONDS = 200
GROWS = f"""
for line in iter(input, ""):
    block = bytearray({GROWTH_BYTES})
    del block
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as made:
        yield made


def printed(*words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", *words]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@contextmanager
def calls_answered(answers: Iterator[bytes], asked: list[bytes]) -> Iterator[int]:
    """A server by gRPC that answers the n-th call as told."""

    def infer(request: bytes, _context: object) -> bytes:
        asked.append(request)
        return next(answers)

    service, method = METHOD[1:].split("/")
    handlers = {method: grpc.unary_unary_rpc_method_handler(infer)}
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def endless(*answers: bytes) -> Iterator[bytes]:
    yield from answers
    while True:
        yield answers[-1]


def test_messages_are_sent_in_turns_as_they_are(tmp_path: Path) -> None:
    messages = tmp_path / "messages.bin"
    messages.write_bytes(b"aaabbb")
    asked: list[bytes] = []

    with calls_answered(endless(b"value"), asked) as port:
        told = printed("benchmarks.grpc_load", "127.0.0.1", str(port), str(messages), "3", "4", "1")

    assert set(asked) == {b"aaa", b"bbb"}
    assert told["requests"] == len(asked)
    assert 0 < told["p50_ms"] <= told["p99_ms"] <= told["max_ms"]
    assert told["client_share"] > 0


def test_answers_of_another_length_stop_the_load(tmp_path: Path) -> None:
    messages = tmp_path / "messages.bin"
    messages.write_bytes(b"aaa")
    words = [str(messages), "3", "2", "1"]

    with calls_answered(endless(b"value", b""), []) as port:
        command = [sys.executable, "-m", "benchmarks.grpc_load", "127.0.0.1", str(port), *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode
    assert "answers of [0, 5] bytes" in done.stderr


def test_a_batch_is_copied_and_run_without_a_server(tmp_path: Path) -> None:
    model, batch = tmp_path / "model.onnx", tmp_path / "batch.bin"
    model.write_bytes(mlp())
    batch.write_bytes(np.zeros((10, 32), np.float32).tobytes())

    told = printed("benchmarks.copied_run", str(model), str(batch), "32", "0.2")

    assert told["rate"] > 0
    assert 0 < told["p50_ms"] <= told["p99_ms"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks take /proc/PID/clear_refs")
def test_a_peak_that_is_over_is_still_told() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", GROWS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("warm\n")
        process.stdin.flush()
        process.stdout.readline()
        peak = Peak(process.pid)
        peak.forget()
        before = peak.growth_bytes

        process.stdin.write("grow\n")
        process.stdin.flush()
        process.stdout.readline()
        after = peak.growth_bytes
        process.stdin.write("\n")

    assert before < GROWTH_BYTES / 10
    assert after == pytest.approx(GROWTH_BYTES, rel=0.1)


def test_the_image_network_can_be_published_without_a_feature_view() -> None:
    bundle = compose_bundle(pooled(4), "pooled")

    assert bundle.manifest.features is None


def test_a_rival_that_is_not_there_is_left_out_and_said(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(open_servers, "PYTHON", tmp_path / "bin" / "python")
    run = Run(Options(), stage)

    with ExitStack() as stack:
        servers = list(open_inference.lined_up(run, stack))

    assert [server.name for server in servers] == ["Insitu"]
    for name in RIVALS:
        assert any(f"{name} is left out: {name} is not installed" in note for note in run.notes)


def test_a_rival_that_does_not_start_is_left_out_with_its_last_words(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_servers, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(open_servers, "installed", lambda _: True)

    with (
        pytest.raises(BenchmarkFailed, match="MLServer ended with code 1; its last words"),
        rival(stage, MLSERVER),
    ):
        pass


def test_wrong_values_are_not_measured() -> None:
    with pytest.raises(BenchmarkFailed, match=r"rival answers \[0.5\], ONNX Runtime \[0.6"):
        open_inference.same("rival", np.array([0.5], np.float32), np.array([0.6], np.float32))


@pytest.mark.usefixtures("_wrk")
def test_asked_in_the_way_of_each_rival_the_answers_are_those_of_onnx_runtime(stage: Stage) -> None:
    run = Run(Options(quick=True), stage)

    with open_insitu(stage) as server:
        for name in RIVALS:
            port = server.grpc_port if by_grpc(name) else 0
            asked = replace(server, name=name, grpc_port=port, binary=in_binary(name))
            open_inference.checked(run, asked)


@pytest.mark.usefixtures("_wrk")
def test_the_case_measures_every_rival_that_is_there_and_says_why_it_leaves_out_the_others(
    stage: Stage,
) -> None:
    run = Run(Options(seconds=1, rounds=1, quick=True), stage)

    open_inference.run(run)

    measured = {
        who: {one.series.setting for one in run.measurements.made if one.series.who == who}
        for who in ("Insitu", *RIVALS)
    }
    left_out = {name for name in RIVALS if any(f"{name} is left out" in note for note in run.notes)}
    assert {open_inference.HTTP, open_inference.GRPC, open_inference.BATCH} < measured["Insitu"]
    for name in RIVALS:
        assert (name in left_out) == (not measured[name]) == (not installed(RIVALS[name]))


@pytest.fixture
def _wrk() -> None:
    if shutil.which("wrk") is None:
        missing("no wrk: apt install wrk")
