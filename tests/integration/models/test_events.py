"""Whoever listens learns what changed, and whoever was away can catch up."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from redis.asyncio.client import PubSub

from models.bundle import Bundle
from models.connecting import connect
from models.store import ModelStore

MakeBundle = Callable[..., Bundle]

PROBE = b"probe"
STORY = [
    {"event": "publish", "model": "churn", "version": 1, "alias": "production"},
    {"event": "publish", "model": "churn", "version": 2, "alias": ""},
    {"event": "promote", "model": "churn", "version": 2, "alias": "production"},
    {"event": "rollback", "model": "churn", "version": 1, "alias": "production"},
    {"event": "delete", "model": "churn", "version": 2, "alias": ""},
    {"event": "promote", "model": "churn", "version": 1, "alias": "canary"},
    {"event": "unalias", "model": "churn", "version": 0, "alias": "canary"},
]


async def live(store: ModelStore, bundle: MakeBundle) -> None:
    """Do what STORY tells."""
    await store.publish(bundle())
    await store.publish(bundle(), alias=None)
    await store.promote("churn", 2)
    await store.rollback("churn")
    await store.delete("churn", 2)
    await store.promote("churn", 1, "canary")
    await store.remove_alias("churn", "canary")


async def test_the_stream_holds_every_change_in_order(store: ModelStore, bundle: MakeBundle) -> None:
    await live(store, bundle)

    entries = await store.redis.xrange(store.keys.events())

    told = [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in entries]
    assert told == [{name: str(value) for name, value in event.items()} for event in STORY]


@asynccontextmanager
async def subscribed(store: ModelStore, store_url: str) -> AsyncIterator[PubSub]:
    """A subscriber that hears: the nodes of a cluster that has just formed may not know one another yet."""
    listener = connect(store_url.replace("redis+cluster", "redis"))  # one node of a cluster hears them all
    async with listener.pubsub(ignore_subscribe_messages=True) as channel, asyncio.timeout(20):
        await channel.subscribe(store.keys.events())
        while await channel.get_message(timeout=0.1) is None:
            await store.redis.publish(store.keys.events(), PROBE)
        yield channel
    await listener.aclose()


async def test_a_subscriber_hears_every_change_in_order_on_one_server(
    store: ModelStore, store_url: str, bundle: MakeBundle
) -> None:
    async with subscribed(store, store_url) as channel:
        await live(store, bundle)

        heard: list[dict[str, object]] = []
        while len(heard) < len(STORY):
            message = await channel.get_message(timeout=None)
            heard += [json.loads(message["data"])] if message["data"] != PROBE else []

    if store_url.startswith("redis+cluster"):  # its nodes may pass on messages in another order
        assert sorted(heard, key=STORY.index) == STORY
    else:
        assert heard == STORY


async def test_the_stream_keeps_about_a_thousand_events(store: ModelStore, bundle: MakeBundle) -> None:
    await store.publish(bundle())

    for _ in range(30):
        await asyncio.gather(*(store.promote("churn", 1, "canary") for _ in range(50)))

    assert 1000 <= await store.redis.xlen(store.keys.events()) <= 1100


async def test_a_change_stands_when_no_server_can_be_told(
    store: ModelStore, bundle: MakeBundle, caplog: pytest.LogCaptureFixture
) -> None:
    await store.redis.set(store.keys.events(), "no stream")

    with caplog.at_level(logging.WARNING):
        await store.publish(bundle(b"kept"))

    assert (await store.load("churn", 1)).onnx == b"kept"
    assert "publish of churn v1 is done, but no server was told: Redis refused: WRONGTYPE" in caplog.text
    assert "nothing was changed" not in caplog.text
