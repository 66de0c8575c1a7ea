"""Statistics in the protocol's words are what was asked, for one version, a model, or all of them."""

from typing import Any

import pytest

from models.errors import AliasNotFound, ModelNotFound, VersionNotFound
from models.store import ModelStore
from server.inference.asking import Ask
from server.inference.engine import Engine
from server.open_inference.model_statistics import model_statistics
from tests.graphs import bundle, constant
from tests.integration.server.conftest import StartEngine

STATS = {"success", "fail", "queue", "compute_input", "compute_infer", "compute_output"}
CACHE = {"cache_hit", "cache_miss"}
FIELDS = {
    *("name", "version", "last_inference", "inference_count", "execution_count", "inference_stats"),
    *("response_stats", "batch_stats", "memory_usage"),
}


@pytest.fixture
async def running(store: ModelStore, engine: StartEngine) -> Engine:
    for number in (1, 2):
        await store.publish(bundle(constant(number)))
    await store.publish(bundle(constant(1), "other"))
    return await engine()


async def ask(engine: Engine, rows: int, reference: int | None = None) -> None:
    await engine.predictor.predict(Ask("m", reference, inputs={"x": [[1, 2]] * rows}))


async def told(engine: Engine, *asked: Any) -> dict[str, dict[str, Any]]:
    answer = await model_statistics(engine, *asked)
    assert set(answer) == {"model_stats"}
    return {f"{one['name']}:{one['version']}": one for one in answer["model_stats"]}


async def test_one_version_is_told_in_every_field_of_the_protocol(running: Engine) -> None:
    for rows in (1, 3, 3):
        await ask(running, rows)

    (one,) = (await told(running, "m", "2")).values()

    assert set(one) == FIELDS
    assert (one["inference_count"], one["execution_count"]) == (7, 3)
    assert one["last_inference"] > 1.6e12
    assert set(one["inference_stats"]) == STATS | CACHE
    counts = {name: spent["count"] for name, spent in one["inference_stats"].items()}
    assert counts == dict.fromkeys(STATS, 3) | dict.fromkeys({"fail", *CACHE}, 0)
    assert all(isinstance(spent["ns"], int) for spent in one["inference_stats"].values())
    assert one["response_stats"] == {}
    assert [(size["batch_size"], size["compute_infer"]["count"]) for size in one["batch_stats"]] == [
        (1, 1),
        (3, 2),
    ]
    assert set(one["batch_stats"][0]) == {"batch_size", "compute_input", "compute_infer", "compute_output"}
    (memory,) = one["memory_usage"]
    assert (memory["type"], memory["id"], memory["byte_size"] > 0) == ("CPU", 0, True)


async def test_a_model_tells_the_versions_that_are_loaded_or_have_counted(running: Engine) -> None:
    await ask(running, 1, 1)

    assert set(await told(running, "m")) == {"m:1", "m:2"}
    assert set(await told(running)) == {"m:1", "m:2", "other:1"}


async def test_what_was_counted_is_told_after_the_model_was_unloaded(running: Engine) -> None:
    await ask(running, 1)

    running.catalogue.unload("m")

    (one,) = (await told(running, "m")).values()
    assert (one["inference_count"], one["memory_usage"]) == (1, [])


@pytest.mark.parametrize(("reference", "version"), [("1", "1"), (1, "1"), ("production", "2")])
async def test_a_version_that_did_nothing_yet_tells_so(running: Engine, reference: Any, version: str) -> None:
    (one,) = (await told(running, "m", reference)).values()

    assert (one["version"], one["inference_count"], one["batch_stats"]) == (version, 0, [])


async def test_a_model_that_nobody_asked_for_tells_what_is_stored(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(bundle(constant(1)))

    assert set(await told(await engine(preload_models=0), "m")) == {"m:1"}


@pytest.mark.parametrize(
    ("asked", "error"),
    [(("nobody",), ModelNotFound), (("m", "7"), VersionNotFound), (("m", "canary"), AliasNotFound)],
)
async def test_what_is_not_there_is_refused_by_name(
    running: Engine, asked: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await model_statistics(running, *asked)
