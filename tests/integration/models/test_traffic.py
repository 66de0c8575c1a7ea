"""A rule is stored whole or not at all, ends when production moves, and keeps its versions from deletion."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from models.bundle import Bundle
from models.errors import (
    AliasNotFound,
    BadTraffic,
    ModelNotFound,
    TrafficNotFound,
    VersionInUse,
    VersionNotFound,
)
from models.store import ModelStore
from models.traffic import Traffic

MakeBundle = Callable[..., Bundle]
RULE = {1: 95, 2: 5}


@pytest.fixture
async def two(store: ModelStore, bundle: MakeBundle) -> ModelStore:
    """A model of three versions: production was 1, then 2, is 1 again."""
    for _ in range(3):
        await store.publish(bundle(), alias=None)
    for version in (1, 2, 1):
        await store.promote("churn", version)
    return store


async def test_a_rule_is_stored_and_read(two: ModelStore) -> None:
    assert await two.traffic("churn") is None

    told = await two.set_traffic("churn", {"2": 5, "1": 95})

    assert told == await two.traffic("churn") == Traffic("churn", {1: 95, 2: 5})
    assert (await two.pointers("churn")).aliases == {"production": 1}
    assert (await two.pointers("churn")).rule == b'{"1": 95, "2": 5}'


async def test_a_rule_replaces_the_one_before(two: ModelStore) -> None:
    await two.set_traffic("churn", RULE)

    await two.set_traffic("churn", {3: 1})

    assert await two.traffic("churn") == Traffic("churn", {3: 1})


async def test_a_version_that_is_not_stored_gets_no_traffic(two: ModelStore) -> None:
    await two.set_traffic("churn", RULE)

    with pytest.raises(VersionNotFound, match="no version 9; stored versions: 1, 2, 3"):
        await two.set_traffic("churn", {1: 90, 9: 10})

    assert await two.traffic("churn") == Traffic("churn", RULE)


async def test_a_model_that_is_not_stored_has_no_rule(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound):
        await store.set_traffic("churn", RULE)
    with pytest.raises(ModelNotFound):
        await store.clear_traffic("churn")
    assert await store.traffic("churn") is None
    assert await store.redis.keys("*") == []


async def test_what_is_no_rule_never_reaches_redis(two: ModelStore) -> None:
    with pytest.raises(BadTraffic, match="the weight 0"):
        await two.set_traffic("churn", {1: 95, 2: 0})

    assert await two.traffic("churn") is None


async def test_a_rule_ends_when_it_is_cleared(two: ModelStore) -> None:
    await two.set_traffic("churn", RULE)

    await two.clear_traffic("churn")

    assert await two.traffic("churn") is None
    with pytest.raises(TrafficNotFound, match="insitu traffic churn VERSION=WEIGHT"):
        await two.clear_traffic("churn")


Move = Callable[[ModelStore, Bundle], Awaitable[object]]
MOVES: dict[str, Move] = {
    "publish": lambda store, bundle: store.publish(bundle),
    "promote": lambda store, _: store.promote("churn", 2),
    "promote what it is": lambda store, _: store.promote("churn", 1),
    "rollback": lambda store, _: store.rollback("churn"),
    "remove": lambda store, _: store.remove_alias("churn", "production"),
}
OTHERS: dict[str, Move] = {
    "publish elsewhere": lambda store, bundle: store.publish(bundle, alias="canary"),
    "publish nowhere": lambda store, bundle: store.publish(bundle, alias=None),
    "promote another": lambda store, _: store.promote("churn", 2, "shadow"),
    "delete": lambda store, _: store.delete("churn", 3),
}


@pytest.mark.parametrize("move", MOVES)
async def test_moving_production_ends_the_rule(two: ModelStore, bundle: MakeBundle, move: str) -> None:
    await two.set_traffic("churn", RULE)

    await MOVES[move](two, bundle())

    assert await two.traffic("churn") is None


@pytest.mark.parametrize("move", OTHERS)
async def test_what_leaves_production_alone_leaves_the_rule(
    two: ModelStore, bundle: MakeBundle, move: str
) -> None:
    await two.set_traffic("churn", RULE)

    await OTHERS[move](two, bundle())

    assert await two.traffic("churn") == Traffic("churn", RULE)


async def test_a_move_that_is_refused_leaves_the_rule(two: ModelStore) -> None:
    await two.set_traffic("churn", RULE)

    with pytest.raises(VersionNotFound):
        await two.promote("churn", 9)
    with pytest.raises(AliasNotFound):
        await two.rollback("churn", "canary")

    assert await two.traffic("churn") == Traffic("churn", RULE)


async def test_a_version_with_traffic_is_not_deleted(two: ModelStore) -> None:
    await two.set_traffic("churn", RULE)

    with pytest.raises(
        VersionInUse, match="has a share of the traffic; `insitu traffic churn --clear` first"
    ):
        await two.delete("churn", 2)
    with pytest.raises(VersionInUse, match="is what production points to and has a share") as caught:
        await two.delete("churn", 1)

    assert caught.value.details["aliases"] == ["production"]
    assert caught.value.details["traffic"] is True
    await two.delete("churn", 3)
    await two.clear_traffic("churn")
    await two.delete("churn", 2)


async def test_a_rule_that_others_wrote_is_told_and_can_be_set_again(two: ModelStore) -> None:
    await two.redis.hset(two.keys.model("churn"), "traffic", "no rule")

    with pytest.raises(BadTraffic, match="set it again"):
        await two.traffic("churn")
    await two.delete("churn", 3)
    await two.set_traffic("churn", RULE)

    assert await two.traffic("churn") == Traffic("churn", RULE)


async def test_a_rule_and_a_deletion_of_its_version_cannot_both_succeed(
    store: ModelStore, bundle: MakeBundle
) -> None:
    for _ in range(21):
        await store.publish(bundle())

    for version in range(1, 21):
        done = await asyncio.gather(
            store.set_traffic("churn", {21: 95, version: 5}),
            store.delete("churn", version),
            return_exceptions=True,
        )

        assert sum(isinstance(one, Exception) for one in done) == 1
        rule = await store.traffic("churn")
        assert rule is None or set(rule.weights) <= set(await store.versions("churn"))


async def test_servers_are_told_that_a_rule_changed(two: ModelStore) -> None:
    await two.set_traffic("churn", RULE)
    await two.clear_traffic("churn")

    entries = await two.redis.xrange(two.keys.events())
    told = [{name.decode(): value.decode() for name, value in entry.items()} for _, entry in entries[-2:]]
    assert told == [{"event": "traffic", "model": "churn", "version": "0", "alias": ""}] * 2
    assert json.loads((await two.pointers("churn")).rule or b"null") is None
