"""The repository over HTTP: what is there, loaded with and without a file, and out of memory again."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from models.store import ModelStore
from tests.graphs import bundle, constant, scaled
from tests.integration.rest.conftest import Client, Serve, StartDoor
from tests.integration.rest.graphs import churn
from tests.serving import ServeCommand

FILE = "file:1/model.onnx"


@pytest.fixture
async def server(serve: Serve, store: ModelStore) -> ServeCommand:
    await store.publish(churn())
    await store.publish(bundle(scaled(), "twice"))
    return serve()


@pytest.fixture
def triton(tritonclient: Any, server: ServeCommand) -> Iterator[Any]:
    with tritonclient.InferenceServerClient(urlsplit(server.url).netloc) as client:
        yield client


def states(client: Any) -> dict[str, str]:
    return {f"{one['name']} {one['version']}": one["state"] for one in client.get_model_repository_index()}


def asked(tritonclient: Any, client: Any, name: str) -> Any:
    one = tritonclient.InferInput("x", [1, 2], "FP32")
    one.set_data_from_numpy(np.array([[1, 2]], np.float32))
    return client.infer(name, [one]).as_numpy("y").tolist()


def test_what_is_unloaded_leaves_the_memory_and_comes_back(tritonclient: Any, triton: Any) -> None:
    before = states(triton)
    triton.unload_model("twice")
    unloaded, was_ready = states(triton), triton.is_model_ready("twice")
    triton.load_model("twice")

    assert before == {"churn 1": "READY", "twice 1": "READY"}
    assert unloaded == {"churn 1": "READY", "twice 1": "UNAVAILABLE"}
    assert not was_ready
    assert triton.is_model_ready("twice")
    assert states(triton) == before
    triton.unload_model("twice")
    assert asked(tritonclient, triton, "twice") == [[2, 4]]


async def test_a_file_that_is_loaded_is_published(tritonclient: Any, triton: Any, store: ModelStore) -> None:
    triton.load_model("new", config='{"backend": "onnxruntime"}', files={FILE: scaled(3.0)})
    triton.load_model("new", config="{}", files={"file:7/model.onnx": constant(5.0)})

    assert asked(tritonclient, triton, "new") == [[5]]
    assert await store.versions("new") == [1, 2]
    assert (await store.aliases("new"))["production"] == 2
    assert states(triton)["new 2"] == "READY"


def test_what_is_not_there_is_told(tritonclient: Any, triton: Any) -> None:
    refused = tritonclient.InferenceServerException

    triton.unload_model("nope", unload_dependents=True)
    with pytest.raises(refused, match="'nope' is not stored"):
        triton.load_model("nope")
    with pytest.raises(refused, match="no ONNX model"):
        triton.load_model("bad", config="{}", files={FILE: b"no model"})
    with pytest.raises(refused, match="backend 'tensorflow'"):
        triton.load_model("bad", config='{"backend": "tensorflow"}', files={FILE: scaled()})


BODIES: list[tuple[str, bytes, str]] = [
    ("index", b"[]", "the body is a list"),
    ("index", b"{", "no JSON"),
    ("index", b'{"ready": "yes"}', "'ready'"),
    ("models/churn/load", b'{"parameters": []}', "parameters is a list"),
    ("models/churn/load", b'{"parameters": {"file:1/model.onnx": 7}}', "send the file in base64"),
    ("models/churn/load", b'{"parameters": {"file:1/model.onnx": "%%%"}}', "no base64"),
    ("models/churn/load", b'{"parameters": {"file:1/model.onnx": "AAAA"}}', "no ONNX model"),
    ("models/churn/load", b'{"parameters": {"config": 7}}', "`config`"),
    ("models/churn/load", b'{"parameters": {"own": 7}}', "own"),
    ("models/no such/load", b"", "not a valid name"),
    ("models/no such/unload", b"", "not a valid name"),
    ("models/churn/unload", b'{"parameters": 1}', "parameters is a number"),
]


@pytest.mark.parametrize(("path", "body", "told"), BODIES)
async def test_what_is_wrong_with_a_body_is_named(
    client: Client, store: ModelStore, path: str, body: bytes, told: str
) -> None:
    await store.publish(churn())

    response = await client.post(f"/v2/repository/{path}", content=body)

    assert response.status_code == 400
    assert told in response.json()["error"]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"ready": false}', b'{"ready": null, "repository_name": "x"}']
)
async def test_an_index_may_be_asked_for_with_nothing(client: Client, store: ModelStore, body: bytes) -> None:
    await store.publish(churn())

    response = await client.post("/v2/repository/index", content=body)

    assert [one["name"] for one in response.json()] == ["churn"]


async def test_a_file_over_the_bound_is_refused(start: StartDoor) -> None:
    client = await start(model_limit_bytes=1024)

    response = await client.post("/v2/repository/models/m/load", content=b" " * (3 << 20))

    assert (response.status_code, list(response.json())) == (413, ["error"])
