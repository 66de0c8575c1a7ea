"""bfloat16 through NVIDIA's clients, by HTTP and gRPC, to graphs that compute in it or cast to and from it."""

from collections.abc import Callable, Iterator
from inspect import isawaitable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from ml_dtypes import bfloat16
from onnx import TensorProto

from models.connecting import connect
from models.store import ModelStore
from tests.graphs import bundle, f32, model, node, value
from tests.integration.rest.v2.conftest import client_module
from tests.serving import ServeCommand, serving

MODULES = [f"tritonclient.{door}{form}" for door in ("http", "grpc") for form in ("", ".aio")]
BF16, FP32 = TensorProto.BFLOAT16, TensorProto.FLOAT
GIVEN = f32([[1.5, -2.0], [3.140625, 1e30], [0.1, np.inf]])


def casting(taken: int, told: int) -> bytes:
    """y = 2 x, computed in float32 whatever is taken and told."""
    nodes = [
        node("Cast", "x", "wide", to=FP32),
        node("Mul", "wide two", "twice"),
        node("Cast", "twice", "y", to=told),
    ]
    return model(nodes, [value("x", ["rows", 2], taken)], [value("y", ["rows", 2], told)], {"two": f32(2)})


GRAPHS = {"both": casting(BF16, BF16), "taken": casting(BF16, FP32), "told": casting(FP32, BF16)}


@pytest.fixture(scope="module")
def served(redis_binary: Path) -> Iterator[ServeCommand]:
    with serving(publish, redis_binary) as server:
        yield server


async def publish(url: str) -> None:
    store = ModelStore(connect(url))
    for name, graph in GRAPHS.items():
        await store.publish(bundle(graph, name))
    await store.redis.aclose()


async def asked(module: Any, served: ServeCommand, name: str, tensor: Any, **said: Any) -> Any:
    """Return what a model answers a client of any of the four kinds."""
    address = served.grpc if ".grpc" in module.__name__ else urlsplit(served.url).netloc
    one = module.InferInput("x", list(tensor.shape), "BF16" if tensor.dtype == bfloat16 else "FP32")
    one.set_data_from_numpy(tensor)
    client = module.InferenceServerClient(address)
    try:
        answer = client.infer(name, [one], **said)
        return (await answer if isawaitable(answer) else answer).as_numpy("y")
    finally:
        closed = client.close()
        if isawaitable(closed):
            await closed


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("client", MODULES)
async def test_every_client_sends_and_reads_bfloat16(served: ServeCommand, client: str, name: str) -> None:
    given = GIVEN.astype(np.float32 if name == "told" else bfloat16)

    found = await asked(client_module(client), served, name, given)

    assert found.dtype == (np.float32 if name == "taken" else bfloat16)
    assert found.tolist() == (2 * given.astype(np.float32)).astype(found.dtype).tolist()


@pytest.mark.parametrize("client", MODULES)
async def test_what_is_not_bfloat16_is_refused_by_its_name(served: ServeCommand, client: str) -> None:
    with pytest.raises(Exception, match="input 'x' is FP32, the model takes BF16"):
        await asked(client_module(client), served, "both", GIVEN)


@pytest.mark.parametrize("client", MODULES)
async def test_the_likeliest_classes_of_bfloat16_are_told(served: ServeCommand, client: str) -> None:
    module = client_module(client)
    wanted = module.InferRequestedOutput("y", class_count=1)

    found = await asked(module, served, "both", GIVEN[:2].astype(bfloat16), outputs=[wanted])

    assert [text.decode().split(":")[1] for text in found.reshape(-1)] == ["0", "1"]


def test_the_clients_say_themselves_that_they_take_no_float32_for_bfloat16() -> None:
    take: list[Callable[..., Any]] = [
        client_module(name).InferInput("x", [3, 2], "BF16").set_data_from_numpy for name in MODULES
    ]

    for one in take:
        with pytest.raises(Exception, match=r"ml_dtypes\.bfloat16"):
            one(GIVEN)
