"""Versions that do not fit the memory together: what answers stays, and nothing is loaded again for nothing."""

import logging

import pytest

from models.store import ModelStore
from tests.graphs import bundle, heavy
from tests.integration.server.conftest import StartEngine, until
from tests.integration.server.test_catalogue import TWO_HEAVY
from tests.integration.server.test_routing import fill, now, shadow, versions


def loads(caplog: pytest.LogCaptureFixture, name: str = "m") -> int:
    return caplog.text.count(f"loaded {name} v")


async def test_the_versions_of_a_rule_stay_while_one_of_them_comes_back(
    store: ModelStore, engine: StartEngine, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(store)
    running = await engine(preload_models=0, model_memory_bytes=TWO_HEAVY)
    await running.catalogue.routed("m")
    await running.catalogue.get("m", 1)
    await running.catalogue.routed("other")  # in the place of version 2

    assert versions(await running.catalogue.routed("m")) == {1, 2}
    assert "in force no longer" not in caplog.text


async def test_a_rule_without_room_is_not_loaded_at_every_look(
    store: ModelStore, engine: StartEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await fill(store)
    running = await engine(preload_models=0, model_memory_bytes=TWO_HEAVY // 2)
    await running.catalogue.routed("m")
    before = loads(caplog)

    for _ in range(3):
        await running.catalogue.sync()

    assert versions(await running.catalogue.routed("m")) == {1}
    assert loads(caplog) - before <= 1  # version 1 may have left for the others before
    await store.set_traffic("m", {2: 1})
    await until(lambda: versions(running.catalogue.route("m")) == {2})


async def test_what_answers_does_not_leave_for_its_shadow_again_and_again(
    store: ModelStore, engine: StartEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await store.publish(bundle(heavy(1)))
    running = await engine(preload_models=0, model_memory_bytes=TWO_HEAVY // 2)
    await running.catalogue.routed("m")
    await store.publish(bundle(heavy(2)), "shadow")
    await until(lambda: "loaded m v2" in caplog.text)

    await running.catalogue.routed("m")
    before = loads(caplog)
    for _ in range(3):
        await running.catalogue.sync()

    assert versions(now(running)) == {1}
    assert loads(caplog) == before
    assert (
        caplog.text.count("m has no shadow: the memory for models does not hold versions 1, 2 together") == 1
    )
    await store.delete("m", 2, with_aliases=True)
    await store.publish(bundle(heavy(3, 16)), "shadow")
    await until(lambda: shadow(running) == 3)
