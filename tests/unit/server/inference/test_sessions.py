"""A session says which provider runs it and, in plain words, what ONNX Runtime refuses."""

import threading
import time

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from models.bundle import Bundle
from models.execution import Execution
from server.inference import sessions
from server.inference.errors import ModelNotLoadable, ProviderUnavailable, RunFailed
from server.inference.memory import heap_bytes
from server.inference.sessions import (
    CPU,
    CUDA,
    PIECE_BYTES,
    PROBE,
    REASON_CHARACTERS,
    Session,
    choose_provider,
    cuda_runs,
    in_time,
    meant,
    mentions,
    reason_of,
    shrink_arena,
)
from tests.graphs import bundle, f32, looked_up, looping, model, node, numbered, scaled, value

FAILED = "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Reshape node."
no_cuda = pytest.mark.skipif(CUDA in ort.get_available_providers(), reason="this machine may have CUDA")


def test_the_cpu_is_taken_when_it_is_asked_for() -> None:
    assert choose_provider("cpu") == CPU


@no_cuda
def test_auto_takes_the_cpu_where_there_is_no_cuda() -> None:
    assert choose_provider("auto") == CPU


@no_cuda
def test_cuda_asked_for_by_name_and_not_there_is_refused() -> None:
    with pytest.raises(
        ProviderUnavailable, match=r"INSITU_PROVIDER=cuda.*CPUExecutionProvider.*insitu\[gpu\]"
    ):
        choose_provider("cuda")


def test_cuda_is_taken_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(sessions, "cuda_runs", lambda: True)

    assert choose_provider("auto") == choose_provider("cuda") == CUDA


def test_a_package_with_cuda_that_fails_to_start_is_no_cuda(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("libcudnn.so.9: cannot open shared object file")

    monkeypatch.setattr(ort, "InferenceSession", broken)

    assert not cuda_runs()
    assert "libcudnn.so.9" in caplog.text


def test_a_session_that_silently_falls_back_is_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    session = ort.InferenceSession
    monkeypatch.setattr(
        ort, "InferenceSession", lambda data, options, **_: session(data, options, providers=[CPU])
    )

    assert not cuda_runs()


@no_cuda
def test_a_package_without_cuda_does_not_run_on_it() -> None:
    assert not cuda_runs()


@no_cuda
def test_a_session_says_which_provider_really_runs_it(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        session = Session(numbered(bundle(scaled())), CUDA)

    assert session.provider == CPU
    assert "m v1 runs on CPUExecutionProvider" in caplog.text


def test_a_session_runs_on_the_cpu_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    session = Session(numbered(bundle(scaled(3.0))))

    outputs = session.run({"x": np.ones((1, 2), np.float32)})

    assert outputs["y"].tolist() == [[3, 3]]
    assert session.provider == CPU
    assert caplog.text == ""


def test_bytes_that_onnx_runtime_refuses_are_named() -> None:
    manifest = bundle(scaled()).manifest.model_copy(update={"version": 4})
    unknown = model([node("Nope", "x", "y")], [value("x", ["rows", 2])], [value("y", ["rows", 2])])

    with pytest.raises(ModelNotLoadable, match=r"version 4 of model 'm' .*No Op registered for Nope"):
        Session(Bundle(manifest, unknown))


def test_a_graph_with_a_loop_is_known() -> None:
    assert Session(numbered(bundle(looping(1)))).endless
    assert not Session(numbered(bundle(scaled()))).endless


def test_a_row_that_fails_is_told_by_node_and_value() -> None:
    session = Session(numbered(bundle(looked_up(np.eye(3, dtype=np.float32)))))

    with pytest.raises(RunFailed) as caught:
        session.run({"i": np.array([7])})

    assert str(caught.value) == (
        "model 'm' version 1 could not run this row: "
        "Gather: indices element out of data bounds, idx=7 must be within the inclusive range [-3,2]"
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Invalid rank for input: i",
            "Invalid rank for input: i",
        ),
        (
            f"{FAILED} Name:'r' Status Message: /onnxruntime_src/core/r.h:91 f(const T&, bool) it cannot be\nmore",
            "Reshape r: it cannot be",
        ),
        ("", "RuntimeError"),
        ("x" * 1000, "x" * REASON_CHARACTERS),
    ],
)
def test_what_onnx_runtime_says_is_told_without_its_source_lines(said: str, told: str) -> None:
    assert reason_of(RuntimeError(said)) == told


def test_what_takes_too_long_is_stopped_from_another_thread() -> None:
    stopped = threading.Event()

    with in_time(0.01, stopped.set):
        assert stopped.wait(5)


def test_what_ends_in_time_is_not_stopped() -> None:
    stopped = threading.Event()

    with in_time(0.05, stopped.set):
        pass

    assert not stopped.wait(0.1)


def test_a_load_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LOAD_SECONDS", 0.0)
    waiting = ort.InferenceSession

    def late(data: bytes, options: ort.SessionOptions, **chosen: object) -> ort.InferenceSession:
        time.sleep(0.1)
        return waiting(data, options, **chosen)

    monkeypatch.setattr(ort, "InferenceSession", late)

    with pytest.raises(ModelNotLoadable, match=r"(?i)cancel"):
        Session(numbered(bundle(scaled())))


def test_what_a_large_batch_took_is_kept_once_for_all_sessions_and_given_back() -> None:
    nodes = [node("Mul", "x f", "a"), node("Exp", "a", "b"), node("Mul", "b x", "y")]
    graph = model(nodes, [value("x", ["rows", 64])], [value("y", ["rows", 64])], {"f": f32(2.0)})
    several = [Session(numbered(bundle(graph))) for _ in range(8)]
    rows = np.ones((1 << 14, 64), np.float32)
    several[0].run({"x": rows})
    before = heap_bytes()

    for session in several:
        session.run({"x": rows})

    kept = heap_bytes()
    shrink_arena()
    after = heap_bytes()
    if before is not None and kept is not None and after is not None:  # counted by glibc alone
        assert kept - before < 4 * rows.nbytes  # an arena each would keep 8 times as much as one at the least
        assert after < kept


@pytest.mark.parametrize("size", [1, PIECE_BYTES - 3, PIECE_BYTES, 2 * PIECE_BYTES + 1])
def test_a_word_is_found_wherever_it_stands(size: int) -> None:
    assert mentions(b"x" * size + b"Loop" + b"x" * size, b"Loop")
    assert not mentions(b"x" * size + b"Lop" + b"x" * size, b"Loop")


def test_the_probe_is_the_file_that_its_comment_names() -> None:
    probe = onnx.load_model_from_string(PROBE)

    assert [one.op_type for one in probe.graph.node] == ["Relu"]
    assert (probe.ir_version, probe.opset_import[0].version) == (8, 17)


@pytest.mark.parametrize(
    ("device", "providers"),
    [
        (None, {CUDA: {}, CPU: {}}),
        ("GPU", {CUDA: {}, CPU: {}}),
        ("gpu:2", {CUDA: {"device_id": "2"}, CPU: {}}),
        ("CPU", {CPU: {}}),
        ("cpu:1", {CPU: {}}),
    ],
)
def test_a_model_gets_the_device_that_it_was_stored_for(
    device: str | None, providers: dict[str, dict[str, str]]
) -> None:
    execution = Execution(key="m", device=device) if device else None

    assert list(meant(CUDA, execution).items()) == list(providers.items())
    assert meant(CPU, execution) == {CPU: {}}


def test_a_large_file_is_loaded_by_a_path_that_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "LARGE_BYTES", 0)
    before = set(sessions.OPEN_FILES.iterdir()) if sessions.OPEN_FILES.is_dir() else set()

    session = Session(numbered(bundle(scaled())))

    assert session.run({"x": f32([[1, 2]])})["y"].tolist() == [[2, 4]]
    assert before == (set(sessions.OPEN_FILES.iterdir()) if before else set())


def test_a_file_is_refused_in_the_same_words_by_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bundle(scaled())
    model = onnx.load_model_from_string(whole.onnx)
    model.graph.node[0].op_type = "Nope"
    broken = numbered(Bundle(whole.manifest, model.SerializeToString()))
    told = []

    for limit in (1 << 20, 0):
        monkeypatch.setattr(sessions, "LARGE_BYTES", limit)
        with pytest.raises(ModelNotLoadable) as refused:
            Session(broken)
        told.append(str(refused.value))

    assert told[0] == told[1]
    assert "This is an invalid model" in told[0]
