"""What a large tensor takes: it is received once and shared from there; what only claims to be large takes nothing."""

import gzip
import json

import numpy as np
import pytest

from models.store import ModelStore
from tests.graphs import bundle, model, node, value
from tests.integration.rest.conftest import Client, StartDoor
from tests.memory import peak

PATH = "/v2/models/greatest/infer"
LENGTH = "inference-header-content-length"
WIDTH = 5 << 20  # 20 MiB of float32
BODY_BYTES = 4 * WIDTH


def greatest() -> bytes:
    """y = the greatest of a row of any width."""
    nodes = [node("ReduceMax", "x", "y", axes=[1], keepdims=1)]
    return model(nodes, [value("x", ["rows", "width"])], [value("y", ["rows", 1])])


@pytest.fixture
async def open_wide(start: StartDoor, store: ModelStore) -> Client:
    await store.publish(bundle(greatest(), "greatest"))
    client = await start(max_body_bytes=64 << 20)
    small = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    assert (await client.post(PATH, json={"inputs": [small]})).status_code == 200
    return client


def large() -> tuple[bytes, dict[str, str]]:
    """Return a request of one tensor, and its header."""
    one = {
        "name": "x",
        "shape": [1, WIDTH],
        "datatype": "FP32",
        "parameters": {"binary_data_size": BODY_BYTES},
    }
    text = json.dumps({"inputs": [one]}).encode()
    return text + np.arange(WIDTH, dtype="<f4").tobytes(), {LENGTH: str(len(text))}


async def test_a_large_tensor_is_received_once_and_not_copied_again(open_wide: Client) -> None:
    body, headers = large()

    with peak() as held:
        response = await open_wide.post(PATH, content=body, headers=headers)

    assert response.json()["outputs"][0]["data"] == [WIDTH - 1]
    assert held[0] < 1.5 * BODY_BYTES  # a buffer that grows as the body comes has some room to spare


async def test_a_compressed_tensor_is_held_once_and_as_it_came(open_wide: Client) -> None:
    body, headers = large()
    packed = gzip.compress(body, 1)

    with peak() as held:
        response = await open_wide.post(PATH, content=packed, headers={**headers, "content-encoding": "gzip"})

    assert response.json()["outputs"][0]["data"] == [WIDTH - 1]
    assert held[0] < 1.5 * (BODY_BYTES + len(packed))


@pytest.mark.parametrize("shape", [[2**40, 4], [1, 2**40], [2**20, 2**20]])
@pytest.mark.parametrize("datatype", ["FP32", "BYTES"])
async def test_a_shape_that_promises_more_than_comes_takes_nothing(
    open_wide: Client, shape: list[int], datatype: str
) -> None:
    one = {"name": "x", "shape": shape, "datatype": datatype, "data": [1, 2, 3, 4]}
    blob = {"name": "x", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": 2**42}}
    text = json.dumps({"inputs": [blob]}).encode()

    with peak() as held:
        as_json = await open_wide.post(PATH, json={"inputs": [one]})
        as_bytes = await open_wide.post(PATH, content=text + b"1234", headers={LENGTH: str(len(text))})

    assert (as_json.status_code, as_bytes.status_code) == (400, 400)
    assert held[0] < 1 << 20
