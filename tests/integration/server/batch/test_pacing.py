"""A job rests while any node of a cluster is slow."""

import asyncio
from types import SimpleNamespace
from typing import Any

from models.jobs import JobSpec
from models.store import Client
from server.batch.opening import rest_of
from server.inference.ending import ended
from tests.servers import RedisNodes


def pings(nodes: RedisNodes) -> list[int]:
    counts = []
    for node in nodes.nodes:
        with node.connect() as client:
            told: Any = client.info("commandstats")
            counts.append(told.get("cmdstat_ping", {"calls": 0})["calls"])
    return counts


async def test_every_primary_of_a_cluster_is_pinged(cluster: Client, module_cluster: RedisNodes) -> None:
    engine: Any = SimpleNamespace(store=SimpleNamespace(redis=cluster))
    rest = rest_of(engine, JobSpec(model="m", pause_above_ms=1e-6))
    before = pings(module_cluster)

    watching = asyncio.create_task(rest.watch())
    async with asyncio.timeout(30):
        while not rest.resting:  # noqa: ASYNC110  # nobody tells a test
            await asyncio.sleep(0.01)
    await ended([watching])

    assert all(after > first for first, after in zip(before, pings(module_cluster), strict=True))
