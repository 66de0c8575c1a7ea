"""NVIDIA's client for HTTP drives every call, in every datatype, against a real server."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from server.open_inference.datatypes import DTYPES
from tests.integration.rest.v2.stored import extremes, same
from tests.serving import ServeCommand

WAYS = [(True, True), (True, False), (False, True), (False, False)]
FORMS = [  # the client sends BF16 as bytes alone
    (one, *way) for one in DTYPES for way in WAYS if one != "BF16" or way[0]
]
CODINGS = [None, "gzip", "deflate"]


@pytest.fixture
def client(tritonclient: Any, served: ServeCommand) -> Iterator[Any]:
    with tritonclient.InferenceServerClient(urlsplit(served.url).netloc) as client:
        yield client


def given(module: Any, name: str, datatype: str, tensor: Any, binary: bool = True) -> Any:
    """Return an input."""
    one = module.InferInput(name, list(tensor.shape), datatype)
    one.set_data_from_numpy(tensor, binary_data=binary)
    return one


def texts(tensor: Any) -> Any:
    """Return a tensor with texts in place of their UTF-8, which the client gives."""
    if tensor.dtype.kind != "O":
        return tensor.tolist()
    flat = [one.decode() if isinstance(one, bytes) else one for one in tensor.reshape(-1).tolist()]
    return np.array(flat, object).reshape(tensor.shape).tolist()


@pytest.mark.parametrize(("datatype", "binary_in", "binary_out"), FORMS)
def test_every_datatype_comes_back_as_it_was_sent(
    tritonclient: Any, client: Any, datatype: str, binary_in: bool, binary_out: bool
) -> None:
    tensor = extremes(datatype)

    answer = client.infer(
        same(datatype),
        [given(tritonclient, "x", datatype, tensor, binary_in)],
        outputs=[tritonclient.InferRequestedOutput("y", binary_data=binary_out)],
    )

    assert answer.get_output("y")["datatype"] == datatype
    assert texts(answer.as_numpy("y")) == texts(tensor)


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_numbers_that_are_not_finite_are_read_from_json(
    tritonclient: Any, client: Any, datatype: str
) -> None:
    tensor = extremes(datatype)
    tensor.reshape(-1)[:3] = np.nan, np.inf, -np.inf

    answer = client.infer(same(datatype), [given(tritonclient, "x", datatype, tensor, binary=False)])

    np.testing.assert_array_equal(answer.as_numpy("y"), tensor)


@pytest.mark.parametrize("datatype", DTYPES)
async def test_the_client_for_asyncio_sends_and_reads_every_datatype(
    tritonclient_aio: Any, served: ServeCommand, datatype: str
) -> None:
    tensor = extremes(datatype)

    async with tritonclient_aio.InferenceServerClient(urlsplit(served.url).netloc) as client:
        answer = await client.infer(same(datatype), [given(tritonclient_aio, "x", datatype, tensor)])

    assert texts(answer.as_numpy("y")) == texts(tensor)


@pytest.mark.parametrize("asked", CODINGS)
@pytest.mark.parametrize("told", CODINGS)
@pytest.mark.parametrize("rows", [1, 4000])
def test_bodies_are_compressed_both_ways(
    tritonclient: Any, client: Any, asked: str | None, told: str | None, rows: int
) -> None:
    tensor = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)

    answer = client.infer(
        same("FP32"),
        [given(tritonclient, "x", "FP32", tensor)],
        request_compression_algorithm=asked,
        response_compression_algorithm=told,
    )

    assert (answer.as_numpy("y") == tensor).all()


@pytest.mark.parametrize("coding", CODINGS)
async def test_the_client_for_asyncio_takes_compressed_answers(
    tritonclient_aio: Any, served: ServeCommand, coding: str | None
) -> None:
    tensor = np.arange(8000, dtype=np.float32).reshape(4000, 2)

    async with tritonclient_aio.InferenceServerClient(urlsplit(served.url).netloc) as client:
        answer = await client.infer(
            same("FP32"),
            [given(tritonclient_aio, "x", "FP32", tensor)],
            request_compression_algorithm=coding,
            response_compression_algorithm=coding,
        )

    assert (answer.as_numpy("y") == tensor).all()


def test_inputs_and_outputs_may_differ_in_their_form(tritonclient: Any, client: Any) -> None:
    a = np.array([[1, 2], [3, 4]], np.float32)
    t = np.array([["p"], ["ä"]], object)
    inputs = [
        given(tritonclient, "t", "BYTES", t, binary=True),
        given(tritonclient, "a", "FP32", a, binary=False),
        given(tritonclient, "b", "FP32", 10 * a, binary=True),
    ]
    outputs = [
        tritonclient.InferRequestedOutput("text", binary_data=True),
        tritonclient.InferRequestedOutput("total", binary_data=False),
    ]

    answer = client.infer("two", inputs, outputs=outputs)

    assert [one["name"] for one in answer.get_response()["outputs"]] == ["text", "total"]
    assert texts(answer.as_numpy("text")) == [["p"], ["ä"]]
    assert (answer.as_numpy("total") == 11 * a).all()


def test_a_request_has_an_id_a_version_an_alias_a_priority_and_a_timeout(
    tritonclient: Any, client: Any
) -> None:
    inputs = [given(tritonclient, "x", "FP32", np.array([[40, 10]], np.float32))]

    by_default = client.infer(
        "churn", inputs, request_id="a 17", priority=3, timeout=9_000_000
    ).get_response()
    by_number = client.infer("churn", inputs, model_version="2").get_response()
    by_alias = client.infer("churn", inputs, model_version="canary", parameters={"own": "x"}).get_response()

    assert (by_default["id"], by_default["model_version"]) == ("a 17", "1")
    assert "id" not in by_number
    assert by_number["model_version"] == by_alias["model_version"] == "2"


def test_the_likeliest_classes_are_told_with_their_labels(tritonclient: Any, client: Any) -> None:
    inputs = [given(tritonclient, "x", "FP32", np.array([[40, 10], [0, 50]], np.float32))]
    outputs = [tritonclient.InferRequestedOutput("y", class_count=2)]

    answer = client.infer("churn", inputs, outputs=outputs)

    assert answer.get_output("y")["shape"] == [2, 2]
    told = [one.split(":")[1:] for one in np.array(texts(answer.as_numpy("y"))).reshape(-1)]
    assert told == [["0", "stays"], ["1", "leaves"], ["1", "leaves"], ["0", "stays"]]


@pytest.mark.parametrize("binary", [True, False])
def test_rows_are_named_by_redis_keys(tritonclient: Any, client: Any, binary: bool) -> None:
    keys = np.array(["1", "Zoë 客", "2"], object)
    described = client.get_model_metadata("churn")["properties"]

    by_keys = client.infer("churn", [given(tritonclient, "id", "BYTES", keys, binary)]).as_numpy("y")
    features = np.array([[40, 10], [40, 1], [23, 48]], np.float32)
    by_tensors = client.infer("churn", [given(tritonclient, "x", "FP32", features)]).as_numpy("y")

    assert described["keys"] == "customer:{id}"
    assert described["key_inputs"] == "id:BYTES:[-1]"
    assert (by_keys == by_tensors).all()


def test_a_server_and_a_model_are_described(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("churn")
    assert client.is_model_ready("churn", "canary")
    assert not client.is_model_ready("nope")
    assert not client.is_model_ready("churn", "9")
    assert client.get_server_metadata()["name"] == "insitu"
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("churn", "1")
    assert metadata["versions"] == ["1", "2"]
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
    config = client.get_model_config("same_bytes")
    assert config["max_batch_size"] == 4096
    assert config["input"] == [{"name": "x", "data_type": "TYPE_STRING", "dims": [2]}]


def test_settings_are_told_and_stay(tritonclient: Any, client: Any) -> None:
    refused = tritonclient.InferenceServerException

    assert client.get_trace_settings()["trace_level"] == ["OFF"]
    assert client.get_trace_settings("churn") == client.update_trace_settings("churn", {"trace_rate": None})
    assert client.get_log_settings()["log_error"] is True
    assert client.update_log_settings({}) == client.get_log_settings()
    with pytest.raises(refused, match="'trace_level' cannot become"):
        client.update_trace_settings(settings={"trace_level": ["TIMESTAMPS"]})
    with pytest.raises(refused, match="INSITU_LOG_LEVEL"):
        client.update_log_settings({"log_verbose_level": 9})


def test_there_is_no_shared_memory(tritonclient: Any, client: Any) -> None:
    refused = tritonclient.InferenceServerException

    assert client.get_system_shared_memory_status() == []
    assert client.get_cuda_shared_memory_status() == []
    client.unregister_system_shared_memory()
    client.unregister_cuda_shared_memory("r")
    with pytest.raises(refused, match="shared memory is not supported"):
        client.register_system_shared_memory("r", "/r", 64)
    with pytest.raises(refused, match="shared memory is not supported"):
        client.register_cuda_shared_memory("r", b"handle", 0, 64)
    one = tritonclient.InferInput("x", [1, 2], "FP32")
    one.set_shared_memory("r", 8)
    with pytest.raises(refused, match="input 'x' lies in shared memory"):
        client.infer("churn", [one])


def test_what_perf_analyzer_asks_before_it_measures_is_answered(tritonclient: Any, client: Any) -> None:
    x = given(tritonclient, "x", "FP32", np.array([[1, 2]], np.float32))

    server, model = client.get_server_metadata(), client.get_model_metadata(same("FP32"))
    config = client.get_model_config(same("FP32"))
    told = []
    for _ in range(4):
        client.infer(same("FP32"), [x])
        (stats,) = client.get_inference_statistics(same("FP32"))["model_stats"]
        told.append(stats["inference_stats"])
    counts = [one["success"]["count"] for one in told]

    assert {"statistics", "model_configuration", "binary_tensor_data"} < set(server["extensions"])
    assert [(one["name"], one["datatype"], one["shape"]) for one in model["inputs"]] == [
        ("x", "FP32", [-1, 2])
    ]
    assert (config["max_batch_size"], config["input"][0]["dims"]) == (4096, [2])
    assert not {"sequence_batching", "ensemble_scheduling"} & set(config)
    assert counts == list(range(counts[0], counts[0] + 4))
    assert {"success", "fail", "queue", "compute_input", "compute_infer", "compute_output"} < set(told[0])


def test_an_error_is_told_with_its_status(tritonclient: Any, client: Any) -> None:
    x = given(tritonclient, "x", "FP32", np.array([[40, 10]], np.float32))
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"model_name": "nope", "inputs": [x]}, "404", "'nope' is not stored"),
        ({"model_name": "churn", "inputs": [x], "model_version": "9"}, "404", "no version 9"),
        ({"model_name": "churn", "inputs": [x], "model_version": "blue"}, "404", "no alias 'blue'"),
        ({"model_name": "same_int8", "inputs": [x]}, "400", "input 'x' is FP32, the model takes INT8"),
        ({"model_name": "two", "inputs": [x]}, "400", "no input 'x'"),
        (
            {"model_name": "churn", "inputs": [x], "outputs": [tritonclient.InferRequestedOutput("z")]},
            "400",
            "no output 'z'",
        ),
        ({"model_name": "churn", "inputs": [x], "timeout": 1}, "504", "not answered within"),
    ]

    for asked, status, told in cases:
        with pytest.raises(tritonclient.InferenceServerException, match=told) as caught:
            client.infer(**asked)
        assert caught.value.status() == status
