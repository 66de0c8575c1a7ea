"""Priorities through NVIDIA's clients: what is urgent overtakes what waits, by HTTP and by gRPC."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

from models.connecting import connect
from models.store import ModelStore
from tests.graphs import bundle, looping
from tests.integration.rest.v2.conftest import client_module
from tests.serving import ServeCommand, serving

MODULES = {"http": "tritonclient.http.aio", "grpc": "tritonclient.grpc.aio"}
CALIBRATING_TURNS = 50_000
HELD_SECONDS = 1.0  # what waits has come by then
QUEUE_ROWS = 20
SETTINGS = {
    "INSITU_MAX_BATCH_ROWS": "1",
    "INSITU_MAX_BATCH_WAIT_MS": "0.25",
    "INSITU_DEFAULT_PRIORITY": "4",
    "INSITU_MAX_QUEUE_ROWS": str(QUEUE_ROWS),
}
Infer = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def served(redis_binary: Path) -> Iterator[ServeCommand]:
    """A server that runs row by row, with a model that takes as many turns as it is told."""
    with serving(publish, redis_binary, **SETTINGS) as server:
        yield server


async def publish(url: str) -> None:
    store = ModelStore(connect(url))
    await store.publish(bundle(looping(), "loop"))
    await store.redis.aclose()


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> Any:
    return client_module(MODULES[request.param])


def client_of(module: Any, served: ServeCommand) -> Any:
    address = served.grpc if "grpc" in module.__name__ else urlsplit(served.url).netloc
    return module.InferenceServerClient(address)


def inputs(module: Any, turns: int) -> list[Any]:
    tensors = {"x": np.ones((1, 1), np.float32), "turns": np.array([turns])}
    found = []
    for name, tensor in tensors.items():
        one = module.InferInput(name, list(tensor.shape), "INT64" if name == "turns" else "FP32")
        one.set_data_from_numpy(tensor)
        found.append(one)
    return found


async def turns_for(module: Any, client: Any, seconds: float) -> int:
    """Return how many turns take so long."""
    await client.infer("loop", inputs(module, 1))
    before = time.monotonic()
    await client.infer("loop", inputs(module, CALIBRATING_TURNS))
    return int(CALIBRATING_TURNS * seconds / (time.monotonic() - before))


async def test_what_is_urgent_overtakes_what_waits(module: Any, served: ServeCommand) -> None:
    async with client_of(module, served) as client:
        long = await turns_for(module, client, HELD_SECONDS)
        short = long // 20
        ended: list[str] = []

        async def ask(name: str, turns: int, **said: Any) -> None:
            await client.infer("loop", inputs(module, turns), **said)
            ended.append(name)

        running = asyncio.create_task(ask("first", long))
        await asyncio.sleep(HELD_SECONDS / 5)
        waiting = []
        for number, priority in enumerate((10, 0, 4, 5, 1, 0, 1)):
            waiting.append(asyncio.create_task(ask(f"{number}:{priority}", short, priority=priority)))
            await asyncio.sleep(HELD_SECONDS / 50)
        assert not ended
        await asyncio.gather(running, *waiting)

    assert ended == ["first", "4:1", "6:1", "1:0", "2:4", "5:0", "3:5", "0:10"]


async def test_a_queue_full_of_others_takes_what_is_more_urgent(module: Any, served: ServeCommand) -> None:
    async with client_of(module, served) as client:
        long = await turns_for(module, client, HELD_SECONDS)

        async def ask(turns: int, priority: int) -> str:
            await client.infer("loop", inputs(module, turns), priority=priority)
            return "answered"

        running = asyncio.create_task(ask(long, 0))
        await asyncio.sleep(HELD_SECONDS / 5)
        waiting = [asyncio.create_task(ask(1, 9)) for _ in range(QUEUE_ROWS)]
        await asyncio.sleep(HELD_SECONDS / 5)
        late = await asyncio.gather(ask(1, 9), ask(1, 10), ask(1, 1), ask(1, 0), return_exceptions=True)
        assert [await one for one in (running, *waiting)] == ["answered"] * (1 + QUEUE_ROWS)

    assert [*late[2:]] == ["answered"] * 2
    for error in late[:2]:
        assert str(error).startswith(("[429]", "[StatusCode.UNAVAILABLE]"))
        assert "takes no more" in str(error)


async def test_a_priority_that_does_not_exist_is_refused_by_name(module: Any, served: ServeCommand) -> None:
    async with client_of(module, served) as client:
        with pytest.raises(Exception, match=r"'priority' is '11'; it is a whole number from 1") as refused:
            await client.infer("loop", inputs(module, 1), priority=11)

    assert str(refused.value).startswith(("[400]", "[StatusCode.INVALID_ARGUMENT]"))


async def test_the_configuration_tells_the_levels_and_the_delay(module: Any, served: ServeCommand) -> None:
    async with client_of(module, served) as client:
        as_json = {"as_json": True} if "grpc" in module.__name__ else {}
        config = await client.get_model_config("loop", **as_json)

    batching = config.get("config", config)["dynamic_batching"]
    told = ("priority_levels", "default_priority_level", "max_queue_delay_microseconds")
    assert [int(batching[name]) for name in told] == [10, 4, 250]
