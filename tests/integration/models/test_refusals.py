"""Why a version was refused lies beside it, for as long as it is stored."""

from redis.asyncio import Redis

from models.refusals import Refusal
from models.store import ModelStore
from tests.data.make_contract import bundle

CRASHES = Refusal("it crashes", "2026-11-22T21:00:00+00:00", "ONNX Runtime 1.32.0")


async def test_a_refusal_is_read_as_it_was_noted(redis: Redis) -> None:
    store = ModelStore(redis)
    await store.publish(bundle())
    await store.publish(bundle())

    await store.refusals.note("churn", 2, CRASHES)

    assert await store.refusals.of("churn", [1, 2]) == {2: CRASHES}
    assert str(CRASHES) == "it crashes (ONNX Runtime 1.32.0, 2026-11-22T21:00:00+00:00)"


async def test_the_last_refusal_is_the_one_that_is_kept(redis: Redis) -> None:
    store = ModelStore(redis)
    await store.publish(bundle())

    for refusal in (CRASHES, Refusal.now("x" * 5000, "another")):
        await store.refusals.note("churn", 1, refusal)

    found = (await store.refusals.of("churn", [1]))[1]
    assert (found.reason, found.runtime) == ("x" * 1000, "another")


async def test_a_refusal_goes_with_its_version_and_none_is_kept_of_one_that_is_gone(redis: Redis) -> None:
    store = ModelStore(redis)
    await store.publish(bundle(), alias=None)
    await store.refusals.note("churn", 1, CRASHES)

    await store.delete("churn", 1)
    await store.refusals.note("churn", 1, CRASHES)

    assert await redis.keys("*refused*") == []


async def test_a_version_that_loads_after_all_is_refused_no_more(redis: Redis) -> None:
    store = ModelStore(redis)
    await store.publish(bundle())
    await store.refusals.note("churn", 1, CRASHES)

    for _ in range(2):
        await store.refusals.clear("churn", 1)

    assert await store.refusals.of("churn", [1]) == {}
    assert await store.refusals.of("churn", []) == {}


async def test_what_another_program_wrote_there_is_shown_as_it_is(redis: Redis) -> None:
    store = ModelStore(redis)
    await store.publish(bundle())

    for written in ("no JSON", "[1]", "{}"):
        await redis.set(store.keys.refused("churn", 1), written)

        assert str((await store.refusals.of("churn", [1]))[1]) == written
