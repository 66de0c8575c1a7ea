"""Files that crash, hang or eat memory, stored past every check: the serving process never meets them."""

import asyncio
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from models.bundle import Bundle
from models.connecting import connect
from models.store import ModelStore
from server.inference.asking import Ask
from server.inference.engine import Engine
from server.inference.errors import ModelNotLoadable
from tests.graphs import bundle, constant, crashing, greedy, heavy, looping, running_total
from tests.integration.server.conftest import Serve, StartEngine, until
from tests.integration.server.processes import Told, load, resident_bytes
from tests.serving import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and read on Linux")

BODY: dict[str, Any] = {"inputs": {"x": [[1, 2]]}}
BAD = {
    "crashes": (crashing(), "ended the process it was tried in (signal SIGFPE)"),
    "eats": (greedy(), "takes more memory than a model may have here"),
    "hangs": (looping(1 << 60), "did not load and run once within 2 s"),
}
LOADED_AT_ONCE = 50
MODELS = 1000
COLD_SECONDS = 0.15
GROWTH_BYTES = 24 << 20


def telling(number: float, name: str = "m") -> Bundle:
    """A model that answers its number."""
    return bundle(constant(number), name)


async def answer(engine: Engine, name: str = "m", reference: int | None = None) -> float:
    given = await engine.predictor.predict(Ask(name, reference, inputs={"x": [[1, 2]]}))
    value: float = given.rows[0].body["outputs"]["y"][0]
    return value


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_file_that_is_stored_directly_is_refused_while_the_others_are_answered(
    serve: Serve, store: ModelStore, redis_url: str, kind: str
) -> None:
    onnx, told = BAD[kind]
    await store.publish(telling(1))
    server = await asyncio.to_thread(serve, redis_url, INSITU_TRIAL_SECONDS="2")
    async with (
        load(server.url, "/v1/models/m/predict", BODY) as answered,
        httpx.AsyncClient(base_url=server.url, timeout=30) as client,
    ):
        await answered.until(20)

        await store.publish(bundle(onnx))  # production means it from here on

        pinned = await client.post("/v1/models/m/versions/2/predict", json=BODY)
        await answered.until(20)
        shown = (await client.get("/v1/models/m/versions/2")).json()
        listed = (await client.get("/v1/models/m")).json()["history"]

    error = pinned.json()["error"]
    assert (pinned.status_code, error["code"]) == (500, "model_not_loadable")
    assert told in error["message"]
    assert all(one.status == 200 and one.body["version"] == 1 for one in answered.told)
    assert longest(answered.told) < 5
    assert told in shown["problem"]
    assert told in next(one for one in listed if one["version"] == 2)["problem"]
    assert server.log.count("version 2 of model") == 1


def longest(told: list[Told]) -> float:
    return max(one.seconds for one in told)


async def test_a_refusal_is_told_by_every_server_and_the_command_line(
    serve: Serve, store: ModelStore, redis_url: str, engine: StartEngine
) -> None:
    await store.publish(telling(1))
    await store.publish(bundle(crashing()), alias=None)
    running = await engine()
    with pytest.raises(ModelNotLoadable):
        await answer(running, reference=2)
    await until_refused(store, {2})

    other = await asyncio.to_thread(serve, redis_url)
    async with httpx.AsyncClient(base_url=other.url) as client:
        shown = (await client.get("/v1/models/m/versions/2")).json()["problem"]
    table, data = [
        await printed("models", "m", "--redis-url", redis_url, *more) for more in ((), ("--json",))
    ]

    assert "signal SIGFPE" in shown
    assert "ONNX Runtime 1." in shown
    assert "signal SIGFPE" in " ".join(table.split())
    assert "signal SIGFPE" in json.loads(data)["refused"]["2"]["reason"]


async def printed(*arguments: str) -> str:
    """What the command prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", *arguments), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    return (await process.communicate())[0].decode()


async def until_refused(store: ModelStore, versions: set[int]) -> None:
    async with asyncio.timeout(10):
        while set(await store.refusals.of("m", [1, 2])) != versions:  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.01)


async def test_a_version_that_loads_after_all_is_refused_no_more(
    store: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.inference.failures.RETRY_SECONDS", 0.01)
    await store.publish(bundle(looping(200_000)))
    short = await engine(trial_seconds=0.1, preload_models=0)
    with pytest.raises(ModelNotLoadable, match=r"within 0.1 s"):
        await short.predictor.predict(Ask("m", inputs={"x": [[1]]}))
    await until_refused(store, {1})

    patient = await engine(trial_seconds=60, preload_models=0)
    given = await patient.predictor.predict(Ask("m", inputs={"x": [[1]]}))

    assert given.rows[0].error is None
    await until_refused(store, set())


async def test_a_redis_that_may_only_be_read_keeps_no_refusal_and_breaks_nothing(
    store: ModelStore, engine: StartEngine, redis: Redis, redis_url: str
) -> None:
    await redis.acl_setuser(
        "reader", enabled=True, passwords=["+secret"], keys=["*"], categories=["+@read", "+@connection"]
    )
    await store.publish(telling(1))
    await store.publish(bundle(crashing()), alias=None)
    running = await engine(redis_url=redis_url.replace("unix://", "unix://reader:secret@"))

    with pytest.raises(ModelNotLoadable, match="SIGFPE"):
        await answer(running, reference=2)

    assert await answer(running) == 1
    assert "SIGFPE" in running.catalogue.failures("m")[2]
    assert await store.refusals.of("m", [1, 2]) == {}


async def test_files_that_hang_hold_up_no_other_load(store: ModelStore, engine: StartEngine) -> None:
    for number in range(4):
        await store.publish(bundle(looping(1 << 60), f"hangs-{number}"))
    for number in range(8):
        await store.publish(telling(number, f"m-{number}"))
    running = await engine(preload_models=0, trial_seconds=30)
    hanging = [asyncio.create_task(answer(running, f"hangs-{number}")) for number in range(4)]
    await asyncio.sleep(0.2)

    async with asyncio.timeout(15):
        answers = [await answer(running, f"m-{number}") for number in range(8)]

    assert answers == list(range(8))
    assert not any(task.done() for task in hanging)
    for task in hanging:
        task.cancel()


async def test_a_nursery_that_is_killed_costs_the_load_that_met_it_nothing_but_time(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(telling(1))
    await store.publish(telling(2), alias=None)
    others = nurseries()
    running = await engine(own_nursery=True)
    assert await answer(running) == 1

    for pid in nurseries() - others:
        os.kill(pid, signal.SIGKILL)

    assert await answer(running, reference=2) == 2


def nurseries() -> set[int]:
    """The nurseries that this process has started."""
    pid = os.getpid()
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(one) for one in found if b"nursery" in Path(f"/proc/{one}/cmdline").read_bytes()}


async def test_a_version_that_was_tried_well_and_does_not_load_here_is_refused_all_the_same(
    store: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(one: Bundle, *_: object) -> None:
        raise ModelNotLoadable(one.manifest.name, one.manifest.version, "CUDA failure 2: out of memory")

    await store.publish(telling(1))
    running = await engine(preload_models=0)
    monkeypatch.setattr("server.inference.loading.Session", full)

    with pytest.raises(ModelNotLoadable, match="CUDA failure 2: out of memory"):
        await answer(running)

    await until_refused(store, {1})


async def test_what_nobody_foresaw_of_one_version_keeps_no_other_from_serving(
    store: ModelStore, engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = ModelStore.load

    async def odd(self: ModelStore, name: str, version: int) -> Bundle:
        if name == "odd":
            raise RecursionError("maximum recursion depth exceeded")
        return await loaded(self, name, version)

    await store.publish(bundle(constant(1), "odd"))
    await store.publish(bundle(constant(2)))
    monkeypatch.setattr(ModelStore, "load", odd)

    running = await engine()

    assert running.ready() == (True, "")
    assert await answer(running) == 2
    with pytest.raises(ModelNotLoadable, match="RecursionError: maximum recursion depth exceeded"):
        await answer(running, "odd")


async def test_rows_that_see_one_another_are_told_in_the_log(
    store: ModelStore, engine: StartEngine, caplog: pytest.LogCaptureFixture
) -> None:
    await store.publish(bundle(running_total()))

    running = await engine()

    await until(lambda: running.catalogue.find("m", 1) is not None)
    assert "m v1: rows are coupled, so requests share no run" in caplog.text


async def test_memory_of_versions_that_leave_is_given_back(store: ModelStore, engine: StartEngine) -> None:
    for number in range(12):
        await store.publish(bundle(heavy(number, 1500), f"m-{number}"))  # 9 MB each
    running = await engine(preload_models=0, model_memory_bytes=20 << 20)
    grown = []

    for number in (*range(12), *range(12)):
        assert await answer(running, f"m-{number}") == number
        grown.append(resident_bytes(os.getpid()))

    assert max(grown[12:]) - max(grown[:12]) < 32 << 20


async def test_a_version_that_leaves_is_loaded_again_without_a_trial(
    store: ModelStore, engine: StartEngine
) -> None:
    for name in ("a", "b"):
        await store.publish(bundle(heavy(1), name))
    others = nurseries()
    running = await engine(own_nursery=True, preload_models=0, model_memory_bytes=1 << 20)
    for name in ("a", "b"):
        await answer(running, name)
    for pid in nurseries() - others:
        os.kill(pid, signal.SIGKILL)

    for name in ("a", "b", "a"):
        assert await answer(running, name) == 1

    assert nurseries() == others


async def test_a_thousand_models_are_answered_within_the_memory_of_fifty(
    serve: Serve, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ModelStore(connect(redis_url))
    for number in range(MODELS):
        await store.publish(telling(number, f"m-{number}"))
    await store.redis.aclose()
    budget = LOADED_AT_ONCE * (256 << 10)
    server = await asyncio.to_thread(
        serve, redis_url, fresh=True, INSITU_PRELOAD_MODELS="0", INSITU_MODEL_MEMORY_BYTES=str(budget)
    )
    order = list(range(MODELS))
    random.Random(7).shuffle(order)
    seconds, resident = [], []

    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        for number in order:
            started = time.perf_counter()
            response = await client.post(f"/v1/models/m-{number}/predict", json=BODY)
            seconds.append(time.perf_counter() - started)
            assert response.json()["predictions"][0]["outputs"]["y"] == [number]
            resident.append(resident_bytes(server.pid))
        again = await client.get("/v1/models", params={"limit": 1000})

    loaded = sum(len(model["loaded"]) for model in again.json()["models"])
    median = sorted(seconds)[MODELS // 2]
    with capsys.disabled():
        grown = (resident[-1] - resident[2 * LOADED_AT_ONCE]) >> 20
        worst = sorted(seconds)[MODELS * 99 // 100]
        told = f"cold request {1e3 * median:.0f} ms, p99 {1e3 * worst:.0f} ms; {grown} MiB more after the first 100"
        sys.stdout.write(f"\n{told} ")
    assert loaded <= 2 * LOADED_AT_ONCE
    assert median < COLD_SECONDS
    assert resident[-1] - resident[2 * LOADED_AT_ONCE] < GROWTH_BYTES
