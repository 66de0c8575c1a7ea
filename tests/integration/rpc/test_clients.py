"""The clients that users have, unchanged, against a real server: every call, every datatype."""

import asyncio
import json
import os
import queue
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.connecting import connect
from models.store import ModelStore
from tests.conftest import missing
from tests.graphs import bundle, passed, scaled
from tests.integration.rest.graphs import churn
from tests.integration.rpc.tensors import ONNX, TENSORS, same
from tests.serving import ServeCommand, serving

ROOT = Path(__file__).parents[3]
CHILD = Path(__file__).parent / "kserve_child.py"
ANSWER_SECONDS = 30.0
LEAVES = [[0.973403, 0.026597]]  # what `churn` says of customer 1


@pytest.fixture(scope="module")
def served(redis_binary: Path) -> Iterator[ServeCommand]:
    """A server process with a model of every datatype and `churn`."""
    with serving(fill, redis_binary) as server:
        yield server


async def fill(url: str) -> None:
    store = ModelStore(connect(url))
    for datatype, kind in ONNX.items():
        await store.publish(bundle(passed(kind, ["rows", 2]), same(datatype)))
    await store.publish(churn())
    await store.redis.hset("customer:1", mapping={"age": 40, "spend": 10})
    await store.redis.aclose()


def tritonclient(name: str) -> Any:
    """Return a module of tritonclient."""
    if find_spec("tritonclient") is None:
        missing("no tritonclient: pip install 'insitu[clients]'")
    return import_module(name)


@pytest.fixture(scope="module")
def triton() -> Any:
    return tritonclient("tritonclient.grpc")


@pytest.fixture(scope="module")
def client(triton: Any, served: ServeCommand) -> Iterator[Any]:
    with triton.InferenceServerClient(served.grpc) as one:
        yield one


def given(module: Any, datatype: str, name: str = "x") -> Any:
    tensor = TENSORS[datatype]
    one = module.InferInput(name, list(tensor.shape), datatype)
    one.set_data_from_numpy(tensor)
    return one


def plain(tensor: Any) -> Any:
    """Return a tensor with texts in place of their UTF-8."""
    decoded = [one.decode() if isinstance(one, bytes) else one for one in tensor.reshape(-1).tolist()]
    return (tensor.shape, decoded)


@pytest.mark.parametrize("datatype", TENSORS)
def test_tritonclient_gets_back_what_it_sends(triton: Any, client: Any, datatype: str) -> None:
    answer = client.infer(
        same(datatype), [given(triton, datatype)], request_id="7", priority=1, timeout=20_000_000
    )

    assert answer.get_response().id == "7"
    assert plain(answer.as_numpy("y")) == plain(TENSORS[datatype])


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_tritonclient_may_compress(triton: Any, client: Any, compression: str) -> None:
    answer = client.infer(same("FP32"), [given(triton, "FP32")], compression_algorithm=compression)

    assert plain(answer.as_numpy("y")) == plain(TENSORS["FP32"])


def test_tritonclient_names_rows_by_redis_keys(triton: Any, client: Any) -> None:
    key = triton.InferInput("id", [1], "BYTES")
    key.set_data_from_numpy(np.array(["1"], object))

    answer = client.infer("churn", [key], outputs=[triton.InferRequestedOutput("y")])
    classes = client.infer("churn", [key], outputs=[triton.InferRequestedOutput("y", class_count=1)])

    np.testing.assert_allclose(answer.as_numpy("y"), LEAVES, atol=1e-6)
    assert classes.as_numpy("y").tolist() == [[b"0.973403:0:stays"]]


def test_tritonclient_is_told_about_server_and_models(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("churn")
    assert client.is_model_ready("churn", "1")
    assert not client.is_model_ready("nope")
    assert not client.is_model_ready("churn", "9")
    server = client.get_server_metadata()
    assert server.name == "insitu"
    assert "statistics" in server.extensions
    metadata = client.get_model_metadata("churn", as_json=True)
    assert metadata["versions"] == ["1"]
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "2"]}]
    config = client.get_model_config("churn", as_json=True)["config"]
    assert (config["backend"], config["max_batch_size"]) == ("onnxruntime", 4096)
    assert config["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": ["2"]}]
    assert "dynamic_batching" in config
    assert config["parameters"]["key_inputs"]["string_value"] == "id:BYTES:[-1]"


def test_tritonclient_reads_settings_that_do_not_change(triton: Any, client: Any) -> None:
    assert client.get_trace_settings(as_json=True)["settings"]["trace_level"]["value"] == ["OFF"]
    assert client.get_trace_settings("churn", as_json=True)["settings"]["trace_mode"]["value"] == ["triton"]
    assert client.get_log_settings(as_json=True)["settings"]["log_error"]["bool_param"]
    assert client.update_trace_settings(settings={"trace_level": ["OFF"]}) is not None
    for change in (
        lambda: client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]}),
        lambda: client.update_log_settings({"log_verbose_level": 3}),
        lambda: client.register_system_shared_memory("a", "/a", 16),
        lambda: client.register_cuda_shared_memory("a", b"aGFuZGxl", 0, 16),
    ):
        with pytest.raises(Exception, match="INVALID_ARGUMENT"):
            change()
    assert not client.get_system_shared_memory_status(as_json=True)
    assert not client.get_cuda_shared_memory_status(as_json=True)
    client.unregister_system_shared_memory()
    client.unregister_cuda_shared_memory()


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        (("nope", "", "x", "FP32"), "NOT_FOUND", "model 'nope' is not stored"),
        (("same_fp32", "9", "x", "FP32"), "NOT_FOUND", "has no version 9"),
        (("same_fp32", "canary", "x", "FP32"), "NOT_FOUND", "has no alias 'canary'"),
        (("same_fp32", "", "z", "FP32"), "INVALID_ARGUMENT", "no input 'z'"),
        (("same_fp32", "", "x", "FP64"), "INVALID_ARGUMENT", "input 'x' is FP64, the model takes FP32"),
    ],
)
def test_tritonclient_is_told_what_is_wrong(
    triton: Any, client: Any, asked: tuple[str, str, str, str], status: str, told: str
) -> None:
    model, version, name, datatype = asked

    with pytest.raises(Exception, match=told) as refused:
        client.infer(model, [given(triton, datatype, name)], version)

    assert status in str(refused.value)


def test_a_stream_of_tritonclient_outlives_an_error(triton: Any, client: Any) -> None:
    told: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: told.put((result, error)))
    for number, name in enumerate(("same_fp32", "nope", "same_fp32")):
        client.async_stream_infer(name, [given(triton, "FP32")], request_id=str(number))
    answers = [told.get(timeout=ANSWER_SECONDS) for _ in range(3)]
    client.stop_stream()

    assert [error is None for _, error in answers] == [True, False, True]
    assert [answers[at][0].get_response().id for at in (0, 2)] == ["0", "2"]
    assert "model 'nope' is not stored" in str(answers[1][1])


def test_a_stream_may_ask_which_answer_is_the_last(triton: Any, client: Any) -> None:
    told: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: told.put((result, error)))
    client.async_stream_infer("same_fp32", [given(triton, "FP32")], enable_empty_final_response=True)
    answer, error = told.get(timeout=ANSWER_SECONDS)
    client.stop_stream()

    assert error is None
    assert answer.get_response().parameters["triton_final_response"].bool_param


async def test_the_asyncio_client_is_answered_and_streams(served: ServeCommand) -> None:
    module = tritonclient("tritonclient.grpc.aio")

    async def requests() -> AsyncIterator[dict[str, Any]]:
        for number in range(100):
            yield {"model_name": same("FP32"), "inputs": [given(module, "FP32")], "request_id": str(number)}

    async with module.InferenceServerClient(served.grpc) as client:
        answers = await asyncio.gather(
            *(client.infer(same(datatype), [given(module, datatype)]) for datatype in TENSORS)
        )
        streamed = [pair async for pair in client.stream_infer(requests())]

    assert [plain(one.as_numpy("y")) for one in answers] == [plain(one) for one in TENSORS.values()]
    assert [error for _, error in streamed] == [None] * 100
    assert [result.get_response().id for result, _ in streamed] == [str(number) for number in range(100)]


def test_the_client_of_kserve_is_answered(served: ServeCommand) -> None:
    if find_spec("kserve") is None:
        missing("no kserve: pip install 'insitu[clients]'")

    done = subprocess.run(
        [sys.executable, str(CHILD), served.grpc],
        env={**os.environ, "PYTHONPATH": str(ROOT), "no_proxy": "127.0.0.1"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["live"], told["ready"], told["model"], told["nope"]) == (True, True, True, False)
    np.testing.assert_allclose(told["key"], LEAVES, atol=1e-6)
    assert told["differing"] == []
    assert [code for code, _ in told["refused"]] == ["NOT_FOUND", "INVALID_ARGUMENT"]


def test_tritonclient_loads_and_unloads_what_the_repository_has(client: Any) -> None:
    index = client.get_model_repository_index(as_json=True)["models"]
    assert {one["name"] for one in index} == {"churn", *map(same, TENSORS)}

    client.unload_model(same("INT16"))
    assert not client.is_model_ready(same("INT16"))
    client.load_model(same("INT16"))
    assert client.is_model_ready(same("INT16"))
    client.unload_model("nope")
    with pytest.raises(Exception, match=r"NOT_FOUND.*model 'nope' is not stored"):
        client.load_model("nope")


def test_tritonclient_loads_a_file_as_the_next_version(triton: Any, client: Any) -> None:
    ones = triton.InferInput("x", [1, 2], "FP32")
    ones.set_data_from_numpy(np.ones((1, 2), np.float32))

    client.load_model("sent", config="{}", files={"file:1/model.onnx": scaled(3.0)})
    first = client.infer("sent", [ones])
    client.load_model("sent", config="{}", files={"file:1/model.onnx": scaled(5.0)})
    second = client.infer("sent", [ones])

    assert [one.get_response().model_version for one in (first, second)] == ["1", "2"]
    assert [one.as_numpy("y").tolist() for one in (first, second)] == [[[3.0, 3.0]], [[5.0, 5.0]]]


def test_statistics_count_what_was_sent(triton: Any, client: Any) -> None:
    def counted() -> Any:
        return client.get_inference_statistics(same("UINT16"), as_json=True)["model_stats"][0]

    def number(value: Any) -> int:
        return int(value or 0)

    client.infer(same("UINT16"), [given(triton, "UINT16")])
    before = counted()
    for _ in range(7):
        client.infer(same("UINT16"), [given(triton, "UINT16")])
    for _ in range(3):
        with pytest.raises(Exception, match="INVALID_ARGUMENT"):
            client.infer(same("UINT16"), [given(triton, "UINT8")])
    after = counted()

    def grown(*path: str) -> int:
        old, new = before, after
        for name in path:
            old, new = old.get(name, {}), new[name]
        return number(new) - number(old)

    assert grown("inference_stats", "success", "count") == 7
    assert grown("inference_stats", "fail", "count") == 3
    assert grown("inference_count") == 14  # rows: two a request
    assert grown("execution_count") == 7
    assert grown("inference_stats", "compute_infer", "ns") > 0
    assert [one["batch_size"] for one in after["batch_stats"]] == ["2"]
    with pytest.raises(Exception, match=r"INVALID_ARGUMENT.*model 'nope' is not stored"):
        client.get_inference_statistics("nope")
    assert len(client.get_inference_statistics(as_json=True)["model_stats"]) >= 2


def test_what_perf_analyzer_asks_before_it_measures_is_answered(triton: Any, client: Any) -> None:
    for _ in range(2):
        assert client.is_server_ready()
        assert client.get_server_metadata().extensions
        assert client.get_model_metadata(same("FP32")).outputs[0].name == "y"
        assert client.get_model_config(same("FP32")).config.max_batch_size > 1
        for _ in range(4):
            assert client.get_inference_statistics(same("FP32")).model_stats[0].name == same("FP32")
        client.infer(same("FP32"), [given(triton, "FP32")])
