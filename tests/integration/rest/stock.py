"""Models and keys for one Redis, whole and broken: everything that a prediction can be refused for."""

from typing import Any

import numpy as np
from redis.asyncio import Redis

from models.bundle import Bundle
from models.composing import Wording, compose_bundle
from models.features import FeatureView
from models.store import ModelStore
from tests.graphs import bundle, looked_up
from tests.integration.rest.graphs import CHURN_WEIGHTS, churn, embed, linear, price

FIELDS = [{"name": "plan", "categories": ["free", "paid"]}, "spend"]
Fields = dict[
    bytes | bytearray | memoryview | str | int | float, bytes | bytearray | memoryview | str | int | float
]
HASHES: dict[str, Fields] = {
    "customer:1": {"age": 40, "spend": 10, "plan": "paid", "at": 1000},
    "customer:2": {"age": 23, "spend": 48},
    "customer:Zoë 客": {"age": 40, "spend": 1},
    "customer:young": {"age": 18},
    "customer:words": {"age": "old", "spend": 1, "plan": "gold"},
    "customer:nan": {"age": "nan", "spend": 1},
}


def view(**source: Any) -> FeatureView:
    return FeatureView.read({"inputs": [{"name": "x", "sources": [source]}]})


def viewed(name: str, **source: Any) -> Bundle:
    """Two columns read from one source."""
    return compose_bundle(linear(CHURN_WEIGHTS), name, Wording(features=view(**source)))


def hashed(name: str, fields: list[Any], **said: Any) -> Bundle:
    """Two columns read from a hash."""
    return viewed(name, key="customer:{id}", **{"as": "hash", "fields": fields}, **said)


async def fill(redis: Redis, store: ModelStore) -> None:
    """Store models and keys."""
    for one in (
        churn(),
        price(),
        embed(),
        bundle(looked_up(np.eye(3, 2, dtype=np.float32)), "gather"),
        hashed("plans", FIELDS),
        hashed("fresh", ["age", "spend"], time_field="at", max_age_seconds=60),
        viewed("documents", key="customer:{id}", **{"as": "json"}, fields=["age", "spend"]),
    ):
        await store.publish(one)
    for key, fields in HASHES.items():
        await redis.hset(key, mapping=fields)
    await redis.set("customer:text", "not a hash")
    await redis.set("flat:short", b"1234567")
    await redis.set("flat:1", b"12345678")


async def spoil(redis: Redis, store: ModelStore) -> None:
    """Store models that cannot be served: altered, lost, of another format, no model, no aliases."""
    for name in ("altered", "lost", "foreign", "unread"):
        await store.publish(churn(name))
    await store.publish(Bundle(churn("hollow").manifest, b"no model at all"))
    await redis.setrange(store.keys.chunk("altered", 1, 0), 20, b"!!")
    await redis.delete(store.keys.chunk("lost", 1, 0))
    await redis.set(store.keys.manifest("foreign", 1), b'{"format": 99}')
    await redis.delete(store.keys.aliases("unread"))
    await redis.set(store.keys.aliases("unread"), "not a hash")
