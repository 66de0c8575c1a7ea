"""Who changes a model while a version of it loads waits for nothing: the last word counts, and at once."""

from models.store import ModelStore
from tests.graphs import bundle, looping
from tests.integration.server.conftest import StartEngine, until
from tests.integration.server.test_catalogue import telling
from tests.integration.server.test_routing import now, versions

NEVER_LOADS = looping(1 << 60)


async def test_a_rollback_does_not_wait_for_the_version_that_it_leaves(
    store: ModelStore, engine: StartEngine
) -> None:
    await store.publish(telling(1))
    running = await engine()
    await running.catalogue.routed("m")

    await store.publish(bundle(NEVER_LOADS))
    await until(lambda: 2 in running.catalogue.loading("m"))
    assert await store.rollback("m") == 1
    await store.publish(telling(3))

    await until(lambda: versions(running.catalogue.route("m")) == {3})
    assert 2 in running.catalogue.loading("m")


async def test_production_moves_while_a_canary_loads(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(telling(1))
    await store.promote("m", 1, "canary")
    running = await engine()
    await running.catalogue.routed("m")

    await store.publish(bundle(NEVER_LOADS), "canary")
    await until(lambda: 2 in running.catalogue.loading("m"))
    await store.publish(telling(3))

    await until(lambda: versions(running.catalogue.route("m")) == {3})
    assert now(running, "canary").serving.manifest.version == 1


async def test_a_rule_that_still_loads_is_replaced_by_another(store: ModelStore, engine: StartEngine) -> None:
    await store.publish(telling(1))
    await store.publish(telling(2), alias=None)
    running = await engine()
    await running.catalogue.routed("m")

    await store.publish(bundle(NEVER_LOADS), alias=None)
    await store.set_traffic("m", {1: 1, 3: 1})
    await until(lambda: 3 in running.catalogue.loading("m"))
    await store.set_traffic("m", {1: 1, 2: 1})

    await until(lambda: versions(running.catalogue.route("m")) == {1, 2})
