"""The console beside a Redis Cluster of which one node is away: what is there, and what is not."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from redis.crc import key_slot

from models.connecting import connect
from models.store import ModelStore
from tests.e2e.conftest import PHONE
from tests.integration.rest.graphs import churn
from tests.servers import CLUSTER_NODES, CLUSTER_SLOTS, RedisNodes, RedisServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

NAMES = [f"m{at:02}" for at in range(99)]


def test_models_of_a_node_that_is_away_are_named_before_the_list(
    page: "Page", serve: Callable[..., str], redis_cluster: RedisNodes, complaints: list[str]
) -> None:
    hint = node_of(redis_cluster, "insitu:models")
    gone = next(node for node in redis_cluster.nodes if node is not hint)
    away = [name for name in NAMES if node_of(redis_cluster, name) is gone][:12]
    others = [name for name in NAMES if node_of(redis_cluster, name) is not gone][:2]
    for node in redis_cluster.nodes:
        with node.connect() as one:
            one.config_set("cluster-require-full-coverage", "no")
    url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in redis_cluster.nodes)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, published(url, (*away, *others))).result()
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # a TypedDict
    page.goto(serve(INSITU_REDIS_URL=url))
    page.wait_for_selector("#redis-state.good")
    page.wait_for_selector(".model")
    whole = page.locator(".caution").count()
    high = page.locator(".top").bounding_box()

    gone.kill()
    page.wait_for_selector(".caution")
    page.wait_for_selector("#redis-state.part")

    told = page.inner_text(".caution")
    assert whole == 0
    assert page.inner_text("#redis-state") == "Redis in part"
    assert f"127.0.0.1:{gone.port}" in str(page.get_attribute("#redis-state", "title"))
    assert told == (
        f"Not listed, because their node of the Redis Cluster is away: {', '.join(away[:10])} and 2 more"
    )
    assert page.locator(".model h3").all_inner_texts() == others
    assert page.evaluate("document.querySelector('.caution').nextElementSibling.className") == "models"
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert page.locator(".top").bounding_box() == high
    assert complaints == []


def node_of(cluster: RedisNodes, key: str) -> RedisServer:
    return cluster.nodes[key_slot(key.encode()) * CLUSTER_NODES // CLUSTER_SLOTS]


async def published(url: str, names: Sequence[str]) -> None:
    redis = connect(url)
    for name in names:
        await ModelStore(redis).publish(churn(name))
    await redis.aclose()
