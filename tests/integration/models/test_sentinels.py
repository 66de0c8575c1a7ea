"""Models are stored on the master that sentinels name, and on the new one after a failover."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from models.connecting import connect
from models.errors import RedisUnavailable
from models.store import ModelStore
from tests.guarded import SERVICE, Guard, start_guard
from tests.integration.models.conftest import MakeBundle


@pytest.fixture
def guard(redis_binary: Path) -> Iterator[Guard]:
    with ExitStack() as stack:
        yield start_guard(redis_binary, stack)


async def test_a_model_is_published_on_the_master_and_again_after_a_failover(
    guard: Guard, bundle: MakeBundle
) -> None:
    client = connect(guard.url)
    store = ModelStore(client)

    await store.publish(bundle())
    guard.master.kill()
    await asyncio.to_thread(guard.wait_for, guard.replica)
    async with asyncio.timeout(10):
        while not await published(store, bundle):  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.1)

    assert await store.versions("churn") != []
    await client.aclose()


async def published(store: ModelStore, bundle: MakeBundle) -> bool:
    try:
        await store.publish(bundle())
    except (RedisUnavailable, RedisError):
        return False
    return True


async def test_a_service_that_no_sentinel_knows_is_unavailable(guard: Guard, bundle: MakeBundle) -> None:
    client = connect(guard.url.replace(SERVICE, "other"))

    with pytest.raises(RedisUnavailable, match="No master found for 'other'"):
        await ModelStore(client).publish(bundle())

    await client.aclose()


async def test_a_sentinel_that_says_nothing_holds_nobody_up(guard: Guard, bundle: MakeBundle) -> None:
    guard.sentinels[0].pause()
    client = connect(guard.url)

    async with asyncio.timeout(10):  # less than a reply may take
        await ModelStore(client).publish(bundle())

    assert await ModelStore(client).versions("churn") == [1]
    await client.aclose()


async def test_sentinels_that_are_all_away_are_told_one_by_one(guard: Guard, bundle: MakeBundle) -> None:
    for one in guard.sentinels:
        one.kill()
    client = connect(guard.url)

    with pytest.raises(RedisUnavailable, match="No master found for 'features' : <"):
        await ModelStore(client).publish(bundle())

    await client.aclose()
