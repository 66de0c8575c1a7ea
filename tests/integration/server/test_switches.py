"""Versions switch under full load: nobody is refused, and every answer is whole, of the version it names."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest
from redis.asyncio import Redis

from models.store import ModelStore
from tests.graphs import bundle, constant
from tests.integration.server.conftest import Serve

VIEW = {"inputs": [{"name": "x", "sources": [{"key": "c:{id}", "as": "vector", "shape": [2]}]}]}
KEYS = [f"c:{number}" for number in range(64)]
SWITCHES = 100
CALLERS = 16
SWITCH_SECONDS = 20.0


@dataclass
class Traffic:
    """What callers were told, and the version that answered last."""

    answers: int = 0
    wrong: list[Any] = field(default_factory=list)
    latest: int = 0
    versions: set[int] = field(default_factory=set)

    def hear(self, response: httpx.Response) -> None:
        """Check an answer: status, and the value of each row against the version that it names."""
        self.answers += 1
        body = response.json()
        rows = body.get("predictions", [])
        version = body.get("version", 0)
        if response.status_code != 200 or any(row["outputs"]["y"] != [float(version)] for row in rows):
            self.wrong.append((response.status_code, body))
        self.latest = version
        self.versions.add(version)

    async def until(self, version: int) -> None:
        """Wait until a version answers."""
        async with asyncio.timeout(SWITCH_SECONDS):
            while self.latest != version:  # noqa: ASYNC110  # nobody tells a test
                await asyncio.sleep(0.002)


@asynccontextmanager
async def callers(url: str) -> AsyncIterator[Traffic]:
    """Ask without a pause from many connections, for one row and for many."""
    heard = Traffic()

    async def call(client: httpx.AsyncClient, rows: int) -> None:
        while True:
            heard.hear(await client.post("/v1/models/m/predict", json={"keys": KEYS[:rows]}))

    limits = httpx.Limits(max_connections=CALLERS)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:
        tasks = [asyncio.create_task(call(client, 1 + 7 * (one % 4))) for one in range(CALLERS)]
        try:
            yield heard
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def customers(redis: Redis) -> None:
    await redis.mset({key: np.array([1, 2], "<f4").tobytes() for key in KEYS})


async def switch(store: ModelStore, kind: str, stored: int) -> int:
    """Make another version production, in one of three ways; return it."""
    before = (await store.aliases("m"))["production"]
    if kind == "publish":
        return (await store.publish(bundle(constant(stored + 1), view=VIEW))).version
    if kind == "rollback":
        return await store.rollback("m")
    others = [version for version in await store.versions("m") if version != before]
    return await store.promote("m", random.choice(others))


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("customers")
async def test_a_hundred_switches_under_load_fail_no_answer_and_mix_none(
    store: ModelStore, redis_url: str, serve: Serve
) -> None:
    for number in (1, 2):
        await store.publish(bundle(constant(number), view=VIEW))
    server = serve(redis_url)
    kinds = ["publish", "promote", "promote", "rollback"] * (SWITCHES // 4)

    async with callers(server.url) as heard:
        await heard.until(2)
        for kind in kinds:
            version = await switch(store, kind, len(await store.versions("m")))
            await heard.until(version)

    assert heard.wrong == []
    assert heard.answers > 10 * SWITCHES
    assert len(heard.versions) > SWITCHES // 4


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("customers")
async def test_switches_that_nobody_waits_for_fail_no_answer_either(
    store: ModelStore, redis_url: str, serve: Serve
) -> None:
    for number in range(1, 7):
        await store.publish(bundle(constant(number), view=VIEW))
    server = serve(redis_url)

    async with callers(server.url) as heard:
        await heard.until(6)
        for one in range(SWITCHES):
            await store.promote("m", 1 + one % 5)
            await asyncio.sleep(0.005)
        await store.promote("m", 6)
        await heard.until(6)

    assert heard.wrong == []
